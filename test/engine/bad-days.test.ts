import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SqliteEngine } from '../../src/engine/sqlite/engine.ts';
import { systemDisk } from '../../src/runtime/system-disk.ts';
import { EngineFolder } from '../support/engine/engine-folder.ts';
import { FaultyDisk } from '../support/engine/faulty-disk.ts';

const settled = (engine: SqliteEngine) => engine.settle(engine.position());

/** A database with one row in `t`, on a disk that can be made to fail. */
async function openShop(folder: EngineFolder) {
  const disk = new FaultyDisk(systemDisk);
  const states: string[] = [];
  const attached = Promise.withResolvers<void>();
  await folder.create();
  const engine = await folder.open({
    disk,
    onState: (state) => states.push(state),
    attach: () => attached.resolve(),
  });
  folder.writer().exec('CREATE TABLE t (v BLOB); INSERT INTO t VALUES (1)');
  await settled(engine);
  return { engine, disk, states, attached: attached.promise };
}

const rowsOf = (folder: EngineFolder): number => {
  using reader = folder.writer();
  return (reader.prepare('SELECT count(*) AS n FROM t').get() as { readonly n: number }).n;
};

async function until(condition: () => boolean): Promise<void> {
  for (let n = 0; n < 500 && !condition(); n++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(condition(), 'it did not come about');
}

const isJournal = (path: string): boolean => path.includes('/journal/');

test('a disk that fills up: what cannot be hardened is undone, reads go on, and it heals', async () => {
  using folder = new EngineFolder();
  const shop = await openShop(folder);
  await using engine = shop.engine;
  shop.disk.fault = (operation, path) => (operation !== 'sync' && isJournal(path) ? 'ENOSPC' : null);
  folder.writer().exec('INSERT INTO t VALUES (2)');
  await assert.rejects(settled(engine), { code: 'DISK_FULL' });
  await shop.attached;
  assert.equal(rowsOf(folder), 1, 'the commit that nobody was told of is gone');
  await settled(engine);
  assert.throws(() => engine.admitWrite(), { code: 'DISK_FULL' });
  shop.disk.fault = () => null;
  await until(() => isAdmitted(engine));
  folder.writer().exec('INSERT INTO t VALUES (3)');
  await settled(engine);
  assert.equal(engine.hardened.lsn, 3n, 'numbers go on without a gap');
  assert.deepEqual(shop.states, ['disk-full', 'running']);
  folder.closeWriters();
});

test('a transaction that the disk has no room for is undone as a whole', async () => {
  using folder = new EngineFolder();
  const shop = await openShop(folder);
  await using engine = shop.engine;
  shop.disk.fault = (operation, path) => (operation === 'create' && isJournal(path) ? 'ENOSPC' : null);
  folder.writer().exec(`INSERT INTO t SELECT randomblob(100000)
    FROM (WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 300) SELECT n FROM n)`);
  await assert.rejects(settled(engine), { code: 'DISK_FULL' });
  await shop.attached;
  assert.equal(rowsOf(folder), 1);
  shop.disk.fault = () => null;
  await until(() => isAdmitted(engine));
  folder.closeWriters();
});

function isAdmitted(engine: SqliteEngine): boolean {
  try {
    engine.admitWrite();
    return true;
  } catch {
    return false;
  }
}

test('a sync of the journal that fails ends the database, and nothing is acknowledged any more', async () => {
  using folder = new EngineFolder();
  const shop = await openShop(folder);
  {
    await using engine = shop.engine;
    shop.disk.fault = (operation, path) => (operation === 'sync' && isJournal(path) ? 'EIO' : null);
    folder.writer().exec('INSERT INTO t VALUES (2)');
    await assert.rejects(settled(engine));
    shop.disk.fault = () => null;
    await assert.rejects(settled(engine), { code: 'DATABASE_STOPPED' });
    assert.throws(() => engine.admitWrite(), { code: 'DATABASE_STOPPED' });
    assert.deepEqual(shop.states, ['stopped']);
    folder.closeWriters();
  }
  await using engine = await folder.open();
  assert.ok([1, 2].includes(rowsOf(folder)), 'what was acknowledged, and perhaps what was not');
  folder.writer().exec('INSERT INTO t VALUES (3)');
  await settled(engine);
  folder.closeWriters();
});

test('a sync of the database file that fails ends the database, and recovery makes it whole', async () => {
  using folder = new EngineFolder();
  const shop = await openShop(folder);
  {
    await using engine = shop.engine;
    shop.disk.fault = (operation, path) => (operation === 'sync' && path.endsWith('.db') ? 'ENOSPC' : null);
    await assert.rejects(engine.checkpoint(), { code: 'DATABASE_STOPPED' });
    await assert.rejects(settled(engine), { code: 'DATABASE_STOPPED' });
    folder.closeWriters();
  }
  await using engine = await folder.open();
  assert.equal(rowsOf(folder), 1);
  assert.equal(engine.hardened.lsn, 2n);
  folder.closeWriters();
});

test('what was hardened before the disk was full is let out also after', async () => {
  using folder = new EngineFolder();
  const shop = await openShop(folder);
  await using engine = shop.engine;
  const writer = folder.writer();
  writer.exec('INSERT INTO t VALUES (2)');
  const hardened = engine.position();
  await settled(engine);
  shop.disk.fault = (operation, path) => (operation !== 'sync' && isJournal(path) ? 'ENOSPC' : null);
  writer.exec('INSERT INTO t VALUES (3)');
  const undone = engine.position();
  await assert.rejects(engine.settle(undone), { code: 'DISK_FULL' });
  assert.ok(engine.isSettled(hardened));
  assert.ok(!engine.isSettled(undone));
  await shop.attached;
  assert.equal(rowsOf(folder), 2);
  folder.closeWriters();
});

test('room that others take while commits are undone is waited for', async () => {
  using folder = new EngineFolder();
  const shop = await openShop(folder);
  await using engine = shop.engine;
  let refusals = 0;
  shop.disk.fault = (operation, path) => {
    if (operation === 'write' && path.endsWith('.db') && ++refusals < 2) return 'ENOSPC';
    return operation === 'write' && isJournal(path) && refusals < 2 ? 'ENOSPC' : null;
  };
  folder.writer().exec('INSERT INTO t VALUES (2)');
  await assert.rejects(settled(engine), { code: 'DISK_FULL' });
  await shop.attached;
  assert.equal(refusals, 2);
  assert.equal(rowsOf(folder), 1);
  await until(() => isAdmitted(engine));
  folder.closeWriters();
});

test('a checkpoint that waits for writers is not waited for when commits are undone', async () => {
  using folder = new EngineFolder();
  const disk = new FaultyDisk(systemDisk);
  const [asked, attached] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const pauseWrites = () => {
    asked.resolve();
    return new Promise<Disposable>(() => {});
  };
  await folder.create();
  await using engine = await folder.open({ disk, walBytes: 1, pauseWrites, attach: () => attached.resolve() });
  folder.writer().exec('CREATE TABLE t (v BLOB)');
  await settled(engine);
  await asked.promise;
  disk.fault = (operation, path) => (operation === 'write' && isJournal(path) ? 'ENOSPC' : null);
  folder.writer().exec('INSERT INTO t VALUES (1)');
  await assert.rejects(settled(engine), { code: 'DISK_FULL' });
  await attached.promise;
  disk.fault = () => null;
  folder.closeWriters();
});

test('a disk that is full when the server stops: nothing is undone behind its end', async () => {
  using folder = new EngineFolder();
  const disk = new FaultyDisk(systemDisk);
  const detached: string[] = [];
  await folder.create();
  const engine = await folder.open({ disk, detach: async (why) => void detached.push(why) });
  folder.writer().exec('CREATE TABLE t (v BLOB)');
  await settled(engine);
  disk.fault = (operation, path) => (operation === 'write' && isJournal(path) ? 'ENOSPC' : null);
  folder.writer().exec('INSERT INTO t VALUES (1)');
  folder.closeWriters();
  await assert.rejects(engine[Symbol.asyncDispose](), { code: 'DISK_FULL' });
  assert.deepEqual(detached, []);
  await using again = await folder.open();
  assert.equal(rowsOf(folder), 0);
  assert.equal(again.hardened.lsn, 1n);
  folder.closeWriters();
});

test('two kills while it recovers are one', async () => {
  using folder = new EngineFolder();
  const shop = await openShop(folder);
  await using _engine = shop.engine;
  using killed = folder.snapshot();
  const disk = new FaultyDisk(systemDisk);
  disk.fault = (operation, path) => (operation === 'sync' && path.endsWith('.db') ? 'EIO' : null);
  await assert.rejects(killed.open({ disk }), /EIO/);
  await using engine = await killed.open();
  assert.equal(rowsOf(killed), 1);
  assert.equal(engine.hardened.lsn, 2n);
  killed.closeWriters();
  folder.closeWriters();
});

test('backups while writing goes on are whole, and each is a database of its own', async () => {
  using folder = new EngineFolder();
  await folder.create();
  await using engine = await folder.open({ walBytes: 200_000, redoBytes: 100_000 });
  const writer = folder.writer();
  writer.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)');
  const insert = writer.prepare('INSERT INTO t (v) VALUES (randomblob(3000))');
  const { signal } = new AbortController();
  let isDone = false;
  const writing = (async () => {
    while (!isDone) {
      await folder.mayWrite();
      insert.run();
      await settled(engine);
    }
  })();
  for (let n = 0; n < 5; n++) {
    using copy = new EngineFolder();
    const path = `${copy.root}/backup.db`;
    const { lsn } = await engine.backup(path, { signal });
    await copy.create(path);
    assert.equal((copy.read('SELECT count(*) AS n FROM t')[0] as { readonly n: number }).n, Number(lsn) - 1);
    assert.deepEqual(
      copy.read('PRAGMA integrity_check'),
      [{ integrity_check: 'ok' }].map((row) => ({ __proto__: null, ...row })),
    );
  }
  isDone = true;
  await writing;
  assert.deepEqual([...engine.journal.holders.keys()], ['checkpoint']);
  folder.closeWriters();
});
