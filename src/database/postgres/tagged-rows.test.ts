import assert from 'node:assert/strict';
import { test } from 'node:test';
import { float8Text, textFor, typedRows } from './tagged-rows.ts';

const inColumn = (type: string, tagged: string, canonicalType = type) =>
  textFor({ type, canonicalType, keepApart: false }, tagged);

test('a value that its column can hold is that value', () => {
  assert.equal(inColumn('bigint', 'i-9223372036854775808'), '-9223372036854775808');
  assert.equal(inColumn('boolean', 'i1'), 't');
  assert.equal(inColumn('double precision', 'r1e300'), '1e300');
  assert.equal(inColumn('double precision', 'i42'), '42');
  assert.equal(inColumn('numeric', 'r0.1'), '0.1');
  assert.equal(inColumn('bytea', 'b00ff'), '\\x00ff');
  assert.equal(inColumn('text', 't'), '');
});

test('a value that does not fit asks for text', () => {
  for (const [type, tagged] of [
    ['bigint', 't12'],
    ['bigint', 'r1.5'],
    ['boolean', 'i2'],
    ['bytea', 'tabc'],
    ['double precision', 'i9007199254740993'],
    ['numeric', 'rInfinity'],
  ] as const) {
    assert.equal(inColumn(type, tagged), null, `${type} ${tagged}`);
  }
});

test('in a text column every value has a spelling of its own', () => {
  assert.equal(inColumn('text', 'b6869'), '\\x6869');
  assert.equal(inColumn('text', 't\\x6869'), '\\\\x6869');
  assert.equal(inColumn('text', 't\\\\x6869'), '\\\\\\x6869');
  assert.equal(inColumn('text', 't\\xyz'), '\\xyz');
  assert.equal(inColumn('text', 'r1e20', 'numeric'), '100000000000000000000');
  assert.equal(inColumn('text', 'r1e20', 'double precision'), '1e+20');
});

test('doubles are spelled as PostgreSQL spells them', () => {
  const spelled = [
    '0',
    '-0',
    '1',
    '0.1',
    '100000000000000',
    '1e15',
    '123456789012345680',
    '0.0001',
    '0.00001',
    '5e-324',
  ];
  const expected = [
    '0',
    '-0',
    '1',
    '0.1',
    '100000000000000',
    '1e+15',
    '1.2345678901234568e+17',
    '0.0001',
    '1e-05',
    '5e-324',
  ];
  assert.deepEqual(spelled.map(float8Text), expected);
});

test('rows keep nulls and the operation, and name the columns that do not fit', () => {
  const columns = [
    { name: 'id', type: 'bigint', canonicalType: 'bigint', keepApart: false },
    { name: 'note', type: 'text', canonicalType: 'text', keepApart: false },
  ];
  const rows = typedRows(Buffer.from('U\ti1\tta\\tb\nD\ti2\t\\N\n'), columns, 1);
  assert.equal(Buffer.from(rows.bytes).toString(), 'U\t1\ta\\tb\nD\t2\t\\N\n');
  assert.deepEqual(typedRows(Buffer.from('tone\t\\N\n'), columns, 0).misfits, [columns[0]]);
});

test('in a key without a type, numbers and texts that look like them stay two values', () => {
  const column = { type: 'text', canonicalType: 'text', keepApart: true };
  const values = [
    'i1',
    't1',
    't\\1',
    't\\\\1',
    'r1.5',
    't1.5',
    'rInfinity',
    'tInfinity',
    't01a',
    'b31',
    't\\x31',
    'tx',
  ];
  const texts = values.map((tagged) => textFor(column, tagged));
  assert.equal(new Set(texts).size, values.length, texts.join(' '));
  assert.deepEqual(texts.slice(0, 3), ['1', '\\1', '\\\\1']);
  assert.equal(textFor(column, 't+47 22'), '+47 22');
});
