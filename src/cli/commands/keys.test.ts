import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { speilHere } from '../../../test/support/speil-here.ts';
import { withDirectory } from '../../../test/support/workload.ts';

test('speil keys create writes both halves, the private one for its owner only, and overwrites nothing', async () => {
  using directory = withDirectory();
  const { file, path } = directory;
  const made = await speilHere(['keys', 'create', file('app.key'), '--json']);
  assert.equal(made.code, 0);
  assert.deepEqual(readdirSync(path).toSorted(), ['app.key', 'app.pub']);
  assert.equal(statSync(file('app.key')).mode & 0o777, 0o600);
  assert.match(readFileSync(file('app.key'), 'utf8'), /^-----BEGIN PRIVATE KEY-----/);
  assert.match(readFileSync(file('app.pub'), 'utf8'), /^-----BEGIN PUBLIC KEY-----/);
  const before = readFileSync(file('app.key'));
  for (const name of ['app.key', 'app.pem', 'app']) {
    const again = await speilHere(['keys', 'create', file(name)]);
    assert.equal(again.code, 2);
    assert.match(again.stderr, /is there already, and was left as it is/);
  }
  assert.deepEqual(readFileSync(file('app.key')), before);
  assert.deepEqual(readdirSync(path).toSorted(), ['app.key', 'app.pub']);
  assert.equal((await speilHere(['keys', 'create', file('x.pub')])).code, 2);
  assert.equal((await speilHere(['keys', 'create', file('no/such/folder.key')])).code, 2);
  const inFile = await speilHere(['keys', 'create', file('app.pub/x.key')]);
  assert.deepEqual([inFile.code, /is a file, not a folder/.test(inFile.stderr)], [2, true]);
});

test('speil keys show names a key alike by both its halves, and never shows it', async () => {
  using directory = withDirectory();
  const { file } = directory;
  for (const [name, kind, flags] of [
    ['app', 'ed25519', []],
    ['soap', 'rsa', ['--rsa']],
  ] as const) {
    const [made] = (await speilHere(['keys', 'create', file(`${name}.key`), '--json', ...flags])).events;
    const shown = async (half: string) => (await speilHere(['keys', 'show', file(`${name}.${half}`)])).stdout;
    assert.equal(await shown('pub'), `${made?.['keyId']}  ${kind}, public\n`);
    assert.equal(await shown('key'), `${made?.['keyId']}  ${kind}, private\n`);
  }
  const nothing = await speilHere(['keys', 'show', file('nothing.key')]);
  assert.deepEqual([nothing.code, /nothing\.key cannot be read/.test(nothing.stderr)], [2, true]);
});
