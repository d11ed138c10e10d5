import assert from 'node:assert/strict';
import {
  copiedIn,
  fromPostgres,
  fromSqlite,
  type Mirroring,
  messagesOf,
  pairs,
  tableOf,
  testPairs,
} from './mirroring.ts';

const PEOPLE = `CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, born INTEGER); INSERT INTO people VALUES (1, 'Kari', 1970), (2, 'Ola', NULL), (3, 'Åse', 2001);`;

/** What the mirror's catalogue says of the columns: name, NOT NULL and default. */
async function columnsOf({ mirror }: Mirroring, table: string): Promise<readonly string[]> {
  const rows = await mirror.sql({
    postgres: `SELECT a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '') AS c
      FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = '${table}'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    sqlite: `SELECT name || ' ' || type || CASE WHEN "notnull" THEN ' NOT NULL' ELSE '' END || coalesce(' DEFAULT ' || dflt_value, '') AS c FROM pragma_table_xinfo('${table}') ORDER BY cid`,
  });
  return rows.map((row) => String(row['c']));
}

/** Counts statements that define something in the mirror from now on. */
async function watchDdl(m: Mirroring): Promise<() => Promise<number>> {
  if (m.mirror.kind === 'sqlite') {
    const version = async () => Number(await m.mirror.value('PRAGMA schema_version'));
    const before = await version();
    return async () => (await version()) - before;
  }
  await m.mirror.sql(`CREATE SCHEMA audit; CREATE TABLE audit.ddl (tag text); CREATE FUNCTION audit.note() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN INSERT INTO audit.ddl VALUES (TG_TAG); END';
    CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION audit.note(); CREATE EVENT TRIGGER note_drop ON sql_drop EXECUTE FUNCTION audit.note()`);
  return async () => Number(await m.mirror.value('SELECT count(*) FROM audit.ddl'));
}

testPairs('an unchanged schema: no DDL at all', async (m) => {
  await m.source.sql(
    `${PEOPLE} CREATE TABLE keyless (a INTEGER); CREATE TABLE "Odd One" (a INTEGER PRIMARY KEY, b TEXT DEFAULT 'x', c INTEGER NOT NULL DEFAULT 5)`,
  );
  await m.follow();
  const ddl = await watchDdl(m);
  const { report } = await m.cycle();
  assert.equal(await ddl(), 0);
  assert.deepEqual([...new Set(report.tables.map(({ schemaChange }) => schemaChange))], ['none']);
});

testPairs('a column is added: in place, with the value that old rows have', async (m) => {
  await m.source.sql(PEOPLE);
  await m.follow();
  await m.source.sql(`ALTER TABLE people ADD COLUMN note TEXT; ALTER TABLE people ADD COLUMN grade INTEGER NOT NULL DEFAULT 7; ALTER TABLE people ADD COLUMN city TEXT DEFAULT 'Årø ''quoted''';
    INSERT INTO people (id, name) VALUES (4, 'new'); UPDATE people SET grade = 1 WHERE id = 1`);
  const cycle = await m.follow();
  assert.deepEqual(copiedIn(cycle), []);
  assert.equal(tableOf(cycle, 'people').schemaChange, 'altered');
  const columns = await columnsOf(m, 'people');
  assert.match(columns.join('\n'), /grade (integer|bigint|INTEGER) NOT NULL DEFAULT '?7/);
  await m.source.sql(`UPDATE people SET note = 'x'`);
  assert.deepEqual(copiedIn(await m.follow()), []);
});

testPairs('a column is dropped', async (m) => {
  await m.source.sql(PEOPLE);
  await m.follow();
  await m.source.sql(
    `UPDATE people SET born = 5; ALTER TABLE people DROP COLUMN born; INSERT INTO people VALUES (9, 'x')`,
  );
  const cycle = await m.follow();
  assert.deepEqual(copiedIn(cycle), []);
  assert.equal(tableOf(cycle, 'people').schemaChange, 'altered');
});

testPairs('a column is renamed', async (m) => {
  await m.source.sql(PEOPLE);
  await m.follow();
  await m.source.sql(
    `ALTER TABLE people RENAME COLUMN name TO full_name; UPDATE people SET full_name = 'Ola N.' WHERE id = 2`,
  );
  const cycle = await m.follow();
  if (m.pair.source === 'postgres') assert.deepEqual(copiedIn(cycle), []);
});

testPairs('the key column is renamed while the application goes on writing', async (m) => {
  await m.source.sql(PEOPLE);
  await m.follow();
  await m.source.sql('ALTER TABLE people RENAME COLUMN id TO person_id');
  await m.source.sql(
    `INSERT INTO people VALUES (10, 'written', 1); UPDATE people SET person_id = 20 WHERE person_id = 1; DELETE FROM people WHERE person_id = 2`,
  );
  await m.follow();
  await m.source.sql(`UPDATE people SET name = 'again'`);
  assert.deepEqual(copiedIn(await m.follow()), []);
});

testPairs(
  'two columns exchange their names',
  async (m) => {
    await m.source.sql(
      `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT); INSERT INTO t VALUES (1, 'was a', 'was b'), (2, NULL, 'x')`,
    );
    await m.follow();
    await m.source.sql(
      "ALTER TABLE t RENAME COLUMN a TO c; ALTER TABLE t RENAME COLUMN b TO a; ALTER TABLE t RENAME COLUMN c TO b; INSERT INTO t (id, a) VALUES (3, 'a')",
    );
    await m.follow();
  },
  fromPostgres,
);

testPairs(
  'two columns of SQLite exchange their names',
  async (m) => {
    await m.source.sql(
      `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT); INSERT INTO t VALUES (1, 'was a', 'was b'), (2, NULL, 'x')`,
    );
    await m.follow();
    await m.source.sql(
      `ALTER TABLE t RENAME COLUMN a TO c; ALTER TABLE t RENAME COLUMN b TO a; ALTER TABLE t RENAME COLUMN c TO b`,
    );
    await m.source.sql(`INSERT INTO t (id, a) VALUES (3, 'a')`);
    await m.follow();
  },
  fromSqlite,
);

testPairs('a column is dropped and made again under its name', async (m) => {
  await m.source.sql(PEOPLE);
  await m.follow();
  await m.source.sql(`ALTER TABLE people DROP COLUMN born; ALTER TABLE people ADD COLUMN born INTEGER DEFAULT 3`);
  await m.follow();
});

testPairs('a table is dropped, and made again under its name with another shape', async (m) => {
  await m.source.sql(PEOPLE);
  await m.follow();
  await m.source.sql(
    `DROP TABLE people; CREATE TABLE people (code TEXT PRIMARY KEY NOT NULL, n INTEGER); INSERT INTO people VALUES ('a', 1), ('b', 2)`,
  );
  assert.equal(tableOf(await m.follow(), 'people').schemaChange, 'recreated');
  await m.source.sql(
    `DROP TABLE people; CREATE TABLE people (code TEXT PRIMARY KEY NOT NULL, n INTEGER); INSERT INTO people VALUES ('c', 3)`,
  );
  assert.deepEqual(copiedIn(await m.follow()), ['people']);
});

testPairs('tables that are new, gone and renamed', async (m) => {
  await m.source.sql(
    `${PEOPLE} CREATE TABLE gone (id INTEGER PRIMARY KEY); CREATE TABLE old_name (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO old_name VALUES (1, 'x')`,
  );
  await m.follow();
  await m.source.sql(
    `CREATE TABLE fresh (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO fresh VALUES (1, 'x'); DROP TABLE gone; ALTER TABLE old_name RENAME TO new_name`,
  );
  const cycle = await m.follow();
  assert.equal(tableOf(cycle, 'fresh').schemaChange, 'created');
  assert.match(messagesOf(cycle, 'note').join('\n'), /gone is gone/);
  assert.deepEqual(copiedIn(cycle).toSorted(), ['fresh', 'new_name']);
  assert.equal(
    Number(await m.mirror.value(`SELECT count(*) FROM speil_mirroring WHERE table_name IN ('gone', 'old_name')`)),
    0,
  );
});

testPairs(
  'the key changes to other columns, is dropped, and comes again',
  async (m) => {
    await m.source.sql(
      `CREATE TABLE t (a int NOT NULL, b int NOT NULL, v text, CONSTRAINT k PRIMARY KEY (a)); INSERT INTO t VALUES (1, 5, 'x'), (2, 5, 'y')`,
    );
    await m.follow();
    await m.source.sql(
      `ALTER TABLE t DROP CONSTRAINT k; ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (b, a); INSERT INTO t VALUES (1, 6, 'same a')`,
    );
    await m.follow();
    await m.source.sql(
      `ALTER TABLE t DROP CONSTRAINT k; INSERT INTO t VALUES (1, 6, 'same a'); DELETE FROM t WHERE a = 2`,
    );
    await m.follow();
    await m.source.sql(`DELETE FROM t; INSERT INTO t VALUES (9, 9, 'z'); ALTER TABLE t ADD PRIMARY KEY (b)`);
    await m.source.sql(`UPDATE t SET b = 10`);
    await m.follow();
  },
  fromPostgres,
);

testPairs(
  'a key gets another type while the application goes on writing',
  async (m) => {
    await m.source.sql(`CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')`);
    await m.follow();
    await m.source.sql(
      `ALTER TABLE t ALTER COLUMN id TYPE bigint; INSERT INTO t VALUES (5000000000, 'big'); DELETE FROM t WHERE id = 1`,
    );
    await m.follow();
    await m.source.sql(
      `ALTER TABLE t ALTER COLUMN id TYPE text USING 'k' || id; INSERT INTO t VALUES ('free', 'text')`,
    );
    await m.follow();
    await m.source.sql(`UPDATE t SET v = 'c' WHERE id = 'free'`);
    assert.deepEqual(copiedIn(await m.follow()), []);
  },
  fromPostgres,
);

testPairs(
  'types change, with and without a rewrite',
  async (m) => {
    await m.source.sql(
      `CREATE TABLE t (id int PRIMARY KEY, n int, s text, v varchar(5), d timestamp, other int); INSERT INTO t VALUES (1, 10, '2024-01-01', 'abcde', '2024-01-01 10:00', 1), (2, NULL, NULL, NULL, NULL, NULL)`,
    );
    await m.follow();
    await m.source.sql(
      `ALTER TABLE t ALTER COLUMN n TYPE numeric(10, 2) USING n / 3.0, ALTER COLUMN s TYPE date USING s::date, ALTER COLUMN v TYPE varchar(20); UPDATE t SET v = 'longer than five' WHERE id = 2`,
    );
    await m.follow();
    await m.source.sql(
      `SET TimeZone = 'Asia/Tokyo'; ALTER TABLE t ALTER COLUMN d TYPE timestamptz, ALTER COLUMN v TYPE text; INSERT INTO t (id, v) VALUES (3, 'x')`,
    );
    await m.follow();
    await m.source.sql(`ALTER TABLE t ALTER COLUMN other TYPE int USING other + 100`);
    await m.follow();
  },
  fromPostgres,
);

testPairs(
  'nullability and defaults change both ways, in place',
  async (m) => {
    await m.source.sql(
      `CREATE TABLE t (id int PRIMARY KEY, a int, b int NOT NULL DEFAULT 5, c text DEFAULT 'x'); INSERT INTO t VALUES (1, NULL, 1, NULL), (2, 2, 2, 'y')`,
    );
    await m.follow();
    await m.source.sql(
      `UPDATE t SET a = 0 WHERE a IS NULL; ALTER TABLE t ALTER COLUMN a SET NOT NULL, ALTER COLUMN b DROP NOT NULL, ALTER COLUMN b DROP DEFAULT, ALTER COLUMN c SET DEFAULT 'it''s'; INSERT INTO t VALUES (3, 3, NULL)`,
    );
    const cycle = await m.follow();
    assert.deepEqual(copiedIn(cycle), []);
    const columns = (await columnsOf(m, 't')).join('\n');
    assert.match(columns, /^a \w+ NOT NULL$/m);
    assert.match(columns, /^b \w+$/m);
    assert.match(columns, /^c \w+ DEFAULT 'it''s'/m);
  },
  fromPostgres,
);

testPairs(
  'a column is added whose default does not fit its type',
  async (m) => {
    await m.source.sql(PEOPLE);
    await m.follow();
    await m.source.sql(
      `ALTER TABLE people ADD COLUMN n INTEGER DEFAULT 'many'; ALTER TABLE people ADD COLUMN b BLOB DEFAULT 5; ALTER TABLE people ADD COLUMN t TEXT DEFAULT x'00ff'; INSERT INTO people (id, name, n) VALUES (4, 'new', 1)`,
    );
    await m.follow();
  },
  fromSqlite,
);

testPairs('a column in the middle is dropped and made again, and tables that change places', async (m) => {
  await m.source.sql(
    `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT); INSERT INTO t VALUES (1, 'a', 'b'); CREATE TABLE u (id INTEGER PRIMARY KEY, a TEXT, b TEXT); INSERT INTO u VALUES (2, 'A', 'B')`,
  );
  await m.follow();
  await m.source.sql(`ALTER TABLE t DROP COLUMN a; ALTER TABLE t ADD COLUMN a TEXT`);
  await m.follow();
  await m.source.sql(
    `ALTER TABLE u RENAME TO x; CREATE TABLE u (id INTEGER PRIMARY KEY, a TEXT, b TEXT); INSERT INTO u VALUES (9, 'new', 'new')`,
  );
  await m.follow();
  await m.source.sql(
    `ALTER TABLE u RENAME TO y; ALTER TABLE x RENAME TO u; ALTER TABLE y RENAME TO x; INSERT INTO u VALUES (77, NULL, NULL)`,
  );
  await m.follow();
});

testPairs(
  'columns with defaults that only the source can know, and generated ones, are right in old rows',
  async (m) => {
    await m.source.sql(
      `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'x' FROM generate_series(1, 5) i; CREATE SEQUENCE s; CREATE FUNCTION f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 42'`,
    );
    await m.follow();
    await m.source.sql(
      `ALTER TABLE t ADD r float8 DEFAULT random(), ADD n bigint DEFAULT nextval('s'), ADD u uuid DEFAULT gen_random_uuid()`,
    );
    await m.follow();
    await m.source.sql(
      `ALTER TABLE t ADD at timestamptz NOT NULL DEFAULT now(), ADD f int DEFAULT f(), ADD i int GENERATED ALWAYS AS IDENTITY; INSERT INTO t (id) VALUES (100)`,
    );
    await m.follow();
    await m.source.sql(`ALTER TABLE t ADD g int GENERATED ALWAYS AS (id * 2) STORED; INSERT INTO t (id) VALUES (101)`);
    await m.follow();
  },
  fromPostgres,
);

testPairs('a column is added and dropped, and another added, between two cycles', async (m) => {
  await m.source.sql(PEOPLE);
  await m.follow();
  await m.source.sql(
    `ALTER TABLE people ADD COLUMN a INTEGER DEFAULT 1; ALTER TABLE people DROP COLUMN a; ALTER TABLE people ADD COLUMN b INTEGER DEFAULT 2; INSERT INTO people (id, name) VALUES (77, 'x')`,
  );
  await m.follow();
});

testPairs(
  'a schema changes while a copy is under way, and its next cycle goes on',
  async (m) => {
    await m.source.sql(
      `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, '${'a'.repeat(3000)}'), (2, 'b'), (3, '${'c'.repeat(3000)}')`,
    );
    let calls = 0;
    await m.decorated(
      (client) => ({
        ...client,
        rowData: async (request) => {
          if (++calls === 1)
            await m.source.sql(`ALTER TABLE t ADD COLUMN late TEXT DEFAULT 'late'; INSERT INTO t VALUES (4, 'd', 'x')`);
          return client.rowData(request);
        },
      }),
      { batchBytes: 1_000 },
    );
    await m.follow();
  },
  pairs,
);
