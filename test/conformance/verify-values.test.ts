import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mirror } from '../../src/mirror.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { found, type Kind, Pair, verdictOf } from './verify-fixture.ts';

/** Values whose spelling is a trap: each column with what a mirror might wrongly hold instead. */
const TRAPS: readonly (readonly [type: string, value: string, wrong: string])[] = [
  ['numeric', '1.0', '1.00'],
  ['numeric(10,2)', '-12.30', '12.30'],
  ['numeric', "'NaN'", '0'],
  ['json', `'{"a": 1}'`, `'{"a":1}'`],
  ['jsonb', `'{"a": [1, null]}'`, `'{"a": [1]}'`],
  ['text', "'a'", "'a '"],
  ['text', "E'tab\\there\\n\\\\N'", "E'tab there\\n\\\\N'"],
  ['text', "''", 'NULL'],
  ['text', "'\u{1F642} æ'", "'\u{1F643} æ'"],
  ['char(5)', "'ab'", "'abc'"],
  ['boolean', 'true', 'false'],
  ['boolean', 'NULL', 'false'],
  ['bytea', "'\\x00ff5c78'", "'\\x00ff5c79'"],
  ['bytea', "''", 'NULL'],
  ['float8', '0.1', '0.10000000000000002'],
  ['float8', "'NaN'", "'Infinity'"],
  ['float8', '1e300', '1e299'],
  ['float8', '1e20', '100000000000000000016384'],
  ['float4', '0.1', '0.2'],
  ['float4', '1000000', '1000001'],
  ['smallint', '-32768', '-32767'],
  ['bigint', '9223372036854775807', '9223372036854775806'],
  ['timestamptz', "'2024-02-29 12:00:00.123456+01'", "'2024-02-29 12:00:00.123457+01'"],
  ['timestamp', "'infinity'", "'-infinity'"],
  ['date', "'4713-01-01 BC'", "'4713-01-02 BC'"],
  ['interval', "'1 mon -1 day 00:00:01'", "'1 mon'"],
  ['uuid', "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'"],
  ['inet', "'10.0.0.1/8'", "'10.0.0.1'"],
  ['int4range', "'[1,5)'", "'[1,6)'"],
  ['int[]', "'{1,NULL,3}'", "'{1,3}'"],
  ['text[]', `'{"a b",NULL,"NULL",""}'`, `'{"a b",NULL,"NULL"}'`],
  ['float8[]', "'{1e20,-0}'", "'{1e20,0}'"],
  ['money', "'12.34'", "'12.35'"],
  ['bit(3)', "B'101'", "B'100'"],
  ['xml', "'<a>b</a>'", "'<a> b</a>'"],
  ['"char"', "'x'", "'y'"],
  ['mood', "'sad'", "'ok'"],
  ['mood[]', "'{sad,ok}'", "'{ok,sad}'"],
  ['positive', '5', '6'],
  ['pair', `'(1,"a b")'`, `'(1,a)'`],
];

const TYPES = `CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
  CREATE TYPE pair AS (a integer, b text);`;

const columns = TRAPS.map(([type], index) => `c${index} ${type}`).join(', ');
const values = TRAPS.map(([, value]) => value).join(', ');

/** The row `id` has the wrong value in column `id`, as a server would have got it from another source. */
const wrongSql = `${TYPES} CREATE TABLE wrong (id integer PRIMARY KEY, ${columns});
  INSERT INTO wrong SELECT i, ${values} FROM generate_series(0, ${TRAPS.length}) i;
  ${TRAPS.map(([, , wrong], index) => `UPDATE wrong SET c${index} = ${wrong} WHERE id = ${index};`).join('\n')}`;

