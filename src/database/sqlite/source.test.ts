import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, renameSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { dumpTable, mirrorOnce, noSignal, SqliteFixture } from '../../../test/support/sqlite-fixture.ts';
import { decodeRows, type Fields } from '../row-text.ts';
import type { SourceDatabase, TrackedTable } from '../source-database.ts';

const enable = async (source: SourceDatabase, ...names: readonly string[]) =>
  source.enableTracking(
    names.map((name) => ({ schema: null, name })),
    noSignal,
  );

const enableOne = async (source: SourceDatabase, name: string): Promise<TrackedTable> => {
  const report = await enable(source, name);
  const [table] = report.tables;
  assert.ok(table, JSON.stringify(report.refused));
  return table;
};

const read = async (chunks: AsyncIterable<{ readonly rows: Uint8Array }>): Promise<readonly Fields[]> => {
  const rows: Fields[] = [];
  for await (const chunk of chunks) rows.push(...decodeRows(chunk.rows));
  return rows;
};

/** The net changes that `work` leaves behind. */
const changesOf = async (source: SourceDatabase, name: string, work: () => void): Promise<readonly Fields[]> => {
  const { schema } = await enableOne(source, name);
  const since = await source.copyStart(schema, noSignal);
  work();
  await using snapshot = await source.openSnapshot([{ schema, since }], noSignal);
  assert.deepEqual(snapshot.refused, []);
  const [changed] = snapshot.changed;
  return changed === undefined ? [] : await read(snapshot.changes(changed, 50));
};

test('a missing file is not created, and a folder or another file is not a database', async () => {
  await using files = new SqliteFixture();
  await assert.rejects(files.source('none.db'), { code: 'FILE_MISSING' });
  await assert.rejects(files.source(''), { code: 'NOT_A_DATABASE' });
  copyFileSync(import.meta.filename, files.path('text.db'));
  await assert.rejects(files.source('text.db'), { code: 'NOT_A_DATABASE' });
  assert.deepEqual(readdirSync(files.folder), ['text.db']);
});

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

test('the key is the primary key, else a unique index without nulls, else none', async () => {
  await using files = new SqliteFixture();
  files.plain(
    'source.db',
    `CREATE TABLE a(x TEXT, y INT, PRIMARY KEY (y, x));
     CREATE TABLE b(x NOT NULL, y NOT NULL, z UNIQUE, UNIQUE (x, y)); CREATE UNIQUE INDEX b1 ON b(y);
     CREATE TABLE c(x UNIQUE, y COLLATE NOCASE NOT NULL UNIQUE); CREATE UNIQUE INDEX c1 ON c(x) WHERE x > 1;
     CREATE TABLE d(id INTEGER PRIMARY KEY, x); CREATE UNIQUE INDEX d1 ON d(lower(x));
     CREATE TABLE e(id TEXT PRIMARY KEY); INSERT INTO e VALUES (NULL);
     CREATE TABLE f(id INTEGER PRIMARY KEY DESC); CREATE TABLE g(id INTEGER PRIMARY KEY) WITHOUT ROWID;
     CREATE TABLE h(rowid, oid, _rowid_); CREATE VIEW v AS SELECT 1; CREATE VIRTUAL TABLE w USING fts5(x)`,
  );
  const survey = await (await files.source()).survey({ schemas: null }, noSignal);
  const keys = Object.fromEntries(survey.tables.map(({ schema }) => [schema.table.name, schema.key.join()]));
  assert.deepEqual(keys, { a: 'y,x', b: 'y', c: '', d: '', e: '', f: 'id', g: 'id' });
  assert.deepEqual(
    survey.tables.find(({ schema }) => schema.table.name === 'g')?.schema.columns[0]?.declaredType,
    'INT',
  );
  const excluded = new Map(survey.excluded.map(({ table, reason }) => [table.name, reason]));
  assert.equal(excluded.get('v'), 'a view');
  assert.equal(excluded.get('w'), 'a virtual table');
  assert.equal(excluded.get('w_content'), 'the storage of a virtual table');
  assert.match(excluded.get('h') ?? '', /hide its rowid/);
});

