import assert from 'node:assert/strict';
import { copiedIn, countsOf, fromPostgres, fromSqlite, testPairs } from './mirroring.ts';

const upTo = (count: number): string =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;

testPairs('inserts, updates and deletes of a table with a key', async (m) => {
  await m.source.sql(
    `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')`,
  );
  const first = await m.follow();
  assert.deepEqual(copiedIn(first), ['t']);
  await m.source.sql(
    `INSERT INTO t VALUES (4, 'd'), (5, NULL); UPDATE t SET v = 'B' WHERE id = 2; DELETE FROM t WHERE id = 3`,
  );
  const second = await m.follow();
  assert.deepEqual(copiedIn(second), []);
  assert.deepEqual(countsOf(second, 't'), { inserted: 2, updated: 1, deleted: 1 });
  const third = await m.follow();
  assert.deepEqual(countsOf(third, 't'), { inserted: 0, updated: 0, deleted: 0 });
});

testPairs('composite keys, out of column order, with values that other keys begin with', async (m) => {
  await m.source.sql(`CREATE TABLE t (v TEXT, b TEXT NOT NULL, a INTEGER NOT NULL, PRIMARY KEY (a, b));
    INSERT INTO t VALUES ('x', '1', 11), ('y', '11', 1), ('z', '', 111), ('tab', 'a' || CASE WHEN 1 = 1 THEN '	' END, 0)`);
  await m.follow();
  await m.source.sql(
    `UPDATE t SET v = 'changed' WHERE a = 1; DELETE FROM t WHERE a = 11; INSERT INTO t VALUES (NULL, 'é', -5)`,
  );
  assert.deepEqual(countsOf(await m.follow(), 't'), { inserted: 1, updated: 1, deleted: 1 });
});

testPairs('keys that change', async (m) => {
  await m.source.sql(
    `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')`,
  );
  await m.follow();
  await m.source.sql(`UPDATE t SET id = 10 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2`);
  assert.deepEqual(countsOf(await m.follow(), 't'), { inserted: 1, updated: 1, deleted: 1 });
});

testPairs('a row that comes and goes, and one that goes and comes again', async (m) => {
  await m.source.sql(`CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b')`);
  await m.follow();
  await m.source.sql(
    `INSERT INTO t VALUES (3, 'x'); DELETE FROM t WHERE id = 3; DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (1, 'new')`,
  );
  assert.deepEqual(countsOf(await m.follow(), 't'), { inserted: 0, updated: 1, deleted: 0 });
});

testPairs('a table without a key keeps the number of its duplicates', async (m) => {
  await m.source.sql(
    `CREATE TABLE t (a INTEGER, b TEXT); INSERT INTO t VALUES (1, 'x'), (1, 'x'), (1, 'x'), (NULL, NULL), (NULL, NULL)`,
  );
  await m.follow();
  await m.source.sql(`INSERT INTO t VALUES (1, 'x'), (NULL, NULL); UPDATE t SET b = 'y' WHERE a = 1`);
  await m.follow();
  await m.source.sql('DELETE FROM t');
  await m.follow();
  assert.equal(Number(await m.mirror.value('SELECT count(*) FROM t')), 0);
});

testPairs('a unique index without nulls is a key where there is no primary one', async (m) => {
  await m.source.sql(`CREATE TABLE t (a INTEGER NOT NULL, b TEXT NOT NULL, v TEXT); CREATE UNIQUE INDEX t_ab ON t (b, a);
    INSERT INTO t VALUES (1, 'x', 'one'), (2, 'x', 'two')`);
  await m.follow();
  await m.source.sql(
    `UPDATE t SET v = 'eins' WHERE a = 1; DELETE FROM t WHERE a = 2; INSERT INTO t VALUES (2, 'y', NULL)`,
  );
  const cycle = await m.follow();
  assert.deepEqual(copiedIn(cycle), []);
  assert.deepEqual(countsOf(cycle, 't'), { inserted: 1, updated: 1, deleted: 1 });
});