for (const kinds of [
  ['postgres18', 'postgres18'],
  ['postgres13', 'postgres18'],
  ['postgres18', 'postgres13'],
  ['postgres18', 'sqlite'],
] as const) {
  test(`${kinds[0]} to ${kinds[1]}: values of every type are equal to themselves and to nothing else`, async () => {
    using pair = await Pair.open(kinds);
    const create = (name: string) => `CREATE TABLE ${name} (id integer PRIMARY KEY, ${columns});
      INSERT INTO ${name} SELECT i, ${values} FROM generate_series(0, ${TRAPS.length}) i;`;
    await pair.source.run(`${TYPES} ${create('t')}`);
    await pair.cycle();
    assert.deepEqual(found(await pair.verify()), { t: [] });
    using other = await Pair.open(kinds);
    await other.source.run(wrongSql);
    await other.cycle();
    await exchange(pair, other, kinds[1]);
    const wrong = TRAPS.map((_, index) => `${index} different`);
    assert.deepEqual(found(await pair.verify()), { t: wrong });
  });
}

/** Puts the rows of `wrong` in the other mirror into `t` of this one. */
async function exchange(pair: Pair, other: Pair, kind: Kind): Promise<void> {
  if (kind === 'sqlite') {
    await pair.mirror.run(
      `ATTACH '${other.mirror.address}' AS other; DELETE FROM t; INSERT INTO t SELECT * FROM other.wrong`,
    );
    return;
  }
  const server = await sharedPostgres(kind === 'postgres13' ? 13 : 18);
  const database = (address: string) => address.slice(address.lastIndexOf('/') + 1);
  const rows = await server.sql(database(other.mirror.address), 'SELECT quote_nullable(w::text) AS row FROM wrong w');
  const records = rows.map(({ row }) => `((${row})::t).*`);
  await pair.mirror.run(`DELETE FROM t; ${records.map((record) => `INSERT INTO t SELECT ${record};`).join('\n')}`);
}

