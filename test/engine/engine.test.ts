import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { SqliteEngine } from '../../src/engine/sqlite/engine.ts';
import { systemDisk } from '../../src/runtime/system-disk.ts';
import { EngineFolder } from '../support/engine/engine-folder.ts';

const settled = (engine: SqliteEngine) => engine.settle(engine.position());

const count = (folder: EngineFolder, table = 't') =>
  (folder.read(`SELECT count(*) AS n FROM ${table}`)[0] as { readonly n: number }).n;

test('what is settled is in the journal, and a stopped database is an ordinary SQLite file', async () => {
  using folder = new EngineFolder();
  await folder.create();
  {
    await using engine = await folder.open();
    const writer = folder.writer();
    writer.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, v)');
    for (let n = 0; n < 50; n++) writer.exec(`INSERT INTO t (v) VALUES (${n})`);
    await settled(engine);
    assert.equal(engine.hardened.lsn, 51n);
    assert.equal(engine.journal.hardened.lsn, 51n);
    folder.closeWriters();
  }
  assert.deepEqual(folder.files, ['database.db', 'journal', 'state.json']);
  assert.equal(count(folder), 50);
});

test('a database that was stopped in good order is taken as it is, and goes on', async () => {
  using folder = new EngineFolder();
  await folder.create();
  for (let round = 1; round <= 3; round++) {
    const steps: string[] = [];
    await using engine = await folder.open({ onProgress: ({ step }) => steps.push(step) });
    assert.deepEqual(steps, []);
    const writer = folder.writer();
    writer.exec('CREATE TABLE IF NOT EXISTS t (v)');
    writer.exec(`INSERT INTO t VALUES (${round})`);
    await settled(engine);
    folder.closeWriters();
  }
  assert.equal(count(folder), 3);
});

test('after a kill at any moment the database is what was hardened, or later, and goes on', async () => {
  using folder = new EngineFolder();
  await folder.create();
  await using engine = await folder.open({ walBytes: 100_000, redoBytes: 50_000 });
  const writer = folder.writer();
  writer.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)');
  const insert = writer.prepare('INSERT INTO t (v) VALUES (randomblob(?))');
  for (let n = 1; n <= 400; n++) {
    await folder.mayWrite();
    insert.run((n * 37) % 5_000);
    if (n % 7 === 0) await settled(engine);
    if (n % 80 === 0) await recovered(folder, Number(engine.hardened.lsn) - 1, n);
  }
  await settled(engine);
  assert.ok(engine.checkpointLsn > 0n, 'the file was made durable on the way');
  folder.closeWriters();
});

async function recovered(folder: EngineFolder, atLeast: number, atMost: number): Promise<void> {
  using copy = folder.snapshot();
  await using engine = await copy.open();
  const writer = copy.writer();
  const { n } = writer.prepare('SELECT count(*) AS n FROM t').get() as { readonly n: number };
  assert.ok(n >= atLeast && n <= atMost, `${n} of ${atLeast} to ${atMost}`);
  assert.deepEqual(writer.prepare('PRAGMA integrity_check').all().length, 1);
  writer.exec('INSERT INTO t (v) VALUES (1)');
  await settled(engine);
  copy.closeWriters();
}

test('a file that somebody else wrote to while the server was stopped is refused, and not touched', async () => {
  using folder = new EngineFolder();
  await folder.create();
  await (await folder.open())[Symbol.asyncDispose]();
  folder.writer().exec('CREATE TABLE theirs (v)');
  folder.closeWriters();
  await assert.rejects(folder.open(), { code: 'FILE_CHANGED' });
  assert.equal(count(folder, 'theirs'), 0);
});

test('a file that was only opened, or written with the same bytes, is not refused', async () => {
  using folder = new EngineFolder();
  await folder.create();
  await (await folder.open())[Symbol.asyncDispose]();
  appendFileSync(join(folder.folder, 'database.db'), '');
  folder.read('SELECT count(*) FROM sqlite_schema');
  await (await folder.open())[Symbol.asyncDispose]();
});

test('bits that flip in a stopped database are found', async () => {
  using folder = new EngineFolder();
  await folder.create();
  {
    await using engine = await folder.open();
    folder.writer().exec('CREATE TABLE t (v); INSERT INTO t VALUES (randomblob(10000))');
    await settled(engine);
    folder.closeWriters();
  }
  const file = await systemDisk.open(join(folder.folder, 'database.db'), 'write');
  await file.write([Buffer.from([255])], 6_000);
  await file.close();
  await assert.rejects(folder.open(), { code: 'FILE_CHANGED' });
});