testPairs('a unique index that allows nulls is no key', async (m) => {
  await m.source.sql('CREATE TABLE t (a INTEGER UNIQUE, v TEXT); INSERT INTO t VALUES (NULL, 1), (NULL, 1), (2, 3)');
  await m.follow();
  await m.source.sql('INSERT INTO t VALUES (NULL, 1); DELETE FROM t WHERE a = 2');
  await m.follow();
});

testPairs('tables without rows, without columns beside the key, and with many columns', async (m) => {
  const columns = Array.from({ length: 300 }, (_, index) => `c${index} TEXT`).join(', ');
  await m.source.sql(`CREATE TABLE no_rows (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE key_only (id INTEGER PRIMARY KEY);
    CREATE TABLE wide (id INTEGER PRIMARY KEY, ${columns}); INSERT INTO key_only VALUES (1), (2);
    INSERT INTO wide (id, c0, c299) VALUES (1, 'first', 'last')`);
  await m.follow();
  await m.source.sql(
    `INSERT INTO key_only VALUES (3); DELETE FROM key_only WHERE id = 1; UPDATE wide SET c150 = 'middle'`,
  );
  await m.follow();
});

testPairs('conflicts: DO UPDATE and DO NOTHING', async (m) => {
  await m.source.sql(
    `CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, u TEXT UNIQUE); INSERT INTO t VALUES (1, 1, 'a'), (2, 1, 'b')`,
  );
  await m.follow();
  await m.source.sql(`INSERT INTO t VALUES (1, 5, 'z'), (3, 5, 'c') ON CONFLICT (id) DO UPDATE SET n = t.n + excluded.n;
    INSERT INTO t VALUES (2, 9, 'q') ON CONFLICT (id) DO NOTHING; INSERT INTO t VALUES (9, 9, 'b') ON CONFLICT (u) DO UPDATE SET id = 20`);
  await m.follow();
});

testPairs('foreign-key cascades', async (m) => {
  const sql = `CREATE TABLE parent (id INTEGER PRIMARY KEY);
    CREATE TABLE child (id INTEGER PRIMARY KEY, p INTEGER REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE loose (id INTEGER PRIMARY KEY, p INTEGER REFERENCES parent ON DELETE SET NULL ON UPDATE CASCADE);
    INSERT INTO parent VALUES (1), (2), (3); INSERT INTO child VALUES (1, 1), (2, 1), (3, 2), (4, 3); INSERT INTO loose SELECT * FROM child`;
  await m.source.sql(sql);
  await m.follow();
  const foreignKeys = { postgres: '', sqlite: 'PRAGMA foreign_keys = ON;' }[m.source.kind];
  await m.source.sql(`/* */ ${foreignKeys} DELETE FROM parent WHERE id = 1; UPDATE parent SET id = 30 WHERE id = 3`);
  const cycle = await m.follow();
  assert.deepEqual(countsOf(cycle, 'child'), { inserted: 0, updated: 1, deleted: 2 });
  assert.deepEqual(countsOf(cycle, 'loose'), { inserted: 0, updated: 3, deleted: 0 });
});

testPairs('generated columns arrive as plain values', async (m) => {
  await m.source.sql(`CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, twice INTEGER GENERATED ALWAYS AS (n * 2) STORED, v TEXT);
    INSERT INTO t (id, n) VALUES (1, 10), (2, NULL)`);
  await m.follow();
  await m.source.sql('UPDATE t SET n = 7 WHERE id = 2; INSERT INTO t (id, n) VALUES (3, 1)');
  await m.follow();
  const sql = {
    postgres: `SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attgenerated <> ''`,
    sqlite: `SELECT count(*) FROM pragma_table_xinfo('t') WHERE hidden > 1`,
  };
  assert.equal(Number(await m.mirror.value(sql)), 0);
});

