import assert from 'node:assert/strict';
import { copyFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { dumpTable, mirrorOnce, noSignal, SqliteFixture } from '../../../test/support/sqlite-fixture.ts';
import { changesOf, enable, enableOne, read } from '../../../test/support/sqlite-source.ts';
import { decodeRows } from '../row-text.ts';

test('a missing file is not created, and a folder or another file is not a database', async () => {
  await using files = new SqliteFixture();
  await assert.rejects(files.source('none.db'), { code: 'FILE_MISSING' });
  await assert.rejects(files.source(''), { code: 'NOT_A_DATABASE' });
  copyFileSync(import.meta.filename, files.path('text.db'));
  await assert.rejects(files.source('text.db'), { code: 'NOT_A_DATABASE' });
  assert.deepEqual(readdirSync(files.folder), ['text.db']);
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
