import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ColumnInfo } from './messages.ts';
import { readDefault, readTable } from './schema.ts';
import { columnType } from './types.ts';

const column = (more: Partial<ColumnInfo>): ColumnInfo => ({
  name: 'c',
  type: 'int',
  isNullable: true,
  defaultValue: null,
  ...more,
});
const KEY = column({ name: 'id', isNullable: false });
const only = (more: Partial<ColumnInfo>) => {
  const { schema, notes } = readTable({ tableName: 't', columns: [KEY, column(more)] });
  return { ...schema.columns[1], notes };
};

const defaultOf = (type: string, spelled: string) => {
  const known = columnType(type);
  assert.ok(known);
  return readDefault(spelled, known);
};

test('defaults are read as SQL Server prints them', () => {
  const values: readonly (readonly [string, string, string | null | undefined])[] = [
    ['int', 'default ((0))', 'i0'],
    ['int', 'default ((-1))', 'i-1'],
    ['int', 'DEFAULT (0)', 'i0'],
    ['int', '((7))', 'i7'],
    ['int', '', null],
    ['int', 'default', null],
    ['int', 'default (NULL)', null],
    ['int', 'default ((3000000000))', undefined],
    ['smallint', "default ('5')", 'i5'],
    ['bit', 'default ((1))', 'i1'],
    ['float', 'default ((0))', 'r0'],
    ['float', 'default ((1.5))', 'r1.5'],
    ['decimal(10,2)', 'default ((1.5))', 't1.50'],
    ['nvarchar(40)', "default (N'')", 't'],
    ['nvarchar(40)', "default ('it''s (odd')", "tit's (odd"],
    ['nvarchar(40)', "default (N'a)' )", 'ta)'],
    ['nvarchar(40)', 'default ((0))', 't0'],
    ['ntext', "default (N'x')", 'tx'],
    ['datetime', "default (N'1760-01-01 00:00:00')", 't1760-01-01 00:00:00'],
    ['datetime', "default ('20200229')", 't2020-02-29 00:00:00'],
    ['datetime', "default ('1760-13-01')", undefined],
    ['datetime', 'default ((0))', undefined],
    ['datetime', 'default (getdate())', undefined],
    ['date', "default ('2020-02-29')", 't2020-02-29'],
    ['time', "default ('10:00')", 't10:00:00'],
    ['varbinary(max)', 'default (0x00)', undefined],
    ['int', 'default ((1)+(2))', undefined],
    ['int', 'default (CONVERT([int],(1)))', undefined],
    ['nvarchar(40)', "default (N'a'+N'b')", undefined],
    ['uniqueidentifier', 'default (newid())', undefined],
    ['int', `default ${'('.repeat(3_000)}1${')'.repeat(3_000)}`, undefined],
  ];
  for (const [type, spelled, expected] of values)
    assert.equal(defaultOf(type, spelled), expected, `${type} ${spelled}`);
});

test('a column becomes one of the mirror, with its literal default and what older rows hold', () => {
  const named = only({ name: 'a name', type: 'nvarchar(40)', isNullable: false, defaultValue: "default (N'it''s')" });
  assert.equal(named.defaultExpression, "'it''s'");
  assert.deepEqual(named.fill, { kind: 'value', text: "tit's" });
  assert.equal(named.declaredType, 'nvarchar(40)');
  assert.deepEqual(only({ defaultValue: 'default ((5))' }).fill, { kind: 'value', text: null });
  assert.deepEqual(only({ isNullable: false }).fill, { kind: 'unknown' });
  const odd = only({ type: 'geography', defaultValue: 'default (getdate())', isNullable: false });
  assert.equal(odd.type, 'text');
  assert.deepEqual(odd.fill, { kind: 'unknown' });
  assert.match(odd.notes.join(), /geography is not known.*default is left out/);
});

test('the first column is the key', () => {
  const { schema } = readTable({ tableName: 't', columns: [KEY, column({})] });
  assert.deepEqual(schema.key, ['id']);
  assert.deepEqual(schema.table, { schema: null, name: 't' });
});

test('a table that cannot be one is refused', () => {
  const columns = [KEY];
  for (const table of [
    { tableName: null, columns },
    { tableName: ' ', columns },
    { tableName: 'a\0b', columns },
    { tableName: 'x'.repeat(129), columns },
    { tableName: 't', columns: [] },
    { tableName: 't', columns: [KEY, KEY] },
    { tableName: 't', columns: [KEY, column({ name: null })] },
    { tableName: 't', columns: [KEY, column({ name: '' })] },
  ])
    assert.throws(() => readTable(table), { code: 'CONTRACT_BROKEN' });
});
