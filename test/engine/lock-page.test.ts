import assert from 'node:assert/strict';
import { closeSync, openSync, readSync, statSync, truncateSync, writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { lockPageOf } from '../../src/engine/sqlite/database-header.ts';
import { sumDatabaseFile } from '../../src/engine/sqlite/file-checksum.ts';
import { RedoFile } from '../../src/engine/sqlite/redo.ts';
import { systemDisk } from '../../src/runtime/system-disk.ts';
import { CapturedDatabase, sumOf } from '../support/engine/captured-database.ts';
import { noise } from '../support/engine/random-sql.ts';

/** To sum up a gigabyte once is enough. */
const SUMMED_PAGE_SIZE = 4096;

/** A database that ends right before the lock page; the pages that it does not need are a hole in the file. */
function nearlyOneGigabyte(pageSize: number, path: string): void {
  using database = new DatabaseSync(path);
  database.exec(`PRAGMA page_size = ${pageSize}; PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v);
    PRAGMA wal_checkpoint(TRUNCATE)`);
  database.close();
  const pageCount = lockPageOf(pageSize) - 1;
  const count = Buffer.alloc(4);
  count.writeUInt32BE(pageCount);
  writeAt(path, count, 28);
  truncateSync(path, pageCount * pageSize);
}

function writeAt(path: string, bytes: Buffer, position: number): void {
  const descriptor = openSync(path, 'r+');
  writeSync(descriptor, bytes, 0, bytes.length, position);
  closeSync(descriptor);
}

function bytesOf(path: string, from: number, to: number): Buffer {
  const descriptor = openSync(path, 'r');
  const bytes = Buffer.alloc(to - from);
  readSync(descriptor, bytes, 0, bytes.length, from);
  closeSync(descriptor);
  return bytes;
}

for (const pageSize of [512, 4096, 65536]) {
  test(`a database of pages of ${pageSize} bytes grows over the lock page`, async () => {
    const lockPage = lockPageOf(pageSize);
    using source = new CapturedDatabase({ pageSize, autoVacuum: 'none', cachePages: 100 }, '', (path) => {
      nearlyOneGigabyte(pageSize, path);
      writeAt(path, noise(pageSize, 1), (lockPage - 1) * pageSize);
    });
    const copy = source.file('copy.db');
    nearlyOneGigabyte(pageSize, copy);
    await source.capture({ databaseChecksum: await sumOfStart(copy, pageSize) });
    const file = await systemDisk.open(copy, 'write');
    const redo = new RedoFile(file);
    const follow = async (sql: string): Promise<number> => {
      source.connections[0]?.exec(sql);
      for (const { payload, continued } of await source.take()) await redo.apply(payload, { continued });
      await redo.flush();
      return redo.pageCount ?? 0;
    };
    assert.ok((await follow('INSERT INTO t VALUES (1, randomblob(300000))')) > lockPage);
    source.checkpoint('TRUNCATE');
    await follow('UPDATE t SET v = randomblob(400000)');
    source.checkpoint('TRUNCATE');
    assert.equal(statSync(copy).size, statSync(source.path).size);
    const end = statSync(copy).size;
    for (const [first, last] of [
      [0, 10 * pageSize],
      [lockPage * pageSize, end],
    ] as const)
      assert.ok(bytesOf(copy, first, last).equals(bytesOf(source.path, first, last)), `from byte ${first}`);
    if (pageSize === SUMMED_PAGE_SIZE) {
      writeAt(copy, noise(pageSize, 2), (lockPage - 1) * pageSize);
      assert.equal(
        await sumOf(copy),
        source.pieces.at(-1)?.databaseChecksum,
        'what is in the lock page does not count',
      );
    }
    await file.close();
  });
}

/** Of the first pages: the others are zeros and count nothing. */
async function sumOfStart(path: string, pageSize: number): Promise<bigint> {
  const file = await systemDisk.open(path, 'read');
  const sum = await sumDatabaseFile(file, { pageSize, pageCount: 10 });
  await file.close();
  return sum;
}
