import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { SpeilError } from '../core/error.ts';
import { DatabaseName } from './databases/database-name.ts';
import { adminTokenOf, ServerTokens } from './tokens.ts';

const folder = mkdtempSync(join(tmpdir(), 'speil-tokens-'));
after(() => rmSync(folder, { recursive: true }));

const clock = { now: () => Date.UTC(2026, 0, 1) };
const ADMIN = 'an-admin-token-that-an-operator-made-up';
const shop = DatabaseName.of('shop');
const open = (name: string) => ServerTokens.open({ path: join(folder, name), adminSecret: ADMIN, clock });

test('tokens are found by their secret, over restarts, until they are revoked', () => {
  const tokens = open('a.json');
  const { token, secret } = tokens.create({ access: 'read', database: shop });
  assert.match(secret, /^speil_read_[0-9a-f]{12}_[\w-]{43}$/);
  assert.deepEqual(tokens.list, [
    { id: token.id, access: 'read', database: 'shop', createdAt: '2026-01-01T00:00:00.000Z' },
  ]);
  assert.equal(open('a.json').find(secret)?.id, token.id);
  const changed = `${secret.slice(0, -1)}${secret.endsWith('A') ? 'B' : 'A'}`;
  for (const wrong of ['', 'x', changed, secret.slice(0, -1), `${secret}x`, secret.replace('read', 'write')])
    assert.equal(tokens.find(wrong), null, wrong);
  tokens.revoke(token.id);
  assert.equal(tokens.find(secret), null);
  assert.equal(open('a.json').find(secret), null);
  assert.throws(() => tokens.revoke(token.id), /there is no token/);
});

test('neither a secret nor a part of it is in the file, which nobody else can read', () => {
  const tokens = open('b.json');
  const { secret } = tokens.create({ access: 'write', database: null });
  const text = readFileSync(join(folder, 'b.json'), 'utf8');
  assert.ok(!text.includes(secret.slice(-43)) && !text.includes(ADMIN));
  assert.equal(statSync(join(folder, 'b.json')).mode & 0o777, 0o600);
});

test('a database that is dropped takes its own tokens along', () => {
  const tokens = open('c.json');
  const own = tokens.create({ access: 'read', database: shop });
  const all = tokens.create({ access: 'read', database: null });
  tokens.revokeAllOf(shop);
  assert.equal(tokens.find(own.secret), null);
  assert.notEqual(tokens.find(all.secret), null);
});

test('the admin token is the one in the file, or a new one', () => {
  const file = join(folder, 'admin.token');
  const made = adminTokenOf(file);
  assert.equal(adminTokenOf(file), made);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(open('d.json').find(ADMIN)?.access, 'admin');
  assert.equal(open('d.json').find(made), null);
  writeFileSync(file, 'short\n');
  assert.throws(
    () => adminTokenOf(file),
    (error) => error instanceof SpeilError && /32 to 200/.test(error.hint ?? ''),
  );
});

test('a file that holds something else is refused and left as it is', () => {
  const file = join(folder, 'e.json');
  for (const text of ['', '{}', '{"version":1,"tokens":[{"id":"x"}]}', '{"version":2,"tokens":[]}']) {
    writeFileSync(file, text);
    assert.throws(() => open('e.json'), /does not hold the tokens/, text);
    assert.equal(readFileSync(file, 'utf8'), text);
  }
});
