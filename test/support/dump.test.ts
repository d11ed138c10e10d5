import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { assertSameRows, dumpDatabase } from './dump.ts';
import { sharedPostgres } from './shared-postgres.ts';
import { withDirectory } from './workload.ts';

async function databaseWith(script: string): Promise<string> {
  const server = await sharedPostgres();
  const url = await server.createDatabase();
  await server.sql(new URL(url).pathname.slice(1), script);
  return url;
}

function fileWith(path: string, script: string): string {
  const database = new DatabaseSync(path);
  database.exec(script);
  database.close();
  return `sqlite:${path}`;
}

const TYPES = `
  CREATE DOMAIN small AS smallint; CREATE TYPE mood AS ENUM ('glad', 'sad');
  CREATE TABLE t (id small PRIMARY KEY, f double precision, r real, b boolean, y bytea, n numeric, m mood, c char(3),
    w timestamptz, j jsonb, v interval, a int[], g int GENERATED ALWAYS AS (id * 2) STORED);
  INSERT INTO t VALUES (1, 'NaN', 0.1, true, '\\x00ff', 1.50, 'sad', 'x', '2024-02-29 12:00:00+02', '{"b":1}', '1 day', '{1,NULL}'),
    (2, '-0', '-Infinity', false, '', 'NaN', 'glad', 'xyz', 'infinity', 'null', '-1 mon', '{}'),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`;

test('a dump holds every table but those of the system and of Speil', async () => {
  const url = await databaseWith(`CREATE TABLE b (x int); CREATE SCHEMA "S"; CREATE TABLE "S".a (x int);
    CREATE TABLE speil_tracked (x int); CREATE TABLE speil_mirroring (x int); CREATE SCHEMA speil; CREATE TABLE speil.c (x int);
    CREATE TABLE p (x int) PARTITION BY LIST (x); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); INSERT INTO p1 VALUES (1);
    CREATE TABLE child () INHERITS (b); INSERT INTO child VALUES (5); CREATE VIEW v AS SELECT 1`);
  const { tables } = await dumpDatabase(url);
  assert.deepEqual([...tables.keys()], ['S.a', 'b', 'child', 'p']);
  assert.deepEqual(tables.get('p')?.rows, [['1']]);
  assert.deepEqual(tables.get('b')?.rows, []);
  assert.deepEqual([...(await dumpDatabase(url, { schemas: ['S'] })).tables.keys()], ['S.a']);
  assert.deepEqual([...(await dumpDatabase(url, { tables: ['b'] })).tables.keys()], ['b']);
});

test('equal PostgreSQL databases are the same, whatever the session settings and the order', async () => {
  const source = await databaseWith(TYPES);
  const mirror = await databaseWith(`${TYPES}; CREATE TABLE moved AS SELECT * FROM t ORDER BY id DESC; DROP TABLE t;
    ALTER TABLE moved RENAME TO t; ALTER TABLE t DROP COLUMN c; ALTER TABLE t ADD c text; UPDATE t SET c = rpad('x', 3) WHERE id = 1;
    UPDATE t SET c = 'xyz' WHERE id = 2`);
  const name = new URL(mirror).pathname.slice(1);
  await (await sharedPostgres()).sql(
    name,
    `ALTER DATABASE ${name} SET TimeZone = 'Asia/Tokyo'; ALTER DATABASE ${name} SET extra_float_digits = -5`,
  );
  await assertSameRows(source, mirror);
});

test('a difference is shown with its rows', async () => {
  const source = await databaseWith(
    `CREATE TABLE t AS SELECT n AS id, 'a' AS v FROM generate_series(1, 100) n; CREATE TABLE gone (x int)`,
  );
  const mirror = await databaseWith(`CREATE TABLE t AS SELECT n AS id, 'a' AS v FROM generate_series(1, 99) n;
    INSERT INTO t VALUES (7, 'a'); UPDATE t SET v = 'A' WHERE id = 8; CREATE TABLE own (x int)`);
  const expected = [
    'the mirror differs from its source',
    'gone: not in the mirror',
    'own: only in the mirror',
    't: 2 rows are missing and 2 should not be there (100 rows in the source, 100 in the mirror)',
    '  - {"id":"100","v":"a"}',
    '  - {"id":"8","v":"a"}',
    '  + {"id":"7","v":"a"}',
    '  + {"id":"8","v":"A"}',
  ];
  await assert.rejects(assertSameRows(source, mirror), { message: expected.join('\n') });
  await assert.rejects(assertSameRows(source, mirror, { tables: ['t'] }), /2 rows are missing/);
  await assert.rejects(
    assertSameRows(source, mirror, { allowExtraTables: true }),
    (error: Error) => !/own/.test(error.message),
  );
});

