import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dumpTable, firstValue, mirrorOnce, SqliteFixture } from '../../../test/support/sqlite-fixture.ts';
import { column, inTransaction, rowsOf, schemaOf, target } from '../../../test/support/sqlite-mirror.ts';

test('every value of a SQLite source is stored as it was', async () => {
  await using files = new SqliteFixture();
  const literals = [
    'NULL',
    '9223372036854775807',
    '-9223372036854775808',
    '0',
    '1',
    '1.0',
    '1.5',
    '-0.0',
    '1e300',
    '9e999',
    '-9e999',
    `''`,
    `'12'`,
    `'x'`,
    `'😀'`,
    `x''`,
    `x'00ff0a'`,
    `CAST(x'ff41' AS TEXT)`,
    `CAST(x'610062' AS TEXT)`,
    'char(65533)',
    '0.1',
    '1e15',
    `'1e5'`,
    `'NaN'`,
    '9007199254740993',
  ];
  const types = [
    '',
    'INTEGER',
    'INT',
    'TEXT',
    'VARCHAR(3)',
    'BLOB',
    'REAL',
    'NUMERIC',
    'BOOLEAN',
    'DATETIME',
    '"odd ""type"',
    'DECIMAL(10, 2)',
    '"primary key"',
  ];
  const columns = types.map((type, index) => `c${index} ${type}`).join(', ');
  const rows = literals.map((sql, id) => `INSERT INTO t VALUES (${id}${`, ${sql}`.repeat(types.length)});`);
  const source = `CREATE TABLE t(id INTEGER PRIMARY KEY, ${columns}); CREATE TABLE s(id INTEGER PRIMARY KEY, a ANY, b TEXT) STRICT; INSERT INTO s VALUES (1, '12', '1'), (2, 12.0, '1.0'), (3, x'12', '')`;
  for (const encoding of ['UTF-8', 'UTF-16le', 'UTF-16be']) {
    const db = files.plain(`${encoding}.db`, `PRAGMA encoding='${encoding}'; ${source}; ${rows.join('')}`);
    files.plain(`${encoding}-mirror.db`, `PRAGMA encoding='${encoding}'; CREATE TABLE other(a)`);
    const [from, to] = [await files.source(`${encoding}.db`), await files.mirror(`${encoding}-mirror.db`)];
    await mirrorOnce(from, to);
    const copy = files.plain(`${encoding}-mirror.db`);
    assert.deepEqual(dumpTable(copy, 't'), dumpTable(db, 't'));
    assert.deepEqual(dumpTable(copy, 's'), dumpTable(db, 's'));
    db.exec('UPDATE t SET id = id; UPDATE s SET id = id');
    copy.exec('UPDATE t SET c0 = 1; UPDATE s SET a = 1');
    assert.deepEqual(await mirrorOnce(from, to), []);
    assert.deepEqual(dumpTable(copy, 't'), dumpTable(db, 't'));
  }
});

test('values of PostgreSQL take the form that the mapping says', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  const cases: readonly (readonly [type: string, text: string | null, stored: string])[] = [
    ['smallint', '-32768', 'integer:-32768'],
    ['bigint', '9223372036854775807', 'integer:9223372036854775807'],
    ['oid', '4294967295', 'integer:4294967295'],
    ['real', '0.1', 'real:0.1'],
    ['double precision', '1e+300', 'real:1.0e+300'],
    ['double precision', 'NaN', 'text:NaN'],
    ['double precision', '-Infinity', 'real:-Inf'],
    ['double precision', '-0', 'real:0.0'],
    ['boolean', 't', 'integer:1'],
    ['boolean', 'f', 'integer:0'],
    ['bytea', '\\x00ff', 'blob:00FF'],
    ['bytea', '\\x', 'blob:'],
    ['numeric(40,3)', '123456789012345678901234567890.100', 'text:123456789012345678901234567890.100'],
    ['text', '', 'text:'],
    ['text', '12', 'text:12'],
    ['character varying(10)', '007', 'text:007'],
    ['timestamp with time zone', '2024-01-01 00:00:00+00', 'text:2024-01-01 00:00:00+00'],
    ['integer[]', '{1,2,NULL}', 'text:{1,2,NULL}'],
    ['jsonb', '{"a": 1}', 'text:{"a": 1}'],
    ['integer', null, 'null:'],
  ];
  for (const [type, text, stored] of cases) {
    const schema = schemaOf([column('id', 'integer', { nullable: false }), column('v', type)], { dialect: 'postgres' });
    await inTransaction(mirror, async (tx) => {
      await tx.dropTable({ table: schema.table, shadow: null });
      await tx.createTable(target(schema), true);
      await tx.apply(target(schema), rowsOf('postgres', ['U', '1', text]));
    });
    const sql = `SELECT typeof(v) || ':' || CASE typeof(v) WHEN 'blob' THEN hex(v) ELSE ifnull(v, '') END AS stored FROM t`;
    assert.equal(firstValue(files.plain('mirror.db'), sql), stored, `${type} ${text}`);
  }
  assert.deepEqual(
    mirror.describeForms(
      schemaOf([column('a', 'numeric'), column('b', 'text'), column('c', 'boolean'), column('d', 'integer')], {
        dialect: 'postgres',
      }),
    ),
    [`a: numeric becomes text in PostgreSQL's own form`, 'c: boolean becomes 0 or 1'],
  );
});

test('defaults of PostgreSQL are kept where SQLite can compute them', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  const defaults: readonly (readonly [type: string, sql: string])[] = [
    ['integer', '5'],
    ['integer', `'-5'::integer`],
    ['integer', `nextval('s'::regclass)`],
    ['text', `'it''s'::text`],
    ['character varying(9)', `'a'::character varying`],
    ['boolean', 'true'],
    ['timestamp without time zone', 'now()'],
    ['date', 'CURRENT_DATE'],
    ['numeric', '0.50'],
    ['text', 'NULL::text'],
    ['uuid', 'gen_random_uuid()'],
    ['text', `E'a\\nb'::text`],
    ['bytea', `'\\x0f'::bytea`],
    ['jsonb', `'{}'::jsonb`],
    ['double precision', '1.5'],
    ['timestamp with time zone', 'CURRENT_TIMESTAMP'],
  ];
  const columns = defaults.map(([type, sql], index) => column(`c${index}`, type, { defaultExpression: sql }));
  const [sql = ''] = mirror.describeCreate(target(schemaOf(columns, { key: [], dialect: 'postgres' })));
  const kept = sql
    .split('\n')
    .slice(1, -1)
    .map((line) => / DEFAULT (.*?),?$/.exec(line)?.[1] ?? null);
  assert.deepEqual(kept, [
    '5',
    '-5',
    null,
    `'it''s'`,
    `'a'`,
    '1',
    'CURRENT_TIMESTAMP',
    'CURRENT_DATE',
    `'0.50'`,
    'NULL',
    null,
    null,
    `X'0f'`,
    `'{}'`,
    '1.5',
    'CURRENT_TIMESTAMP',
  ]);
  files.plain('check.db', sql);
});
