import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { countRows, decodeRows, escapeField, lastRowEnd, nextRowEnd, RowEncoder, unescapeField } from './row-text.ts';

const encode = (rows: readonly (readonly (string | null)[])[]) => {
  const encoder = new RowEncoder(1_000_000);
  for (const row of rows) encoder.add(row);
  return encoder.take();
};

test('each special character has its own escape and comes back', () => {
  assert.equal(escapeField('\b\f\n\r\t\v\\'), '\\b\\f\\n\\r\\t\\v\\\\');
  assert.equal(unescapeField('\\b\\f\\n\\r\\t\\v\\\\'), '\b\f\n\r\t\v\\');
});

test('null, the text \\N and empty text are three things', () => {
  const { rows } = encode([[null, '\\N', '', 'N']]);
  assert.equal(Buffer.from(rows).toString(), '\\N\t\\\\N\t\tN\n');
  assert.deepEqual([...decodeRows(rows)], [[null, '\\N', '', 'N']]);
});

test('escapes that PostgreSQL reads but does not write are understood', () => {
  assert.equal(unescapeField('\\101\\x42\\q'), 'ABq');
});

test('any text comes back as it was, row by row', () => {
  const field = fc.option(
    fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('\\', '\n', '\t', '\\N', '\u2028')),
  );
  const width = fc.integer({ min: 1, max: 4 });
  const table = width.chain((fields) => fc.array(fc.array(field, { minLength: fields, maxLength: fields })));
  fc.assert(
    fc.property(table, (given) => {
      const { rows, rowCount } = encode(given);
      assert.deepEqual([...decodeRows(rows)], given);
      assert.equal(rowCount, given.length);
      assert.equal(countRows(rows), given.length);
    }),
  );
});

test('a view into a larger buffer is read at its own offset', () => {
  const { rows } = encode([['a'], ['b']]);
  const framed = new Uint8Array([1, 10, ...rows, 10, 2]);
  assert.deepEqual([...decodeRows(framed.subarray(2, 2 + rows.length))], [['a'], ['b']]);
});

test('row ends are found in incomplete input', () => {
  const bytes = Buffer.from('a\tb\nc');
  assert.equal(lastRowEnd(bytes), 4);
  assert.equal(nextRowEnd(bytes, 0), 4);
  assert.equal(nextRowEnd(bytes, 4), 0);
  assert.equal(lastRowEnd(Buffer.from('abc')), 0);
});

test('the encoder says when a chunk is full, also for one row larger than a chunk', () => {
  const encoder = new RowEncoder(100);
  encoder.add(['x'.repeat(98)]);
  assert.equal(encoder.isFull, false);
  encoder.add(['']);
  assert.equal(encoder.isFull, true);
  const first = encoder.take();
  encoder.add(['\u{1F600}'.repeat(10_000)]);
  assert.equal(encoder.size, 40_001);
  assert.equal(first.rowCount, 2);
  assert.equal(Buffer.from(first.rows).toString(), `${'x'.repeat(98)}\n\n`);
  assert.equal(encoder.take().rowCount, 1);
  assert.equal(encoder.take().rowCount, 0);
});
