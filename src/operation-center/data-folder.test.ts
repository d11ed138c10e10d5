import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openTestCenter } from '../../test/support/center-api.ts';
import { keepOperatorToken, openDataFolder } from './data-folder.ts';

const parent = mkdtempSync(join(tmpdir(), 'speil-data-folder-'));
after(() => rmSync(parent, { recursive: true, force: true }));

const modeOf = (path: string): number => statSync(path).mode & 0o777;

test('keys are made once, readable by nobody else, and public halves follow them', () => {
  const path = join(parent, 'new');
  const first = openDataFolder(path);
  assert.deepEqual(
    [modeOf(path), modeOf(join(path, 'center.key')), modeOf(join(path, 'center.rsa.key'))],
    [0o700, 0o600, 0o600],
  );
  const published = readFileSync(join(path, 'center.pub'), 'utf8');
  rmSync(join(path, 'center.pub'));
  const second = openDataFolder(path);
  assert.ok(second.key.equals(first.key) && second.rsaKey.equals(first.rsaKey));
  assert.equal(readFileSync(join(path, 'center.pub'), 'utf8'), published);
});

test('a folder that others could read is closed', () => {
  const path = join(parent, 'open');
  mkdirSync(path);
  chmodSync(path, 0o755);
  openDataFolder(path);
  assert.equal(modeOf(path), 0o700);
});

test('a key of another kind, or none at all, is refused and left as it is', () => {
  const path = join(parent, 'broken');
  openDataFolder(path);
  const rsa = readFileSync(join(path, 'center.rsa.key'), 'utf8');
  for (const text of [rsa, '', 'x']) {
    writeFileSync(join(path, 'center.key'), text);
    assert.throws(() => openDataFolder(path), { code: 'USAGE' });
    assert.equal(readFileSync(join(path, 'center.key'), 'utf8'), text);
  }
});

test('a folder that is a file is refused with what to type', () => {
  const path = join(parent, 'file');
  writeFileSync(path, '');
  assert.throws(() => openDataFolder(path), { code: 'USAGE', hint: /--data/ });
});

test("the operator's token is kept while the store knows it, and made anew when it does not", async () => {
  await using center = await openTestCenter();
  const folder = openDataFolder(join(parent, 'token'));
  const file = await keepOperatorToken(folder, center.store);
  const read = () => readFileSync(file, 'utf8').trim();
  const first = read();
  assert.equal(modeOf(file), 0o600);
  await keepOperatorToken(folder, center.store);
  assert.equal(read(), first);
  const token = await center.store.findToken(first);
  await center.store.revokeToken(token?.id ?? '');
  await keepOperatorToken(folder, center.store);
  assert.notEqual(read(), first);
  assert.equal((await center.store.findToken(read()))?.role, 'operator');
});

test('a key that was lost is not made anew in silence: mirror clients trust its other half', () => {
  const path = join(parent, 'lost');
  openDataFolder(path);
  const published = readFileSync(join(path, 'center.pub'), 'utf8');
  rmSync(join(path, 'center.key'));
  assert.throws(() => openDataFolder(path), {
    code: 'USAGE',
    message: /center\.key is not there/,
    hint: /center\.pub/,
  });
  assert.equal(readFileSync(join(path, 'center.pub'), 'utf8'), published);
  rmSync(join(path, 'center.pub'));
  openDataFolder(path);
  assert.notEqual(readFileSync(join(path, 'center.pub'), 'utf8'), published);
});
