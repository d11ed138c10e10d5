import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Session } from '../order/sessions.ts';
import { BothEnds } from '../support/soap-both-ends.ts';

const ITEMS = 'SELECT * FROM item ORDER BY id';

test('SQLite to SQLite: values, changes, and schemas that change', async () => {
  await using ends = await BothEnds.open(
    'sqlite',
    `CREATE TABLE item(name TEXT NOT NULL DEFAULT 'none', price REAL, picture BLOB, rank INTEGER, id INTEGER PRIMARY KEY);
     CREATE TABLE word(w TEXT PRIMARY KEY, n INT DEFAULT 0) WITHOUT ROWID;
     INSERT INTO item(id, name, price, picture, rank) VALUES
       (1, '[I:5]', 1.5, x'00ff', 9007199254740993), (2, '', NULL, NULL, NULL), (-3, 'tab' || char(9) || 'crlf' || char(13, 10) || ' end ', -0.1, x'', 0),
       (4, 'Ærø 日本 🎉 <&>"''', 1e300, x'5b423a5d', -9223372036854775808);
     INSERT INTO word VALUES ('a', 1), ('B', 2), ('b', 3)`,
  );
  const tables = [
    'SELECT id, name, price, picture, CAST(rank AS TEXT) AS rank FROM item ORDER BY id',
    'SELECT w, n FROM word ORDER BY w COLLATE BINARY',
  ];
  assert.deepEqual((await ends.cycle()).toSorted(), ['item', 'word']);
  await ends.same(...tables);
  assert.deepEqual(await ends.cycle(), []);
  await ends.source.sql(
    "UPDATE item SET name = 'changed' WHERE id = 1; DELETE FROM item WHERE id = 2; INSERT INTO item(id, name) VALUES (9, 'new'); UPDATE word SET w = 'c' WHERE w = 'b'",
  );
  assert.deepEqual(await ends.cycle(), []);
  await ends.same(...tables);
  await ends.source.sql('ALTER TABLE item ADD COLUMN more TEXT; CREATE TABLE late(id INTEGER PRIMARY KEY)');
  assert.deepEqual(await ends.cycle(), ['late']);
  await ends.source.sql('ALTER TABLE item ADD COLUMN filled INTEGER DEFAULT 5; DROP TABLE word');
  assert.deepEqual(await ends.cycle(), ['item']);
  await ends.source.sql('ALTER TABLE item RENAME COLUMN filled TO renamed');
  assert.deepEqual(await ends.cycle(), ['item']);
  await ends.same('SELECT id, name, price, more, renamed FROM item ORDER BY id', 'SELECT * FROM late');
  assert.deepEqual(await ends.service.query("SELECT name FROM sqlite_schema WHERE name = 'word'"), []);
});

const TYPES = `CREATE TABLE sample (
  id integer PRIMARY KEY, s smallint, b bigint, t boolean, r real, d double precision, n numeric(12,3), any_n numeric,
  words text, v varchar(10) DEFAULT 'none', u uuid, bytes bytea, at timestamp, day date, j jsonb, list integer[], c char(4))`;
const SAMPLES = `INSERT INTO sample VALUES
  (1, -32768, 9223372036854775807, true, 1.1, 1e-300, 123456789.125, 123456789012345678901234567890.5, '[I:5]', 'ÆØÅ🎉', '0123abcd-0000-0000-0000-00000000ffff', '\\x00ff', '2024-02-29 23:59:59.123456', '1760-01-01', '{"a": [1, null]}', '{1,NULL,3}', 'ab'),
  (2, 32767, -9223372036854775808, false, -0.0, 1.7976931348623157e308, -0.001, 0, '', '', NULL, '', '1753-01-01 00:00:00', '9999-12-31', '"x"', '{}', ''),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (2147483647, 0, 0, true, 16777216, 0.1, 0, 1e20, E'tab\\tcrlf\\r\\n <&> end ', 'x', gen_random_uuid(), decode(repeat('ab', 5000), 'hex'), '2024-01-01 12:00:00.1', '2024-01-01', 'null', NULL, 'abcd')`;
const SAMPLE = `SELECT id, s, b::text, t, r::float8::real, d, n::text, any_n::text, words, v, u::text, bytes::text,
  to_char(at, 'YYYY-MM-DD HH24:MI:SS.US') AS at, to_char(day, 'YYYY-MM-DD') AS day, j::text, list::text, rpad(c, 4) AS c FROM sample ORDER BY id`;

