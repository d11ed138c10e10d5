import assert from 'node:assert/strict';
import { copyFileSync, renameSync } from 'node:fs';
import { test } from 'node:test';
import { noSignal, SqliteFixture } from '../../../test/support/sqlite-fixture.ts';
import { enable, enableOne } from '../../../test/support/sqlite-source.ts';
import type { SourceDatabase } from '../source-database.ts';

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