testPairs('a few thousand rows in small batches, changed all at once', async (m) => {
  await m.source.sql(`CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
    INSERT INTO t ${upTo(3000)} SELECT i, 'row ' || i FROM n`);
  await m.follow({ batchBytes: 4_000 });
  await m.source.sql(`UPDATE t SET v = v || ' changed' WHERE id % 3 <> 0; DELETE FROM t WHERE id % 3 = 0;
    INSERT INTO t ${upTo(500)} SELECT 10000 + i, 'new' FROM n`);
  assert.deepEqual(countsOf(await m.follow({ batchBytes: 4_000 }), 't'), {
    inserted: 500,
    updated: 2000,
    deleted: 1000,
  });
});

testPairs('rows that trade values under a unique index of the mirror’s owner', async (m) => {
  await m.source.sql(
    `CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')`,
  );
  await m.follow();
  await m.mirror.sql('CREATE UNIQUE INDEX own ON t (u)');
  await m.source.sql(`UPDATE t SET u = CASE id WHEN 1 THEN 'b' WHEN 2 THEN 'c' ELSE 'a' END`);
  assert.deepEqual(countsOf(await m.follow(), 't'), { inserted: 0, updated: 3, deleted: 0 });
});

testPairs('views are not mirrored', async (m) => {
  await m.source.sql(
    `CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t; INSERT INTO t VALUES (1)`,
  );
  const { report } = await m.follow();
  assert.deepEqual(
    report.tables.map(({ table }) => table),
    ['t'],
  );
});

testPairs(
  'identity columns and key swaps in one statement',
  async (m) => {
    await m.source.sql(`CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s serial, v text);
    INSERT INTO t (v) VALUES ('a'), ('b'), ('c'); CREATE TABLE d (id int PRIMARY KEY DEFERRABLE, v text); INSERT INTO d VALUES (1, 'a'), (2, 'b'), (3, 'c')`);
    await m.follow();
    await m.source.sql(
      `INSERT INTO t (v) VALUES ('d'); UPDATE d SET id = 4 - id WHERE id <> 2; UPDATE d SET id = id + 1`,
    );
    const cycle = await m.follow();
    assert.deepEqual(copiedIn(cycle), []);
    assert.deepEqual(countsOf(cycle, 'd'), { inserted: 1, updated: 2, deleted: 1 });
  },
  fromPostgres,
);

testPairs(
  'TRUNCATE, alone, cascading, with rows after it, and rolled back',
  async (m) => {
    await m.source.sql(`CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p); CREATE TABLE alone (id serial PRIMARY KEY, v text);
    INSERT INTO p SELECT generate_series(1, 50); INSERT INTO c SELECT i, i FROM generate_series(1, 50) i; INSERT INTO alone (v) SELECT 'x' FROM generate_series(1, 50)`);
    await m.follow();
    await m.source.sql(
      `TRUNCATE p CASCADE; INSERT INTO p VALUES (7), (99); UPDATE alone SET v = 'y' WHERE id = 3; TRUNCATE alone RESTART IDENTITY; INSERT INTO alone (v) VALUES ('z')`,
    );
    const cycle = await m.follow();
    assert.equal(countsOf(cycle, 'c').deleted, 50);
    await m.source.sql(
      `BEGIN; TRUNCATE alone; ROLLBACK; BEGIN; TRUNCATE p CASCADE; INSERT INTO p VALUES (1); COMMIT; INSERT INTO c VALUES (1, 1)`,
    );
    await m.follow();
  },
  fromPostgres,
);