test('a null in the key makes the table one without a key, and back', async () => {
  await using files = new SqliteFixture();
  const db = files.plain('source.db', `CREATE TABLE t(id TEXT PRIMARY KEY, a); INSERT INTO t VALUES ('x', 1)`);
  const source = await files.source();
  const { schema } = await enableOne(source, 't');
  assert.deepEqual(schema.key, ['id']);
  await assert.rejects(
    changesOf(source, 't', () => db.exec('INSERT INTO t VALUES (NULL, 2)')),
    { code: 'SCHEMA_CHANGED', recovery: 'repopulate' },
  );
  const without = await enableOne(source, 't');
  assert.deepEqual([without.schema.key, without.newlyTracked], [[], true]);
  assert.notEqual(without.schema.identity, schema.identity);
  db.exec('DELETE FROM t WHERE id IS NULL');
  assert.deepEqual((await enableOne(source, 't')).schema.key, ['id']);
});

test('schemas say types, nullability, defaults, fills and generated columns', async () => {
  await using files = new SqliteFixture();
  files.plain(
    'source.db',
    `CREATE TABLE t(id INTEGER PRIMARY KEY, n VARCHAR(10) NOT NULL DEFAULT 'it''s', i INT DEFAULT '5', e DEFAULT (1 + 2),
       w DEFAULT CURRENT_TIMESTAMP, b BOOLEAN DEFAULT true, /* AS (no) */ g INT GENERATED ALWAYS AS ((i + 1) * 2) STORED,
       "select" TEXT AS (n || ')') VIRTUAL, q "odd type");
     CREATE TABLE s(a ANY, b INT) STRICT`,
  );
  const { tables } = await (await files.source()).survey({ schemas: null }, noSignal);
  const columns = tables.find(({ schema }) => schema.table.name === 't')?.schema.columns ?? [];
  const rows = columns.map((c) => [
    c.name,
    c.type,
    c.nullable,
    c.defaultExpression,
    c.generatedAs,
    c.fill.kind === 'value' ? c.fill.text : '?',
  ]);
  assert.deepEqual(rows, [
    ['id', 'bigint', false, null, null, null],
    ['n', 'text', false, `'it''s'`, null, `tit's`],
    ['i', 'bigint', true, `'5'`, null, 'i5'],
    ['e', 'text', true, '1 + 2', null, '?'],
    ['w', 'text', true, 'CURRENT_TIMESTAMP', null, '?'],
    ['b', 'boolean', true, 'true', null, 'i1'],
    ['g', 'bigint', true, null, '(i + 1) * 2', '?'],
    ['select', 'text', true, null, `n || ')'`, '?'],
    ['q', 'numeric', true, null, null, null],
  ]);
  assert.deepEqual(
    tables.find(({ schema }) => schema.table.name === 's')?.schema.columns.map((c) => [c.declaredType, c.type]),
    [
      ['', 'text'],
      ['INT', 'bigint'],
    ],
  );
});

test('a survey changes nothing and says what tracking would do', async () => {
  await using files = new SqliteFixture();
  const db = files.plain('source.db', 'CREATE TABLE t(id INTEGER PRIMARY KEY)');
  const source = await files.source();
  const survey = await source.survey({ schemas: null }, noSignal);
  assert.deepEqual(
    db
      .prepare('SELECT name FROM sqlite_schema')
      .all()
      .map(({ name }) => name),
    ['t'],
  );
  assert.match(survey.notes.join(), /journal_mode=WAL/);
  for (const sql of survey.tables[0]?.trackingDdl ?? []) db.exec(sql);
  assert.ok((survey.tables[0]?.trackingDdl.length ?? 0) > 3);
});