test('PostgreSQL to PostgreSQL: every type that the contract has a form for', async () => {
  await using ends = await BothEnds.open('postgres', `${TYPES}; ${SAMPLES}`);
  assert.deepEqual(await ends.cycle(), ['sample']);
  await ends.same(SAMPLE);
  await ends.source.sql(
    "UPDATE sample SET words = 'changed', at = at + interval '1 us'; DELETE FROM sample WHERE id = 2",
  );
  assert.deepEqual(await ends.cycle(), []);
  await ends.same(SAMPLE);
  assert.deepEqual(
    await ends.service
      .query(
        "SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = 'sample'::regclass AND attnum > 0 ORDER BY attnum",
      )
      .then((rows) => rows.map((row) => Object.values(row).join(' '))),
    [
      ...['id integer', 's smallint', 'b bigint', 't boolean', 'r double precision', 'd double precision'],
      ...['n numeric(12,3)', 'any_n text', 'words text', 'v character varying(20)', 'u character varying(36)'],
      ...['bytes bytea', 'at timestamp without time zone', 'day timestamp without time zone', 'j text', 'list text'],
      'c character varying(8)',
    ],
  );
});

test('PostgreSQL to PostgreSQL: late commits, TRUNCATE, and schemas that change', async () => {
  await using ends = await BothEnds.open(
    'postgres',
    "CREATE TABLE item (id int PRIMARY KEY, note text); INSERT INTO item SELECT i, 'first' FROM generate_series(1, 500) i",
  );
  await ends.cycle();
  await using early = await Session.open(ends.source.address);
  await early.begin();
  await early.sql("UPDATE item SET note = 'early' WHERE id = 1; DELETE FROM item WHERE id = 2");
  await ends.source.sql("UPDATE item SET note = 'late' WHERE id = 3");
  assert.deepEqual(await ends.cycle(), []);
  await ends.same(ITEMS);
  await early.sql('COMMIT');
  assert.deepEqual(await ends.cycle(), []);
  await ends.same(ITEMS);
  await ends.source.sql('ALTER TABLE item ADD COLUMN more int; UPDATE item SET more = id WHERE id < 5');
  assert.deepEqual(await ends.cycle(), []);
  await ends.same(ITEMS);
  await ends.source.sql('ALTER TABLE item ADD COLUMN filled int DEFAULT 5');
  assert.deepEqual(await ends.cycle(), ['item']);
  await ends.same(ITEMS);
  await ends.source.sql('ALTER TABLE item RENAME filled TO renamed; ALTER TABLE item DROP COLUMN note');
  assert.deepEqual(await ends.cycle(), ['item']);
  await ends.same('SELECT id, more, renamed FROM item ORDER BY id');
  await ends.source.sql('TRUNCATE item; INSERT INTO item VALUES (77, 1, 2)');
  assert.deepEqual(await ends.cycle(), []);
  await ends.same('SELECT id, more, renamed FROM item ORDER BY id');
});

test('PostgreSQL: what SQL Server has no value for is refused, and the other tables go on', async () => {
  await using ends = await BothEnds.open(
    'postgres',
    `CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1);
     CREATE TABLE nan (id int PRIMARY KEY, d float8); INSERT INTO nan VALUES (1, 'NaN');
     CREATE TABLE old (id int PRIMARY KEY, d date); INSERT INTO old VALUES (1, '1752-12-31');
     CREATE TABLE never (id int PRIMARY KEY, d timestamp); INSERT INTO never VALUES (1, 'infinity');
     CREATE TABLE long (k text PRIMARY KEY); INSERT INTO long VALUES (repeat('x', 451))`,
  );
  const { report } = await ends.run();
  const why = (name: string) => report.tables.find(({ table }) => table === name)?.error?.message ?? '';
  assert.match(why('nan'), /nan\.d holds "NaN".*no such number/);
  assert.match(why('old'), /old\.d holds "1752-12-31".*1753/);
  assert.match(why('never'), /never\.d holds "infinity"/);
  assert.match(why('long'), /long\.k holds "xxx.*longer than 450/);
  assert.equal(why('item'), '');
  await ends.same('SELECT * FROM item');
});
