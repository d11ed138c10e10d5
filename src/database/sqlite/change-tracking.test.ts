import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dumpTable, mirrorOnce, noSignal, SqliteFixture } from '../../../test/support/sqlite-fixture.ts';
import { changesOf, enable, enableOne } from '../../../test/support/sqlite-source.ts';

test('inserts, updates and deletes become one net change a key', async () => {
  await using files = new SqliteFixture();
  const db = files.plain(
    'source.db',
    `CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')`,
  );
  const source = await files.source();
  const changes = await changesOf(source, 't', () => {
    db.exec(`UPDATE t SET a = 'one' WHERE id = 1; UPDATE t SET a = 'eins' WHERE id = 1; DELETE FROM t WHERE id = 2`);
    db.exec(`INSERT INTO t VALUES (4, 'w'); INSERT INTO t VALUES (5, 'gone'); DELETE FROM t WHERE id = 5`);
  });
  assert.deepEqual(changes, [
    ['U', 'i1', 'teins'],
    ['D', 'i2', null],
    ['U', 'i4', 'tw'],
    ['D', 'i5', null],
  ]);
});

test('a row that changes its key is a delete and an insert, also in a swap', async () => {
  await using files = new SqliteFixture();
  const db = files.plain(
    'source.db',
    `CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')`,
  );
  const source = await files.source();
  const changes = await changesOf(source, 't', () => {
    db.exec('UPDATE t SET id = 10 WHERE id = 1');
    db.exec('UPDATE t SET id = -id WHERE id IN (2, 3); UPDATE t SET id = 5 + id WHERE id < 0');
  });
  assert.deepEqual(
    new Set(changes.map((row) => row.join())),
    new Set(['D,i1,', 'U,i10,tx', 'D,i-2,', 'D,i-3,', 'U,i3,ty', 'U,i2,tz']),
  );
});

for (const declaration of [
  'id INTEGER PRIMARY KEY, u TEXT UNIQUE, v',
  'id TEXT PRIMARY KEY NOT NULL, u TEXT UNIQUE, v',
  'id INTEGER PRIMARY KEY, u TEXT COLLATE NOCASE UNIQUE ON CONFLICT REPLACE, v',
  'id INTEGER NOT NULL UNIQUE, u, v, UNIQUE (u, v) ON CONFLICT REPLACE',
]) {
  test(`rows that REPLACE removes are seen: ${declaration}`, async () => {
    await using files = new SqliteFixture();
    const db = files.plain(
      'source.db',
      `CREATE TABLE t(${declaration}); INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 0), (3, 'c', 0)`,
    );
    const source = await files.source();
    const changes = await changesOf(source, 't', () => {
      db.exec(`INSERT OR REPLACE INTO t VALUES (9, 'a', 0); UPDATE OR REPLACE t SET u = 'b' WHERE id = 3`);
    });
    const ids = new Map(changes.map(([op, id]) => [id?.slice(1), op]));
    assert.deepEqual(
      ids,
      new Map([
        ['1', 'D'],
        ['9', 'U'],
        ['2', 'D'],
        ['3', 'U'],
      ]),
    );
  });
}

test('REPLACE is seen through partial indexes, defaults, generated columns and rowids', async () => {
  await using files = new SqliteFixture();
  const db = files.plain(
    'source.db',
    `CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, p, d INTEGER NOT NULL DEFAULT 7 UNIQUE, g AS (p * 2) UNIQUE);
     CREATE UNIQUE INDEX only_big ON t(p) WHERE p > 100 AND id <> 'where';
     INSERT INTO t(rowid, id, p, d) VALUES (1, 'one', 1, 7), (2, 'big', 200, 2), (3, 'three', 3, 3)`,
  );
  const source = await files.source();
  const deleted = async (sql: string) =>
    (await changesOf(source, 't', () => db.exec(sql))).filter(([op]) => op === 'D').map(([, id]) => id);
  assert.deepEqual(await deleted(`INSERT OR REPLACE INTO t(id, p, d) VALUES ('n', 9, NULL)`), ['tone']);
  assert.deepEqual(await deleted(`INSERT OR REPLACE INTO t(id, p, d) VALUES ('m', 200, 40)`), ['tbig']);
  assert.deepEqual(await deleted(`INSERT OR REPLACE INTO t(rowid, id, p, d) VALUES (3, 'k', 50, 50)`), ['tthree']);
  assert.deepEqual(await deleted(`UPDATE OR REPLACE t SET p = 50 WHERE id = 'n'`), ['tk']);
});

test('keys that only SQLite takes for equal are two to a mirror', async () => {
  await using files = new SqliteFixture();
  const db = files.plain(
    'source.db',
    `CREATE TABLE t(id TEXT COLLATE NOCASE PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO t VALUES ('a', 1), ('b', 2);
     CREATE TABLE u(id PRIMARY KEY, v); INSERT INTO u VALUES (1, 'x'), (2, 'y')`,
  );
  const source = await files.source();
  const byName = await changesOf(source, 't', () =>
    db.exec(`UPDATE t SET id = 'A' WHERE id = 'a'; REPLACE INTO t VALUES ('B', 3)`),
  );
  assert.deepEqual(new Set(byName.map((row) => row.join())), new Set(['D,ta,', 'U,tA,i1', 'D,tb,', 'U,tB,i3']));
  const byKind = await changesOf(source, 'u', () =>
    db.exec('UPDATE u SET id = 1.0 WHERE id = 1; REPLACE INTO u VALUES (2.0, 0)'),
  );
  assert.deepEqual(new Set(byKind.map((row) => row.join())), new Set(['D,i1,', 'U,r1,tx', 'D,i2,', 'U,r2,i0']));
});