test('a copy goes on where it was left, also after VACUUM, and over keys of every kind', async () => {
  await using files = new SqliteFixture();
  const numbers = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)';
  const db = files.plain(
    'source.db',
    `CREATE TABLE ipk(id INTEGER PRIMARY KEY, a); ${numbers} INSERT INTO ipk SELECT i * 7, 'row ' || i FROM n;
     CREATE TABLE txt(id TEXT PRIMARY KEY, a); ${numbers} INSERT INTO txt SELECT 'k' || i, i FROM n; DELETE FROM txt WHERE a < 20;
     CREATE TABLE wr(a TEXT COLLATE NOCASE, b BLOB, c REAL, PRIMARY KEY (a, b, c)) WITHOUT ROWID; ${numbers} INSERT INTO wr SELECT 'K' || (i % 3), CAST(i AS BLOB), i / 7.0 FROM n;
     CREATE TABLE mixed(a INT, b INT, PRIMARY KEY (a DESC, b)) WITHOUT ROWID; ${numbers} INSERT INTO mixed SELECT i % 10, i FROM n;
     CREATE TABLE down(a INT, PRIMARY KEY (a DESC)) WITHOUT ROWID; ${numbers} INSERT INTO down SELECT i FROM n`,
  );
  const source = await files.source();
  for (const name of ['ipk', 'txt', 'wr', 'mixed', 'down']) {
    const { schema, estimatedRows } = await enableOne(source, name);
    const seen: string[] = [];
    let progress: string | null = null;
    let chunks = 0;
    for (let done = false; !done; ) {
      for await (const chunk of source.copy(schema, { progress, chunkBytes: 300, signal: noSignal })) {
        seen.push(...[...decodeRows(chunk.rows)].map((row) => row.join()));
        ({ progress, done } = chunk);
        chunks++;
        break;
      }
      if (chunks === 2) db.exec('VACUUM');
    }
    assert.ok(chunks > 3, name);
    assert.equal(seen.length, estimatedRows, name);
    assert.equal(new Set(seen).size, estimatedRows, name);
  }
});

test('a copy is refused when its table was altered, or may have been renumbered', async () => {
  await using files = new SqliteFixture();
  const numbers = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)';
  const db = files.plain(
    'source.db',
    `CREATE TABLE t(a, b); ${numbers} INSERT INTO t SELECT i, i FROM n; CREATE TABLE k(id TEXT PRIMARY KEY); ${numbers} INSERT INTO k SELECT i FROM n`,
  );
  const source = await files.source();
  const begin = async (name: string, between: string) => {
    const { schema } = await enableOne(source, name);
    const copy = source.copy(schema, { progress: null, chunkBytes: 100, signal: noSignal })[Symbol.asyncIterator]();
    await copy.next();
    db.exec(between);
    return copy.next();
  };
  await assert.rejects(begin('t', 'VACUUM'), { code: 'SCHEMA_CHANGED', recovery: 'repopulate' });
  await assert.rejects(begin('t', 'ALTER TABLE t ADD COLUMN c'), { code: 'SCHEMA_CHANGED' });
  await assert.rejects(begin('k', `VACUUM; DELETE FROM k WHERE id BETWEEN '0' AND '99'`), { code: 'SCHEMA_CHANGED' });
  await assert.rejects(begin('t', 'DROP TABLE t'), { code: 'SCHEMA_CHANGED' });
});

