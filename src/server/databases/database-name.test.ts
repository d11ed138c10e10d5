import assert from 'node:assert/strict';
import { resolve, sep } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { SpeilError } from '../../core/error.ts';
import { DatabaseName } from './database-name.ts';

test('names of databases, and what is none', () => {
  for (const name of ['a', '7', 'shop', 'shop-2', 'shop_2', 'v', 'version2', 'x'.repeat(63)])
    assert.ok(DatabaseName.is(name), name);
  const wrong = ['', '.', '..', 'a/b', 'a\\b', 'Shop', 'a b', '-a', '_a', 'a.db', 'å', 'a\n', 'x'.repeat(64), '%2e'];
  for (const name of [...wrong, 'admin', 'healthz', 'readyz', 'metrics', 'v2', 'v3', 'v14', 'v3-protobuf'])
    assert.ok(!DatabaseName.is(name), name);
});

test('a name that is refused says what one looks like', () => {
  assert.throws(
    () => DatabaseName.of('../shop'),
    (error) => error instanceof SpeilError && error.code === 'USAGE' && /lower-case/.test(error.hint ?? ''),
  );
});

test('whatever is a name stays one folder below, and the same in a URL', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ maxLength: 4 }), fc.stringMatching(/^[a-z0-9./\\%_-]{1,5}$/)), (text) => {
      if (!DatabaseName.is(text)) return;
      assert.equal(resolve(`${sep}data`, text), `${sep}data${sep}${text}`);
      assert.equal(new URL(`/${text}/v2`, 'http://h').pathname, `/${text}/v2`);
    }),
  );
});