test('PostgreSQL in SQLite: each value in its documented form and storage class', async () => {
  using directory = withDirectory();
  const source = await databaseWith(TYPES);
  const columns =
    'id INTEGER PRIMARY KEY, f REAL, r REAL, b BOOLEAN, y BLOB, n TEXT, m TEXT, c TEXT, w TEXT, j TEXT, v TEXT, a TEXT, g INTEGER';
  const rows = `(1, 'NaN', 0.1, 1, x'00ff', '1.50', 'sad', 'x  ', '2024-02-29 10:00:00+00', '{"b": 1}', '1 day', '{1,NULL}', 2),
    (2, 0.0, -9e999, 0, x'', 'NaN', 'glad', 'xyz', 'infinity', 'null', '-1 mons', '{}', 4), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 6)`;
  const mirror = fileWith(directory.file('a.db'), `CREATE TABLE t (${columns}); INSERT INTO t VALUES ${rows}`);
  await assertSameRows(source, mirror);
  const wrong = fileWith(
    directory.file('b.db'),
    `CREATE TABLE t (${columns}); INSERT INTO t VALUES ${rows.replace("'1.50'", '1.5')}`,
  );
  await assert.rejects(assertSameRows(source, wrong), /1 rows are missing/);
});

test('SQLite in PostgreSQL: loose types, bytes and numbers', async () => {
  using directory = withDirectory();
  const source = fileWith(
    directory.file('a.db'),
    `CREATE TABLE t (id INTEGER PRIMARY KEY, i INTEGER, r REAL, n NUMERIC, b BOOLEAN, y BLOB, x TEXT);
     INSERT INTO t VALUES (1, 9223372036854775807, 2.0, 1.5, 1, x'00ff', 'Åse'), (2, 'loose', 9e999, 9007199254740993, 0, NULL, x'c3'),
     (3, 5, 1e21, 1e21, NULL, 'text', CAST(x'ff41' AS TEXT))`,
  );
  const mirror =
    await databaseWith(`CREATE TABLE t (id bigint, i text, r double precision, n numeric, b boolean, y bytea, x text);
    INSERT INTO t VALUES (1, '9223372036854775807', 2, 1.5, true, '\\x00ff', 'Åse'), (2, 'loose', 'Infinity', 9007199254740993, false, NULL, '\\xc3'),
    (3, '5', 1e21, 1000000000000000000000, NULL, 'text', '\\xff41')`);
  await assertSameRows(source, mirror);
  await assertSameRows(source, source);
  const name = new URL(mirror).pathname.slice(1);
  await (await sharedPostgres()).sql(name, 'UPDATE t SET n = n - 1 WHERE id = 2');
  await assert.rejects(assertSameRows(source, mirror), /"n":"9007199254740992"/);
});

test('SQLite: storage classes count, and bytes that are no text', async () => {
  using directory = withDirectory();
  const make = (name: string, values: string) =>
    fileWith(directory.file(name), `CREATE TABLE t (a); INSERT INTO t VALUES ${values}`);
  const source = make('a.db', `(1), ('1'), (CAST(x'ff' AS TEXT)), (CAST(x'610062' AS TEXT)), (NULL), (-0.0)`);
  await assertSameRows(
    source,
    make('b.db', `(NULL), ('1'), (1), (CAST(x'610062' AS TEXT)), (0.0), (CAST(x'ff' AS TEXT))`),
  );
  await assert.rejects(
    assertSameRows(source, make('c.db', `(1), (1), (CAST(x'ff' AS TEXT)), ('a'), (NULL), (0.0)`)),
    /"text a\\u0000b"/,
  );
});