test('a database in another encoding is compared here instead of there', async () => {
  const server = await sharedPostgres(18);
  await server.sql('postgres', "CREATE DATABASE verify_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
  using pair = await Pair.open(['postgres18', 'postgres18']);
  await server.sql(
    'verify_latin',
    `CREATE TABLE t (name text PRIMARY KEY, f float8, b boolean); INSERT INTO t VALUES ('blåbær', 1e20, true), ('rømme', -0.5, false)`,
  );
  const addresses = { source: server.url('verify_latin'), mirror: pair.mirror.address };
  await mirror(addresses);
  assert.deepEqual(found(await pair.verify(addresses)), { t: [] });
  await pair.mirror.run(`UPDATE t SET b = true WHERE name = 'rømme'`);
  assert.deepEqual(found(await pair.verify(addresses)), { t: ['rømme different'] });
});

/** Columns of SQLite hold any value, whatever their type. */
const LOOSE = `CREATE TABLE t (id integer PRIMARY KEY, i integer, r real, n numeric, s text, b blob, o boolean, x);
  INSERT INTO t VALUES (1, 9223372036854775807, 1e20, 1.5, 'a', x'00ff', 1, NULL), (2, 'text in integer', 'text', 'text', x'61', 'text', 'yes', 5),
    (3, 1.5, -0.1, 1e300, '\\x61', NULL, 0, '5'), (4, x'31', 9e999, 12345678901234567890, 'b', x'', 7, 5.0), (5, NULL, NULL, NULL, '', NULL, NULL, ''),
    (6, -1, 0.1, 100000000000000000000000.0, 'a' || char(0) || 'b', x'5c78', NULL, CAST(x'c328' AS TEXT)), (7, 0, 1, 2, char(65533), x'41', 1, x'41')`;

test('sqlite to sqlite: storage class and value are compared', async () => {
  using pair = await Pair.open(['sqlite', 'sqlite']);
  await pair.source.run(LOOSE);
  await pair.cycle();
  assert.deepEqual(found(await pair.verify()), { t: [] });
  await pair.mirror.run(`UPDATE t SET x = '5' WHERE id = 2; UPDATE t SET x = 5 WHERE id = 3; UPDATE t SET x = 5 WHERE id = 4;
    UPDATE t SET x = NULL WHERE id = 5; UPDATE t SET x = CAST(x'c329' AS TEXT) WHERE id = 6; UPDATE t SET x = 'A' WHERE id = 7; UPDATE t SET i = i - 1 WHERE id = 1`);
  assert.deepEqual(found(await pair.verify()), {
    t: ['1', '2', '3', '4', '5', '6', '7'].map((id) => `${id} different`),
  });
});

test('sqlite to postgres: values that made a column wider are equal to what they became', async () => {
  using pair = await Pair.open(['sqlite', 'postgres18']);
  await pair.source.run(LOOSE);
  await pair.cycle();
  assert.deepEqual(found(await pair.verify()), { t: [] });
  await pair.mirror.run(`UPDATE t SET i = '9223372036854775806' WHERE id = 1; UPDATE t SET b = 'texT' WHERE id = 2; UPDATE t SET s = '\\x61' WHERE id = 3;
    UPDATE t SET o = '1' WHERE id = 4; UPDATE t SET s = NULL WHERE id = 5; UPDATE t SET s = 'ab' WHERE id = 6; UPDATE t SET r = '1.5' WHERE id = 7`);
  assert.deepEqual(found(await pair.verify()), {
    t: ['1', '2', '3', '4', '5', '6', '7'].map((id) => `${id} different`),
  });
});

test('keys of any type are named as they are', async () => {
  using pair = await Pair.open(['sqlite', 'sqlite']);
  await pair.source.run(`CREATE TABLE t (k BLOB NOT NULL, l text NOT NULL, v, PRIMARY KEY (k, l)) WITHOUT ROWID;
    INSERT INTO t VALUES (1, '1', 0), ('1', '', 0), (1.5, 'a	b', 0), (x'00ff', 'é', 0)`);
  await pair.cycle();
  await pair.mirror.run('DELETE FROM t');
  const keys = verdictOf(await pair.verify(), 't').differences.map(({ key }) => key);
  assert.deepEqual(keys.toSorted(), ['(1, )', '(1, 1)', '(1.5, a	b)', "(x'00ff', é)"]);
});

for (const mirrorKind of ['postgres13', 'sqlite'] as const) {
  test(`postgres18 to ${mirrorKind}: schemas, partitions, inheritance and names that need quotes`, async () => {
    using pair = await Pair.open(['postgres18', mirrorKind]);
    await pair.source.run(`CREATE SCHEMA "Sales x"; CREATE TABLE "Sales x"."Ord""er" ("Id" integer PRIMARY KEY, "a b" text); INSERT INTO "Sales x"."Ord""er" VALUES (1, 'a'), (2, 'b');
      CREATE TABLE part (id integer, at date, PRIMARY KEY (at, id)) PARTITION BY RANGE (at); CREATE TABLE p1 PARTITION OF part FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
      CREATE TABLE p2 PARTITION OF part DEFAULT; INSERT INTO part VALUES (1, '2024-05-05'), (2, '2030-01-01');
      CREATE TABLE base (id integer PRIMARY KEY); CREATE TABLE child (more text) INHERITS (base); INSERT INTO base VALUES (1); INSERT INTO child VALUES (1, 'x')`);
    await pair.cycle();
    const clean = { 'Sales x."Ord""er"': [], base: [], child: [], part: [] };
    assert.deepEqual(found(await pair.verify()), clean);
    await pair.source.run(`UPDATE part SET at = '2024-06-06' WHERE id = 2`);
    await pair.mirror.run(
      `DELETE FROM part; DELETE FROM ${mirrorKind === 'sqlite' ? '"Sales x.Ord""er"' : '"Sales x"."Ord""er"'} WHERE "Id" = 2`,
    );
    const report = await pair.verify({ repair: true });
    assert.deepEqual(found(report), {
      ...clean,
      'Sales x."Ord""er"': ['2 missing'],
      part: ['(2024-05-05, 1) missing'],
    });
    assert.deepEqual(
      report.tables.map(({ pending, repaired }) => [pending, repaired]),
      [
        [0, 1],
        [0, 0],
        [0, 0],
        [2, 1],
      ],
    );
  });
}
