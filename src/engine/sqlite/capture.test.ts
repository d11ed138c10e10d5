import assert from 'node:assert/strict';
import { copyFileSync, readFileSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { assertSameBytes, CapturedDatabase, sumOf } from '../../../test/support/engine/captured-database.ts';
import { BLOCK_PAYLOAD_BYTES_MAX } from '../../journal/block.ts';
import { systemDisk } from '../../runtime/system-disk.ts';
import { Capture } from './capture.ts';
import { RedoFile } from './redo.ts';

const TABLE = 'CREATE TABLE t(id INTEGER PRIMARY KEY, v)';

const first = (source: CapturedDatabase): DatabaseSync => source.connections[0] as DatabaseSync;

/** Everything captured, redone in a copy, is what SQLite has. */
async function assertRedone(source: CapturedDatabase, copy: string): Promise<void> {
  const file = await systemDisk.open(copy, 'write');
  const redo = new RedoFile(file);
  for (const { payload, continued } of source.pieces) await redo.apply(payload, { continued });
  await redo.flush();
  await file.close();
  assertSameBytes(readFileSync(copy), source.asSqliteHasIt(), 4096, 'the copy');
  assert.equal(await sumOf(copy), source.pieces.at(-1)?.databaseChecksum);
}

test('commits since the last take are one piece', async () => {
  using source = new CapturedDatabase(undefined, TABLE);
  const capture = await source.capture();
  assert.equal(capture.take(), null);
  first(source).exec(`INSERT INTO t(v) VALUES ('a'); INSERT INTO t(v) VALUES ('b'); UPDATE t SET v = 'c' WHERE id = 1`);
  const [piece, ...more] = await source.take();
  assert.deepEqual(more, []);
  const { commits, continued, pageSize, pageCount, position, payload } = piece as NonNullable<typeof piece>;
  assert.deepEqual(
    { commits, continued, pageSize, pageCount },
    { commits: 3, continued: false, pageSize: 4096, pageCount: 2 },
  );
  assert.equal(position.frames, 3);
  assert.ok(payload.length < 50, `${payload.length} bytes`);
  assert.equal(capture.take(), null);
});

test('positions: the same object until something is committed, over a restart too', async () => {
  using source = new CapturedDatabase(undefined, TABLE);
  const capture = await source.capture();
  assert.equal(capture.position(), capture.captured);
  first(source).exec('INSERT INTO t(v) VALUES (1)');
  const sampled = capture.position();
  assert.equal(sampled.frames, capture.captured.frames + 1);
  assert.equal(capture.position(), sampled);
  await source.take();
  assert.deepEqual(capture.captured, sampled);
  source.checkpoint('TRUNCATE');
  assert.deepEqual([capture.position().generation, capture.position().frames], [1, 0]);
  first(source).exec('INSERT INTO t(v) VALUES (2)');
  assert.deepEqual([capture.position().generation, capture.position().frames], [1, 1]);
});

test('what is not committed is not taken: spilled frames, rolled back ones, and those of an older WAL', async () => {
  using source = new CapturedDatabase({ pageSize: 4096, autoVacuum: 'none', cachePages: 5 }, TABLE);
  const copy = source.file('copy.db');
  copyFileSync(source.path, copy);
  const capture = await source.capture();
  const writer = first(source);
  const spilled = () => writer.exec(`BEGIN; INSERT INTO t(v) VALUES (randomblob(200000))`);
  spilled();
  assert.ok(readFileSync(`${source.path}-wal`).length > 100_000, 'frames were spilled');
  assert.equal(capture.take(), null);
  writer.exec('ROLLBACK');
  assert.equal(capture.take(), null);
  writer.exec(`INSERT INTO t(v) VALUES ('after')`);
  assert.equal((await source.take())[0]?.pageCount, 2);
  source.checkpoint('RESTART');
  writer.exec(`INSERT INTO t(v) VALUES ('over stale frames')`);
  assert.equal((await source.take())[0]?.commits, 1);
  await assertRedone(source, copy);
});

test('a commit that does not fit comes in pieces, and remains when they are not all pulled', async () => {
  using source = new CapturedDatabase(undefined, TABLE);
  const copy = source.file('copy.db');
  copyFileSync(source.path, copy);
  const capture = await source.capture();
  const writer = first(source);
  writer.exec(
    `INSERT INTO t(v) VALUES ('small'); BEGIN; INSERT INTO t(v) VALUES (randomblob(9000000)); COMMIT; INSERT INTO t(v) VALUES (1)`,
  );
  const small = capture.take();
  assert.ok(small !== null && small !== 'large');
  assert.equal(small.commits, 1);
  source.pieces.push(small);
  assert.equal(capture.take(), 'large');
  for await (const piece of capture.takeLarge()) {
    assert.ok(piece.continued);
    assert.throws(() => capture.take(), /a large commit is being taken/);
    break;
  }
  assert.equal(capture.captured, small.position);
  const pieces = await source.take();
  assert.deepEqual(
    pieces.map(({ continued }) => continued),
    [true, true, false, false],
  );
  assert.deepEqual(
    pieces.map(({ commits }) => commits),
    [1, 1, 1, 1],
  );
  for (const { payload } of pieces) assert.ok(payload.length <= BLOCK_PAYLOAD_BYTES_MAX);
  await assertRedone(source, copy);
});

test('a commit that drops many pages is large, however little it writes', async () => {
  using source = new CapturedDatabase({ pageSize: 4096, autoVacuum: 'full', cachePages: 2000 }, TABLE);
  const copy = source.file('copy.db');
  copyFileSync(source.path, copy);
  const capture = await source.capture();
  first(source).exec('INSERT INTO t(v) VALUES (randomblob(6000000))');
  await source.take();
  first(source).exec('DELETE FROM t');
  assert.equal(capture.take(), 'large');
  await source.take();
  await assertRedone(source, copy);
});

test('it may begin with commits in the WAL', async () => {
  using source = new CapturedDatabase(undefined, TABLE);
  first(source).exec(`INSERT INTO t(v) VALUES (randomblob(50000))`);
  const copy = source.file('copy.db');
  await import('node:fs/promises').then(({ writeFile }) => writeFile(copy, source.asSqliteHasIt()));
  using capture = Capture.open(source.path, { databaseChecksum: await sumOf(copy), keptBytes: 0 });
  first(source).exec('UPDATE t SET v = substr(v, 1, 30000)');
  const piece = capture.take();
  assert.ok(piece !== null && piece !== 'large');
  source.pieces.push(piece);
  await assertRedone(source, copy);
});

test('commits that were checkpointed away before they were captured are found to be missing', async () => {
  for (const after of ['', 'INSERT INTO t(v) VALUES (2)']) {
    using source = new CapturedDatabase(undefined, TABLE);
    const capture = await source.capture();
    first(source).exec('INSERT INTO t(v) VALUES (1)');
    source.checkpoint('TRUNCATE');
    first(source).exec(after);
    assert.throws(() => capture.position(), { code: 'COMMITS_MISSED', message: /emptied after commits/ });
    assert.throws(() => capture.take(), { code: 'COMMITS_MISSED' });
  }
});

test('a database that nobody has open in WAL mode cannot be captured', () => {
  assert.throws(() => Capture.open('/nowhere/at/all.db', { databaseChecksum: 0n }), { code: 'FILE_MISSING' });
});