test('tracking that was broken begins anew; dropping an index does not break it', async () => {
  await using files = new SqliteFixture();
  const db = files.plain('source.db', 'CREATE TABLE t(id INTEGER PRIMARY KEY, u); CREATE UNIQUE INDEX tu ON t(u)');
  const source = await files.source();
  const first = await enableOne(source, 't');
  assert.equal(first.newlyTracked, true);
  assert.equal((await enableOne(source, 't')).newlyTracked, false);
  db.exec('DROP INDEX tu');
  const kept = await enableOne(source, 't');
  assert.deepEqual([kept.newlyTracked, kept.schema.identity], [false, first.schema.identity]);
  db.exec('ALTER TABLE t DROP COLUMN u; ALTER TABLE t RENAME COLUMN id TO "new id"');
  assert.deepEqual([(await enableOne(source, 't')).schema.identity], [first.schema.identity]);
  for (const breaking of [
    'ALTER TABLE t ADD COLUMN w; CREATE UNIQUE INDEX tw ON t(w)',
    'DROP TRIGGER speil_1_d',
    'DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY)',
  ]) {
    db.exec(breaking);
    assert.equal((await enableOne(source, 't')).newlyTracked, true, breaking);
  }
  db.exec('ALTER TABLE t RENAME TO t2');
  const { refused } = await enable(source, 't');
  assert.equal(refused[0]?.error.code, 'SCHEMA_CHANGED');
  assert.equal((await enableOne(source, 't2')).newlyTracked, true);
});

test('untrack removes everything that was put in', async () => {
  await using files = new SqliteFixture();
  const db = files.plain(
    'source.db',
    `CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE); CREATE TABLE n(a); CREATE TRIGGER mine AFTER INSERT ON t BEGIN SELECT 1; END`,
  );
  const objects = () => db.prepare('SELECT type, name, sql FROM sqlite_schema ORDER BY name').all();
  const before = objects();
  const source = await files.source();
  await enable(source, 't', 'n');
  await source.leaveBookmark();
  assert.notDeepEqual(objects(), before);
  assert.ok((await source.untrack(noSignal)).includes('table speil_change_1'));
  assert.deepEqual(objects(), before);
  assert.deepEqual(await source.untrack(noSignal), []);
});

test('any sequence of statements leaves the mirror equal', async () => {
  const id = fc.constantFrom('1', '2', '3', `'a'`, `'A'`, '2.0', `x'01'`);
  const u = fc.constantFrom('1', '2', `'b'`, 'NULL', '3');
  const table = fc.constantFrom('r', 'k', 'w', 'n', 'c');
  const statement = fc.oneof(
    fc
      .tuple(fc.constantFrom('', 'OR REPLACE', 'OR IGNORE'), table, id, u, u)
      .map(([or, t, i, a, b]) => `INSERT ${or} INTO ${t}(id, u, v) VALUES (${i}, ${a}, ${b})`),
    fc
      .tuple(fc.constantFrom('', 'OR REPLACE', 'OR IGNORE'), table, id, id)
      .map(([or, t, i, a]) => `UPDATE ${or} ${t} SET id = ${i} WHERE id = ${a}`),
    fc
      .tuple(fc.constantFrom('', 'OR REPLACE'), table, u, id)
      .map(([or, t, a, i]) => `UPDATE ${or} ${t} SET u = ${a} WHERE id = ${i}`),
    fc.tuple(table, id).map(([t, i]) => `DELETE FROM ${t} WHERE id = ${i}`),
    table.map((t) => `DELETE FROM ${t}`),
    table.map((t) => `REPLACE INTO ${t}(id, u, v) SELECT id, u, 9 FROM ${t}`),
    fc.constantFrom(
      'mirror',
      'mirror',
      'VACUUM',
      'CREATE UNIQUE INDEX IF NOT EXISTS ru ON r(v) WHERE v > 1',
      'DROP INDEX IF EXISTS ru',
    ),
  );
  const tables = `CREATE TABLE r(id INTEGER PRIMARY KEY, u UNIQUE, v);
    CREATE TABLE k(id PRIMARY KEY, u, v, UNIQUE (u, v));
    CREATE TABLE w(id TEXT COLLATE NOCASE PRIMARY KEY, u TEXT UNIQUE COLLATE NOCASE, v) WITHOUT ROWID;
    CREATE TABLE n(id, u UNIQUE, v);
    CREATE TABLE c(id INT NOT NULL UNIQUE ON CONFLICT REPLACE, u NOT NULL DEFAULT 2 UNIQUE ON CONFLICT REPLACE, v)`;
  await fc.assert(
    fc.asyncProperty(fc.array(statement, { maxLength: 30 }), async (statements) => {
      await using files = new SqliteFixture();
      const db = files.plain('source.db', tables);
      db.exec('PRAGMA synchronous=OFF');
      const source = await files.source();
      const mirror = await files.mirror();
      for (const sql of ['mirror', ...statements, 'mirror']) {
        if (sql === 'mirror') await mirrorOnce(source, mirror, 100);
        else tryExec(db, sql);
      }
      const copy = files.plain('mirror.db');
      for (const name of ['r', 'k', 'w', 'n', 'c']) assert.deepEqual(dumpTable(copy, name), dumpTable(db, name), name);
    }),
    { numRuns: 40 },
  );
});

/** Constraint errors are part of the game. */
function tryExec(db: ReturnType<SqliteFixture['plain']>, sql: string): void {
  try {
    db.exec(sql);
  } catch (error) {
    assert.match(String(error), /constraint|mismatch/);
  }
}
