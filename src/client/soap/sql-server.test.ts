import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { column } from '../../../test/support/sqlite-mirror.ts';
import type { Dialect } from '../../core/table.ts';
import { sqlServerDefault, sqlServerType } from './sql-server-types.ts';
import { Inexpressible, isInXml, valueWriter } from './sql-server-values.ts';
import { columnType } from './types.ts';
import { valueReader } from './values.ts';

const typeText = (type: string, dialect: Dialect = 'postgres', isKey = false) =>
  sqlServerType(column('c', type), dialect, isKey).text;

test('types in the words of SQL Server', () => {
  const expected: Readonly<Record<string, string>> = {
    smallint: 'smallint',
    integer: 'int',
    bigint: 'bigint',
    oid: 'bigint',
    boolean: 'bit',
    real: 'float',
    'double precision': 'float',
    'numeric(12,3)': 'decimal(12,3)',
    'numeric(38,38)': 'decimal(38,38)',
    'numeric(39,3)': 'nvarchar(max)',
    'numeric(3,-2)': 'nvarchar(max)',
    'numeric(3,5)': 'nvarchar(max)',
    numeric: 'nvarchar(max)',
    'numeric(12,3)[]': 'nvarchar(max)',
    'timestamp without time zone': 'datetime',
    'timestamp(3) with time zone': 'datetime',
    date: 'datetime',
    'time without time zone': 'nvarchar(max)',
    text: 'nvarchar(max)',
    'character varying': 'nvarchar(max)',
    'character varying(40)': 'nvarchar(80)',
    'character varying(2000)': 'nvarchar(4000)',
    'character varying(2001)': 'nvarchar(max)',
    'character(3)': 'nvarchar(6)',
    uuid: 'nvarchar(36)',
    bytea: 'varbinary(max)',
    'bytea[]': 'nvarchar(max)',
    jsonb: 'nvarchar(max)',
  };
  for (const [type, text] of Object.entries(expected)) assert.equal(typeText(type), text, type);
  assert.equal(typeText('numeric', 'sqlite'), 'float');
  assert.equal(typeText('text', 'postgres', true), 'nvarchar(450)');
  assert.equal(typeText('character varying(40)', 'postgres', true), 'nvarchar(80)');
  assert.equal(typeText('bytea', 'postgres', true), 'varbinary(900)');
});

test('every type is one that our own mirror client knows', () => {
  for (const type of ['smallint', 'bigint', 'boolean', 'real', 'numeric(9,2)', 'date', 'text', 'bytea', 'uuid']) {
    assert.notEqual(columnType(typeText(type)), null, type);
  }
});

test('defaults that are literals', () => {
  const defaultOf = (type: string, defaultExpression: string | null, dialect: Dialect = 'postgres') => {
    const made = column('c', type, { defaultExpression });
    return sqlServerDefault(made, sqlServerType(made, dialect, false));
  };
  assert.equal(defaultOf('integer', '0'), 'default ((0))');
  assert.equal(defaultOf('integer', "'-1'::integer"), 'default ((-1))');
  assert.equal(defaultOf('bigint', '(-5)'), 'default ((-5))');
  assert.equal(defaultOf('numeric(9,2)', '1.50'), 'default ((1.50))');
  assert.equal(defaultOf('text', "'it''s'::text"), "default (N'it''s')");
  assert.equal(defaultOf('text', "''::character varying"), "default (N'')");
  assert.equal(defaultOf('boolean', 'true'), 'default ((1))');
  assert.equal(defaultOf('boolean', "'f'::boolean"), 'default ((0))');
  assert.equal(defaultOf('boolean', '1', 'sqlite'), 'default ((1))');
  const noDate = "default (N'1760-01-01 00:00:00')";
  assert.equal(defaultOf('timestamp without time zone', "'1760-01-01 00:00:00'::timestamp without time zone"), noDate);
  for (const [type, sql] of [
    ['timestamp without time zone', 'now()'],
    ['timestamp without time zone', "'infinity'::timestamp without time zone"],
    ['integer', '1 + 1'],
    ['text', "'a' || 'b'"],
    ['text', 'NULL::text'],
    ['bytea', "'\\x00'::bytea"],
    ['text', null],
  ] as const) {
    assert.equal(defaultOf(type, sql), '', sql ?? 'none');
  }
});