test('a snapshot sees one moment of all tables', async () => {
  await using files = new SqliteFixture();
  const db = files.plain(
    'source.db',
    `PRAGMA journal_mode=WAL; CREATE TABLE a(id INTEGER PRIMARY KEY, v); CREATE TABLE b(id INTEGER PRIMARY KEY, v)`,
  );
  const source = await files.source();
  const { tables } = await enable(source, 'a', 'b');
  const since = await Promise.all(
    tables.map(async ({ schema }) => ({ schema, since: await source.copyStart(schema, noSignal) })),
  );
  db.exec('INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 1)');
  await using snapshot = await source.openSnapshot(since, noSignal);
  db.exec('UPDATE a SET v = 2; UPDATE b SET v = 2; INSERT INTO a VALUES (2, 2)');
  for (const table of snapshot.changed) {
    assert.deepEqual(await read(snapshot.changes(table, 1000)), [['U', 'i1', 'i1']]);
  }
  assert.deepEqual(snapshot.changed.length, 2);
  assert.equal(snapshot.position(since[0]?.schema ?? assert.fail()).lsn, 2n);
});

test('every value comes as it is stored', async () => {
  await using files = new SqliteFixture();
  const literals = [
    'NULL',
    '9223372036854775807',
    '-9223372036854775808',
    '0',
    '1.5',
    '-0.0',
    '1e300',
    '9e999',
    '-9e999',
    `''`,
    `'a	b\nc\\'`,
    `'😀 ü'`,
    `x''`,
    `x'00ff0a'`,
    `CAST(x'ff41' AS TEXT)`,
    `CAST(x'610062' AS TEXT)`,
    `char(65533)`,
    `CAST(x'eda080' AS TEXT)`,
    '0.1',
  ];
  const expected = [
    null,
    'i9223372036854775807',
    'i-9223372036854775808',
    'i0',
    'r1.5',
    'r-0',
    'r1e+300',
    'rInfinity',
    'r-Infinity',
    't',
    'ta\tb\nc\\',
    't😀 ü',
    'b',
    'b00ff0a',
    'xff41',
    'x610062',
    't\ufffd',
    'xeda080',
    'r0.1',
  ];
  const db = files.plain(
    'source.db',
    `CREATE TABLE t(id INTEGER PRIMARY KEY, v); ${literals.map((sql, i) => `INSERT INTO t VALUES (${i}, ${sql});`).join('')}`,
  );
  const source = await files.source();
  const { schema } = await enableOne(source, 't');
  const copied = await read(source.copy(schema, { progress: null, chunkBytes: 20, signal: noSignal }));
  assert.deepEqual(
    copied.map(([, value]) => value),
    expected,
  );
  const changed = await changesOf(source, 't', () => db.exec('UPDATE t SET id = id'));
  assert.deepEqual(
    changed.map(([, , value]) => value),
    expected,
  );
});

