import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { mirror } from '../../src/mirror.ts';
import { verify } from '../../src/verify.ts';
import { withClient } from '../support/postgres-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { withDirectory } from '../support/workload.ts';
import { copiedIn, fromSqlite, testPairs } from './mirroring.ts';

const DECLARED = [
  '',
  'INTEGER',
  'INT',
  'BIGINT',
  'TEXT',
  'VARCHAR(3)',
  'CHAR(2) COLLATE NOCASE',
  'REAL',
  'DOUBLE PRECISION',
  'FLOAT',
  'NUMERIC',
  'DECIMAL(10,2)',
  'BOOLEAN',
  'DATE',
  'DATETIME',
  'TIMESTAMP',
  'TIME',
  'BLOB',
  'JSON',
  'UUID',
  'STRING',
  'MONEY',
  '"odd type, ""really"""',
];

const VALUES = [
  'NULL',
  '0',
  '1',
  '-1',
  '9223372036854775807',
  '-9223372036854775808',
  '9007199254740993',
  '0.1',
  '1e300',
  '5e-324',
  '9e999',
  '-9e999',
  '1e15',
  '123456789012345680.0',
  `''`,
  `'a'`,
  `'1'`,
  `'1.50'`,
  `'true'`,
  `'NaN'`,
  `'\\x41'`,
  `'\\\\x41'`,
  `'\\N'`,
  `'a' || char(9) || 'b' || char(10) || char(13) || '\\'`,
  `'Åse 𝄞'`,
  `'2024-02-29'`,
  `char(0) || 'after a nul'`,
  `CAST(x'c328' AS TEXT)`,
  `x''`,
  `x'00ff'`,
  `x'5c78'`,
];

/** A table for each declared type with a row for each value: SQLite stores any value in any column. */
const tables = (declared: readonly string[]): string =>
  declared
    .map(
      (type, index) =>
        `CREATE TABLE t${index} (id INTEGER PRIMARY KEY, v ${type}); INSERT INTO t${index}(v) VALUES ${VALUES.map((value) => `(${value})`).join(', ')};`,
    )
    .join('\n');

testPairs(
  'every value in a column of every declared type',
  async (m) => {
    await m.source.sql(tables(DECLARED));
    await m.follow();
    const all = (sql: (table: string) => string) => DECLARED.map((_, index) => sql(`t${index}`)).join(';\n');
    await m.source.sql(
      all((table) => `UPDATE ${table} SET id = id + 1000 WHERE id % 2 = 0; DELETE FROM ${table} WHERE id = 3`),
    );
    assert.deepEqual(copiedIn(await m.follow()), []);
  },
  fromSqlite,
);

testPairs(
  'values that a column’s type cannot hold arrive after rows that it could',
  async (m) => {
    await m.source.sql(`CREATE TABLE t (id INTEGER PRIMARY KEY, i INTEGER, r REAL, b BOOLEAN, n NUMERIC, y BLOB, d DATE);
    INSERT INTO t VALUES (1, 5, 1.5, 1, 2.5, x'00', '2024-01-01'), (2, -7, 1e20, 0, 12345678901234567890, x'ff', NULL)`);
    await m.follow();
    await m.source.sql(
      `INSERT INTO t VALUES (3, 'text', 'text', 'text', 'text', 'text', 5), (4, x'aa', x'bb', x'cc', x'dd', 1.5, x'ee'); UPDATE t SET i = 'now text' WHERE id = 1`,
    );
    await m.follow();
    await m.source.sql(`UPDATE t SET b = 7 WHERE id = 2; UPDATE t SET r = 3; DELETE FROM t WHERE id = 3`);
    await m.follow();
  },
  fromSqlite,
);

testPairs(
  'keys of every kind of value',
  async (m) => {
    const kinds = ['TEXT', 'BLOB', 'REAL', 'NUMERIC', ''];
    const values = VALUES.slice(1).filter((value) => value !== `'1'`);
    await m.source.sql(
      kinds
        .map(
          (type, index) =>
            `CREATE TABLE k${index} (k ${type} PRIMARY KEY NOT NULL, v) WITHOUT ROWID; INSERT OR IGNORE INTO k${index} SELECT column1, 0 FROM (VALUES ${values.map((value) => `(${value})`).join(', ')});`,
        )
        .join('\n'),
    );
    await m.follow();
    await m.source.sql(
      kinds
        .map(
          (_, index) =>
            `UPDATE k${index} SET v = 1 WHERE typeof(k) <> 'real'; DELETE FROM k${index} WHERE k IN ('a', 1, x'00ff')`,
        )
        .join(';\n'),
    );
    await m.follow();
  },
  fromSqlite,
);

testPairs(
  'a strict table, and databases in UTF-16',
  async (m) => {
    await m.source.sql(
      `CREATE TABLE s (id INTEGER PRIMARY KEY, i INT, r REAL, t TEXT, b BLOB, a ANY) STRICT; INSERT INTO s VALUES (1, 1, 1.0, 'Å', x'00', '1'), (2, NULL, NULL, NULL, NULL, 1), (3, 2, 2.5, '𝄞', x'', x'01')`,
    );
    await m.follow();
    await m.source.sql(`UPDATE s SET a = 1.5 WHERE id = 1; DELETE FROM s WHERE id = 2`);
    await m.follow();
  },
  fromSqlite,
);

test('sqlite→postgres: a key without a type that holds the number 1 and the text 1', async () => {
  using directory = withDirectory();
  const server = await sharedPostgres();
  const [source, target] = [directory.file('keys.db'), await server.createDatabase()];
  using database = new DatabaseSync(source);
  database.exec(`CREATE TABLE k (k PRIMARY KEY NOT NULL, v) WITHOUT ROWID; CREATE TABLE b (k BLOB PRIMARY KEY NOT NULL) WITHOUT ROWID;
    INSERT INTO k VALUES (1, 'number'), ('1', 'text'), ('\\1', 'text with a backslash'), (x'31', 'blob'), ('one', 'word');
    INSERT INTO b VALUES (1), ('1'), (x'31')`);
  await mirror({ source, mirror: target });
  const rows = (sql: string) =>
    withClient(target, async (client) => (await client.query({ text: sql, rowMode: 'array' })).rows);
  assert.deepEqual(
    new Set((await rows('SELECT k, v FROM k')).map(String)),
    new Set(['1,number', '\\1,text', '\\\\1,text with a backslash', '\\x31,blob', 'one,word']),
  );
  assert.equal((await rows('SELECT k FROM b')).length, 3);
  assert.equal((await verify({ source, mirror: target })).identical, true);
  database.exec("UPDATE k SET v = 'changed' WHERE k = '1'; DELETE FROM k WHERE k = 1");
  await mirror({ source, mirror: target });
  assert.deepEqual(await rows("SELECT v FROM k WHERE k IN ('1', '\\1')"), [['changed']]);
  assert.equal((await verify({ source, mirror: target })).identical, true);
});