test('a database in any journal mode is adopted as it is', async () => {
  for (const mode of ['DELETE', 'WAL', 'TRUNCATE', 'PERSIST', 'MEMORY']) {
    using folder = new EngineFolder();
    const elsewhere = mkdtempSync(join(tmpdir(), 'speil-adopt-'));
    const path = join(elsewhere, 'existing.db');
    using existing = new DatabaseSync(path);
    existing.exec(
      `PRAGMA page_size = 8192; PRAGMA journal_mode = ${mode}; CREATE TABLE t (v); INSERT INTO t VALUES (7)`,
    );
    await folder.create(path);
    {
      await using engine = await folder.open();
      folder.writer().exec('INSERT INTO t VALUES (8)');
      await settled(engine);
      folder.closeWriters();
    }
    assert.equal(count(folder), 2, mode);
    assert.equal((folder.read('PRAGMA page_size')[0] as { page_size: number }).page_size, 8192);
    existing.close();
    rmSync(elsewhere, { recursive: true });
  }
});

test('what is no database is not adopted, and leaves nothing', async () => {
  using folder = new EngineFolder();
  await assert.rejects(folder.create(import.meta.filename), { code: 'NOT_A_DATABASE' });
  await assert.rejects(folder.create('/nowhere/at/all.db'), { code: 'FILE_MISSING' });
  await assert.rejects(folder.open(), { code: 'NOT_FOUND' });
});

test('a reader that stays keeps the WAL from beginning anew, but no writer from writing', async () => {
  using folder = new EngineFolder();
  await folder.create();
  const pauses: number[] = [];
  await using engine = await folder.open({ walBytes: 100_000, onCheckpoint: () => pauses.push(1) });
  const [writer, reader] = [folder.writer(), folder.writer()];
  writer.exec('CREATE TABLE t (v BLOB); INSERT INTO t VALUES (1)');
  await settled(engine);
  reader.exec('BEGIN; SELECT count(*) FROM t');
  const write = async (times: number) => {
    for (let n = 0; n < times; n++) {
      await folder.mayWrite();
      writer.exec('INSERT INTO t VALUES (randomblob(3000))');
      await settled(engine);
    }
  };
  await write(200);
  assert.ok(engine.position().frames > 200, 'the WAL grows meanwhile');
  assert.ok(pauses.length < 20, `writers were paused ${pauses.length} times, not for every commit`);
  reader.exec('COMMIT');
  await write(200);
  assert.ok(engine.position().frames < 200, 'and begins anew when the reader has gone');
  folder.closeWriters();
});

test('a reader that stays while the server stops loses nothing: the next start redoes what the file lacks', async () => {
  using folder = new EngineFolder();
  await folder.create();
  const engine = await folder.open();
  const writer = folder.writer();
  writer.exec('CREATE TABLE t (v)');
  const reader = new DatabaseSync(join(folder.folder, 'database.db'), { readOnly: true });
  reader.exec('BEGIN; SELECT count(*) FROM t');
  writer.exec('INSERT INTO t VALUES (1)');
  await settled(engine);
  folder.closeWriters();
  await assert.rejects(engine[Symbol.asyncDispose](), { code: 'CONFLICT' });
  reader.close();
  await (await folder.open())[Symbol.asyncDispose]();
  assert.equal(count(folder), 1);
});

test('commits of another program that were moved away unseen end the database, and nothing else', async () => {
  using folder = new EngineFolder();
  await folder.create();
  await using engine = await folder.open();
  const writer = folder.writer();
  writer.exec('CREATE TABLE t (v)');
  await settled(engine);
  writer.exec('INSERT INTO t VALUES (1); PRAGMA wal_checkpoint(RESTART); INSERT INTO t VALUES (2)');
  await assert.rejects(settled(engine), { code: 'DATABASE_STOPPED', message: /WAL was changed/ });
  assert.throws(() => engine.admitWrite(), { code: 'DATABASE_STOPPED' });
  folder.closeWriters();
});

/** A database in which SQLite takes 0xffffffc3 for the number of the next page. */
function damagedPages(path: string): void {
  {
    using made = new DatabaseSync(path);
    made.exec('PRAGMA page_size = 512; PRAGMA auto_vacuum = 1; CREATE TABLE t (a, b); CREATE INDEX i ON t (b)');
    made.exec(`INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
      SELECT i, zeroblob(300) || i FROM n`);
  }
  const bytes = readFileSync(path);
  bytes.fill(0xff, 3 * 512, 8 * 512);
  writeFileSync(path, bytes);
}

test('a damaged database that grows beyond belief is stopped, and not worked on for ever', async () => {
  using folder = new EngineFolder();
  const path = join(folder.root, 'damaged.db');
  damagedPages(path);
  await folder.create(path);
  const engine = await folder.open();
  folder.writer().exec('CREATE TABLE z (a)');
  await assert.rejects(settled(engine), { code: 'DATABASE_STOPPED', message: /4294967235 pages long/ });
  folder.closeWriters();
  await engine[Symbol.asyncDispose]();
  await using again = await folder.open();
  assert.equal(again.hardened.lsn, 0n);
});
