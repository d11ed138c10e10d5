import assert from 'node:assert/strict';
import { TableName } from '../../src/core/table.ts';
import { copiedIn, fromPostgres, pairs, tableOf, testPairs } from './mirroring.ts';

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
/** 63 bytes, which differ in the last. */
const long = (end: string): string => 'æ'.repeat(31) + end;

/** Names that quoting, folding, dots and reserved words break. */
const NAMES = [
  'lower',
  'UPPER',
  'Mixed Case',
  'a.b',
  'select',
  'order',
  'quote"d',
  "apostrophe's",
  'Ærøskøbing',
  '漢字',
  'tab\there',
  ' blank ',
  '%s $1 {0}',
  'back\\slash',
  '1st',
  'user',
  'speilet',
  long('1'),
  long('2'),
  'x'.repeat(63),
];

testPairs('tables and columns of every kind of name', async (m) => {
  const tables = NAMES.map(
    (
      name,
      index,
    ) => `CREATE TABLE ${quote(name)} (${quote(name)} INTEGER PRIMARY KEY, ${quote(NAMES[index + 1] ?? 'last')} TEXT);
    INSERT INTO ${quote(name)} VALUES (1, 'a'), (2, 'b');`,
  );
  await m.source.sql(`/* */ ${tables.join('\n')}`);
  await m.follow();
  await m.source.sql(
    `/* */ ${NAMES.map((name, index) => `UPDATE ${quote(name)} SET ${quote(NAMES[index + 1] ?? 'last')} = 'c' WHERE ${quote(name)} = 1; DELETE FROM ${quote(name)} WHERE ${quote(name)} = 2;`).join('\n')}`,
  );
  const cycle = await m.follow();
  assert.deepEqual(copiedIn(cycle), []);
  for (const name of NAMES) assert.equal(tableOf(cycle, TableName.toText({ schema: null, name })).deleted, 1, name);
});

testPairs('columns whose names our own SQL uses', async (m) => {
  const names = [
    't',
    's',
    'c',
    'n',
    'i',
    'speil_xid',
    'speil_op',
    'xid',
    'lsn',
    'k0',
    'k1',
    'new',
    'old',
    'tag',
    'fresh',
    'written',
    'excluded',
  ];
  await m.source.sql(`CREATE TABLE t (${names.map((name) => `${quote(name)} INTEGER`).join(', ')}, PRIMARY KEY ("s", "t")); INSERT INTO t (s, t) VALUES (1, 2), (3, 4);
    CREATE TABLE s (c INTEGER PRIMARY KEY, t TEXT); INSERT INTO s VALUES (1, 'x')`);
  await m.follow();
  await m.source.sql(
    'UPDATE t SET n = 5, "new" = 6, speil_op = 7 WHERE s = 1; DELETE FROM t WHERE s = 3; UPDATE s SET c = 2',
  );
  await m.follow();
});

testPairs('columns named like PostgreSQL’s own', async (m) => {
  await m.source.sql(
    'CREATE TABLE t (id INTEGER PRIMARY KEY, rowid INTEGER, oid INTEGER, _rowid_ INTEGER); INSERT INTO t VALUES (1, 2, 3, 4)',
  );
  await m.follow();
  await m.source.sql('UPDATE t SET oid = 9; INSERT INTO t VALUES (5, 6, 7, 8)');
  await m.follow();
});

testPairs(
  'several schemas with tables of the same name',
  async (m) => {
    await m.source.sql(`CREATE SCHEMA sales; CREATE SCHEMA "My Schema.x"; CREATE TABLE orders (id int PRIMARY KEY, v text); CREATE TABLE sales.orders (id int PRIMARY KEY, v int);
    CREATE TABLE "My Schema.x"."Orders" (id int PRIMARY KEY, v bool); INSERT INTO orders VALUES (1, 'public'); INSERT INTO sales.orders VALUES (2, 3); INSERT INTO "My Schema.x"."Orders" VALUES (4, true)`);
    await m.follow();
    await m.source.sql(
      `UPDATE sales.orders SET v = 5; INSERT INTO orders VALUES (2, 'b'); DELETE FROM "My Schema.x"."Orders"`,
    );
    const cycle = await m.follow();
    assert.equal(tableOf(cycle, 'sales.orders').updated, 1);
  },
  fromPostgres,
);

testPairs(
  'only the schemas that were asked for',
  async (m) => {
    await m.source.sql(
      `CREATE SCHEMA sales; CREATE SCHEMA hr; CREATE TABLE sales.t (id int PRIMARY KEY); CREATE TABLE hr.t (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY)`,
    );
    const { report } = await m.follow({ schemas: ['sales'] }, { schemas: ['sales'] });
    assert.deepEqual(
      report.tables.map(({ table }) => table),
      ['sales.t'],
    );
  },
  fromPostgres,
);

testPairs(
  'names that differ in case alone',
  async (m) => {
    await m.source.sql(
      `CREATE TABLE t (id int PRIMARY KEY, "Name" text, name text); INSERT INTO t VALUES (1, 'A', 'a'); CREATE TABLE "T" (id int PRIMARY KEY); INSERT INTO "T" VALUES (5)`,
    );
    await m.follow();
    await m.source.sql(`UPDATE t SET name = 'b'; DELETE FROM "T"`);
    await m.follow();
  },
  pairs.slice(0, 1),
);

testPairs(
  'tables in the default schema of the mirror’s login, wherever that is',
  async (m) => {
    await m.source.sql('CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)');
    await m.mirror.sql(
      `CREATE SCHEMA mine; DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = mine', current_database()); END $$`,
    );
    await m.cycle();
    assert.equal(Number(await m.mirror.value('SELECT count(*) FROM mine.t')), 1);
    assert.equal(Number(await m.mirror.value(`SELECT count(*) FROM mine.speil_mirroring`)), 1);
    await m.source.sql('INSERT INTO t VALUES (2)');
    await m.cycle();
    assert.equal(Number(await m.mirror.value('SELECT count(*) FROM mine.t')), 2);
  },
  pairs.filter(({ mirror }) => mirror === 'postgres'),
);