test('text of a UTF-16 database comes as UTF-8', async () => {
  await using files = new SqliteFixture();
  files.plain(
    'source.db',
    `PRAGMA encoding='UTF-16le'; CREATE TABLE t(id INTEGER PRIMARY KEY, v);
    INSERT INTO t VALUES (1, 'ü😀'), (3, CAST(x'410000004200' AS TEXT)), (4, char(65533))`,
  );
  const source = await files.source();
  const { schema } = await enableOne(source, 't');
  const rows = await read(source.copy(schema, { progress: null, chunkBytes: 1000, signal: noSignal }));
  assert.deepEqual(
    rows.map(([, value]) => value),
    ['tü😀', 'x410042', 't\ufffd'],
  );
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

test('positions are judged: continue, ahead, history lost, tracking off, foreign', async () => {
  await using files = new SqliteFixture();
  const db = files.plain('source.db', 'CREATE TABLE t(id INTEGER PRIMARY KEY, v)');
  const source = await files.source();
  const { schema } = await enableOne(source, 't');
  const insert = (rows: number) => {
    for (let i = 0; i < rows; i++) db.exec('INSERT INTO t(v) VALUES (1)');
  };
  const verdict = async (
    judge: SourceDatabase,
    position: Awaited<ReturnType<typeof source.copyStart>>,
    table = true,
  ) => {
    const [made] = await judge.judge([{ table: table ? schema.table : null, position }], noSignal);
    return made?.kind === 'repopulate' ? made.reason : made?.kind;
  };
  insert(3);
  await source.leaveBookmark();
  const early = await source.copyStart(schema, noSignal);
  copyFileSync(files.path('source.db'), files.path('backup.db'));
  insert(3);
  const late = await source.copyStart(schema, noSignal);
  assert.equal(await verdict(source, early), 'continue');
  assert.equal(await verdict(source, late), 'continue');
  const restored = await files.source('backup.db');
  assert.equal(await verdict(restored, early), 'continue');
  assert.equal(await verdict(restored, late), 'ahead');
  files.plain('backup.db', 'INSERT INTO t(v) VALUES (1), (2), (3), (4), (5)');
  assert.equal(await verdict(restored, late), 'history-lost');
  assert.equal(await verdict(restored, late, false), 'continue');
  files.plain('other.db', 'CREATE TABLE t(id INTEGER PRIMARY KEY, v)');
  const other = await files.source('other.db');
  await enable(other, 't');
  assert.equal(await verdict(other, early), 'foreign');
  assert.equal(await verdict(other, early, false), 'foreign');
  await source.untrack(noSignal);
  assert.equal(await verdict(source, early), 'tracking-was-off');
  await enable(source, 't');
  assert.equal(await verdict(source, early), 'tracking-was-off');
});

test('a file that is put in the place of the source is noticed while it is open', async () => {
  await using files = new SqliteFixture();
  const db = files.plain('source.db', 'CREATE TABLE t(id INTEGER PRIMARY KEY, v)');
  const source = await files.source();
  const { schema } = await enableOne(source, 't');
  copyFileSync(files.path('source.db'), files.path('backup.db'));
  db.exec('INSERT INTO t VALUES (1, 1)');
  const since = await source.copyStart(schema, noSignal);
  const description = await (async () => {
    await using snapshot = await source.openSnapshot([{ schema, since }], noSignal);
    return snapshot.description;
  })();
  assert.equal(await source.isUnchangedSince(description, noSignal), true);
  db.close();
  renameSync(files.path('backup.db'), files.path('source.db'));
  assert.equal(await source.isUnchangedSince(description, noSignal), false);
  await using snapshot = await source.openSnapshot([{ schema, since }], noSignal);
  assert.equal(snapshot.refused[0]?.error.recovery, 'repopulate');
});

test('what is older than the retention is pruned, but never the last change', async () => {
  await using files = new SqliteFixture();
  const db = files.plain('source.db', 'CREATE TABLE t(id INTEGER PRIMARY KEY, v)');
  let now = Date.UTC(2026, 0, 1);
  const clock = { now: () => now, monotonicMs: () => 0, sleep: async () => {} };
  const source = await files.source('source.db', { clock });
  const { schema } = await enableOne(source, 't');
  const insert = () => db.exec('INSERT INTO t(v) VALUES (1), (2), (3)');
  const early = await source.copyStart(schema, noSignal);
  insert();
  await source.prune(noSignal);
  const middle = await source.copyStart(schema, noSignal);
  now += 8 * 24 * 3600 * 1000;
  await source.prune(noSignal);
  const reasons = async () =>
    (
      await source.judge(
        [early, middle].map((position) => ({ table: schema.table, position })),
        noSignal,
      )
    ).map((v) => (v.kind === 'repopulate' ? v.reason : v.kind));
  assert.deepEqual(await reasons(), ['retention', 'continue']);
  insert();
  assert.deepEqual(await reasons(), ['retention', 'continue']);
  now += 2 * 3600 * 1000;
  await source.prune(noSignal);
  now += 8 * 24 * 3600 * 1000;
  await source.prune(noSignal);
  assert.deepEqual(await reasons(), ['retention', 'retention']);
  assert.deepEqual({ ...db.prepare('SELECT count(*) AS kept FROM speil_change_1').get() }, { kept: 1 });
});

test('whether anything changed is told cheaply, and bookmarks and other tables are no change', async () => {
  await using files = new SqliteFixture();
  const db = files.plain(
    'source.db',
    'PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE other(a)',
  );
  const source = await files.source();
  const { schema } = await enableOne(source, 't');
  const since = await source.copyStart(schema, noSignal);
  await using snapshot = await source.openSnapshot([{ schema, since }], noSignal);
  const unchanged = () => source.isUnchangedSince(snapshot.description, noSignal);
  assert.equal(await unchanged(), true);
  await source.leaveBookmark();
  assert.equal(await unchanged(), true);
  db.exec('INSERT INTO other VALUES (1)');
  assert.equal(await unchanged(), true);
  db.exec('CREATE TABLE another(a)');
  assert.equal(await unchanged(), false);
  const again = await files.source();
  assert.equal(await again.isUnchangedSince(snapshot.description, noSignal), false);
});

test('each kind of commit makes the source changed', async () => {
  await using files = new SqliteFixture();
  const db = files.plain('source.db', 'CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE n(a)');
  const source = await files.source();
  const { tables } = await enable(source, 't', 'n');
  for (const sql of [
    'INSERT INTO t VALUES (1, 1)',
    'UPDATE t SET v = 2',
    'DELETE FROM t',
    'INSERT INTO n VALUES (1)',
    'DELETE FROM n',
  ]) {
    const at = await Promise.all(
      tables.map(async ({ schema }) => ({ schema, since: await source.copyStart(schema, noSignal) })),
    );
    const before = await source.openSnapshot(at, noSignal);
    assert.deepEqual(before.changed, []);
    await before[Symbol.asyncDispose]();
    db.exec(sql);
    assert.equal(await source.isUnchangedSince(before.description, noSignal), false, sql);
    await using after = await source.openSnapshot(at, noSignal);
    assert.equal(after.changed.length, 1, sql);
  }
});

test('a locked source refuses its tables and recovers', async () => {
  await using files = new SqliteFixture();
  const db = files.plain('source.db', 'CREATE TABLE t(id INTEGER PRIMARY KEY)');
  let waited = 0;
  const clock = {
    now: () => 0,
    monotonicMs: () => waited,
    sleep: async (ms: number) => {
      waited += ms;
    },
  };
  const source = await files.source('source.db', { clock });
  db.exec('BEGIN IMMEDIATE');
  const { tables, refused } = await enable(source, 't');
  assert.deepEqual([tables.length, refused[0]?.error.code, refused[0]?.error.recovery], [0, 'LOCK_TIMEOUT', 'retry']);
  db.exec('ROLLBACK');
  assert.equal((await enable(source, 't')).tables.length, 1);
});

test('tables and columns may be called anything', async () => {
  await using files = new SqliteFixture();
  const names = [
    'select',
    'a "quoted" name',
    "it's",
    'søk 😀',
    'with space',
    'a.b',
    'UPPER',
    '[x]',
    'semi;colon',
    '%_',
  ];
  const sql = names.map((name) => {
    const quoted = `"${name.replaceAll('"', '""')}"`;
    return `CREATE TABLE ${quoted}(${quoted} TEXT NOT NULL, "group" INT, PRIMARY KEY (${quoted}), UNIQUE("group")); INSERT INTO ${quoted} VALUES ('x', 1), ('y', 2);`;
  });
  const db = files.plain('source.db', sql.join(''));
  const source = await files.source();
  const mirror = await files.mirror();
  await mirrorOnce(source, mirror);
  for (const name of names)
    db.exec(`UPDATE "${name.replaceAll('"', '""')}" SET "${name.replaceAll('"', '""')}" = 'z' WHERE "group" = 2`);
  assert.deepEqual(await mirrorOnce(source, mirror), []);
  const copy = files.plain('mirror.db');
  for (const name of names) assert.deepEqual(dumpTable(copy, name), dumpTable(db, name), name);
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