testPairs(
  'deferred constraints, COPY, MERGE and session_replication_role',
  async (m) => {
    await m.source.sql(`CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a DEFERRABLE INITIALLY DEFERRED);
    ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE INITIALLY DEFERRED; CREATE TABLE t (id int PRIMARY KEY, v text)`);
    await m.follow();
    await m.source.sql(
      `BEGIN; INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 1); COMMIT; COPY t FROM PROGRAM 'printf "1\\tone\\n2\\ttwo\\n3\\tthree\\n"'`,
    );
    await m.follow();
    await m.source.sql(`MERGE INTO t USING (VALUES (1, 'uno'), (9, 'nueve')) s (id, v) ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v
      WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v); MERGE INTO t USING (VALUES (2)) s (id) ON t.id = s.id WHEN MATCHED THEN DELETE`);
    assert.deepEqual(countsOf(await m.follow(), 't'), { inserted: 1, updated: 1, deleted: 1 });
    await m.source.sql(
      `SET session_replication_role = replica; INSERT INTO t VALUES (100, 'replicated'); UPDATE t SET v = 'r' WHERE id = 1; DELETE FROM t WHERE id = 3`,
    );
    assert.deepEqual(countsOf(await m.follow(), 't'), { inserted: 1, updated: 1, deleted: 1 });
  },
  fromPostgres,
);

testPairs(
  'data-modifying queries, functions, rules and triggers of the application',
  async (m) => {
    await m.source.sql(`CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE log (id serial PRIMARY KEY, t int);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log (t) VALUES (NEW.id); RETURN NEW; END';
    CREATE TRIGGER note AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note(); CREATE VIEW v AS SELECT * FROM t`);
    await m.follow();
    await m.source.sql(`INSERT INTO v VALUES (1, 'through a view'), (2, 'x'), (3, 'y');
    WITH gone AS (DELETE FROM t WHERE id = 2 RETURNING *) INSERT INTO t SELECT id + 100, v FROM gone;
    DO $$ BEGIN UPDATE t SET v = 'z' WHERE id = 3; RAISE EXCEPTION 'no'; EXCEPTION WHEN OTHERS THEN INSERT INTO t VALUES (4, 'kept'); END $$`);
    await m.follow();
  },
  fromPostgres,
);

testPairs(
  'an unlogged table',
  async (m) => {
    await m.source.sql(`CREATE UNLOGGED TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')`);
    await m.follow();
    await m.source.sql(`INSERT INTO t VALUES (2, 'b'); DELETE FROM t WHERE id = 1`);
    await m.follow();
    await m.source.sql('ALTER TABLE t SET LOGGED; INSERT INTO t VALUES (3, NULL)');
    await m.follow();
  },
  fromPostgres,
);

testPairs(
  'REPLACE, rows without a rowid, nulls in a key and VACUUM',
  async (m) => {
    await m.source.sql(`CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, v TEXT); INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y'), (3, 'c', 'z');
    CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO w VALUES ('a', 1), ('b', 2);
    CREATE TABLE maybe (k TEXT PRIMARY KEY, v); INSERT INTO maybe VALUES (NULL, 1), (NULL, 1), ('a', 2)`);
    await m.follow();
    await m.source.sql(`REPLACE INTO t VALUES (10, 'a', 'new'); UPDATE OR REPLACE t SET u = 'b' WHERE id = 3; REPLACE INTO w VALUES ('a', 'changed'); DELETE FROM w WHERE k = 'b';
    INSERT INTO maybe VALUES (NULL, 3); DELETE FROM t WHERE id = 999`);
    await m.follow();
    await m.source.sql(`VACUUM`);
    await m.source.sql(`INSERT INTO t VALUES (50, 'q', NULL)`);
    await m.follow();
  },
  fromSqlite,
);

testPairs(
  'a collation that ignores case in a key',
  async (m) => {
    await m.source.sql(
      `CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY, v); INSERT INTO t VALUES ('abc', 1), ('def', 2)`,
    );
    await m.follow();
    await m.source.sql(
      `UPDATE t SET k = 'ABC', v = 5 WHERE k = 'abc'; DELETE FROM t WHERE k = 'DEF'; INSERT INTO t VALUES ('Def', 9)`,
    );
    await m.follow();
  },
  fromSqlite,
);
