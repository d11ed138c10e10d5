import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STORED_CHARS_MAX } from './limits.ts';
import { StoredTexts } from './stored-texts.ts';

test('a text that is closed makes room', () => {
  const texts = new StoredTexts();
  const large = 'x'.repeat(STORED_CHARS_MAX / 2 + 1);
  const store = (sqlId: number) => texts.carryOut({ kind: 'store_sql', sqlId, sql: large }).kind;
  assert.deepEqual([store(1), store(2)], ['store_sql', 'error']);
  for (let again = 0; again < 2; again++) texts.carryOut({ kind: 'close_sql', sqlId: 1 });
  assert.deepEqual([store(2), store(1)], ['store_sql', 'error']);
  assert.equal(texts.resolve(2), large);
  assert.equal(texts.resolve('SELECT 1'), 'SELECT 1');
  assert.throws(() => texts.resolve(1), { code: 'PROTOCOL_BROKEN' });
});