/** Through the contract and back by the rules of our own mirror client, as a tagged field. */
function roundTrip(type: string, field: string, dialect: Dialect = 'postgres'): string | undefined {
  const sent = sqlServerType(column('c', type), dialect, false);
  const value = valueWriter(sent, dialect === 'sqlite' ? 'tagged' : 'typed')(field);
  const read = columnType(sent.text);
  return value === null || read === null ? undefined : valueReader(read)(value);
}

test('values of every kind come through as they are', () => {
  const holds = <T>(values: fc.Arbitrary<T>, check: (value: T) => void) => fc.assert(fc.property(values, check));
  const integers = (bits: bigint) => fc.bigInt({ min: -(2n ** (bits - 1n)), max: 2n ** (bits - 1n) - 1n });
  holds(integers(16n), (n) => assert.equal(roundTrip('smallint', String(n)), `i${n}`));
  holds(integers(32n), (n) => assert.equal(roundTrip('integer', String(n)), `i${n}`));
  holds(integers(64n), (n) => assert.equal(roundTrip('bigint', String(n)), `i${n}`));
  holds(integers(64n), (n) => assert.equal(roundTrip('bigint', `i${n}`, 'sqlite'), `i${n}`));
  const doubles = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((d) => !Object.is(d, -0));
  holds(doubles, (d) => assert.equal(roundTrip('double precision', String(d)), `r${d}`));
  holds(doubles, (d) => assert.equal(roundTrip('double precision', `r${d}`, 'sqlite'), `r${d}`));
  const texts = fc.string({ unit: 'binary' }).filter(isInXml);
  holds(texts, (text) => assert.equal(roundTrip('text', text), `t${text}`));
  holds(texts, (text) => assert.equal(roundTrip('text', `t${text}`, 'sqlite'), `t${text}`));
  const hexes = fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('hex'));
  holds(hexes, (hex) => assert.equal(roundTrip('bytea', `\\x${hex}`), `b${hex}`));
  holds(hexes, (hex) => assert.equal(roundTrip('bytea', `b${hex}`, 'sqlite'), `b${hex}`));
  const range = { noInvalidDate: true, min: new Date('1753-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z') };
  holds(fc.date(range), (date) => {
    const text = date
      .toISOString()
      .replace('T', ' ')
      .replace(/\.?0*Z$/, '');
    const printed =
      /:\d\d$/.test(text) || text.includes('.') ? text : date.toISOString().slice(0, 19).replace('T', ' ');
    assert.equal(roundTrip('timestamp without time zone', printed), `t${printed}`);
    assert.equal(roundTrip('timestamp with time zone', `${printed}+00`), `t${printed}`);
  });
});

test('what cannot be said is refused', () => {
  const refused = (type: string, field: string, dialect: Dialect = 'postgres') =>
    assert.throws(() => roundTrip(type, field, dialect), Inexpressible, `${type} ${field}`);
  for (const number of ['NaN', 'Infinity', '-Infinity']) refused('double precision', number);
  refused('numeric(5,2)', 'NaN');
  for (const date of ['infinity', '0044-03-15 BC', '1752-12-31', '10000-01-01']) refused('date', date);
  for (const code of [0, 1, 8, 11, 12, 14, 31, 0xfffe, 0xffff]) {
    refused('text', `a${String.fromCharCode(code)}`);
    refused('text', `ta${String.fromCharCode(code)}`, 'sqlite');
  }
  refused('character varying(2)', '12345');
  refused('bigint', 'ttext', 'sqlite');
  refused('bigint', 'r1.5', 'sqlite');
  refused('double precision', 'ttext', 'sqlite');
  refused('double precision', 'rInfinity', 'sqlite');
  refused('double precision', 'i9007199254740993', 'sqlite');
  refused('boolean', 'i2', 'sqlite');
  refused('bytea', 'ttext', 'sqlite');
  refused('text', 'b00', 'sqlite');
  refused('text', 'x00', 'sqlite');
  assert.equal(roundTrip('double precision', 'i5', 'sqlite'), 'r5');
  assert.equal(roundTrip('text', 'i5', 'sqlite'), 't5');
});
