import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CapturedDatabase } from '../../../test/support/engine/captured-database.ts';
import { isReached, samePosition, WalIndex, type WalIndexHeader } from './wal-index.ts';

const COPY_BYTES = 48;

/** One copy of the header as SQLite writes it on this processor. */
function copyOf({ salt1, salt2, frames, pageSize, pageCount, changes }: WalIndexHeader): Buffer {
  const bytes = Buffer.alloc(COPY_BYTES);
  bytes.writeUInt32LE(3_007_000, 0);
  bytes.writeUInt32LE(changes, 8);
  bytes[12] = 1;
  bytes.writeUInt16LE(pageSize === 65536 ? 1 : pageSize, 14);
  bytes.writeUInt32LE(frames, 16);
  bytes.writeUInt32LE(pageCount, 20);
  bytes.writeUInt32BE(salt1, 32);
  bytes.writeUInt32BE(salt2, 36);
  let [a, b] = [0, 0];
  for (let at = 0; at < 40; at += 8) {
    a = (a + bytes.readUInt32LE(at) + b) >>> 0;
    b = (b + bytes.readUInt32LE(at + 4) + a) >>> 0;
  }
  bytes.writeUInt32LE(a, 40);
  bytes.writeUInt32LE(b, 44);
  return bytes;
}

const header = (frames: number, changes: number): WalIndexHeader => ({
  salt1: 0xfedcba98,
  salt2: 7,
  frames,
  pageSize: 65536,
  pageCount: 3_000_000_000,
  changes,
});

const torn = (copy: Buffer): Buffer => {
  const bytes = Buffer.from(copy);
  bytes.writeUInt32LE(bytes.readUInt32LE(16) + 1, 16);
  return bytes;
};

function withIndex(run: (index: WalIndex, write: (...copies: Buffer[]) => void) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'speil-shm-'));
  const path = join(folder, 'shm');
  writeFileSync(path, '');
  const descriptor = openSync(path, 'r');
  run(new WalIndex(descriptor), (...copies) => writeFileSync(path, Buffer.concat(copies)));
  closeSync(descriptor);
  rmSync(folder, { recursive: true });
}

test('every field is read, and nothing is made as long as nothing changes', () => {
  withIndex((index, write) => {
    write(copyOf(header(4_000_000_000, 9)), copyOf(header(4_000_000_000, 9)));
    const read = index.read();
    assert.deepEqual(read, header(4_000_000_000, 9));
    assert.equal(index.read(), read);
  });
});

test('of two different copies the newer one counts, whichever is whole', () => {
  withIndex((index, write) => {
    const [before, after] = [copyOf(header(5, 0xffffffff)), copyOf(header(8, 0))];
    for (const [first, second, frames] of [
      [before, after, 8],
      [after, before, 8],
      [before, torn(after), 5],
      [torn(after), after, 8],
    ] as const) {
      write(first, second);
      assert.equal(index.read().frames, frames);
    }
  });
});

test('no whole copy: it is said, and mended by the next one', () => {
  withIndex((index, write) => {
    const unreadable = { code: 'WAL_UNREADABLE', recovery: 'retry' };
    assert.throws(() => index.read(), unreadable);
    write(Buffer.alloc(2 * COPY_BYTES));
    assert.throws(() => index.read(), unreadable);
    write(torn(copyOf(header(5, 1))), torn(copyOf(header(6, 2))));
    assert.throws(() => index.read(), unreadable);
    write(copyOf(header(6, 2)), copyOf(header(6, 2)));
    assert.equal(index.read().frames, 6);
  });
});

test('it says what SQLite has', () => {
  using source = new CapturedDatabase({ pageSize: 1024, autoVacuum: 'none', cachePages: 100 }, 'CREATE TABLE t(a)');
  const descriptor = openSync(`${source.path}-shm`, 'r');
  const index = new WalIndex(descriptor);
  assert.equal(index.read().frames, 0);
  const before = index.read().changes;
  source.connections[1]?.exec('INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)');
  const { frames, pageSize, pageCount, changes } = index.read();
  assert.deepEqual({ frames, pageSize, pageCount }, { frames: 2, pageSize: 1024, pageCount: 2 });
  assert.equal(changes - before, 2);
  closeSync(descriptor);
});

test('positions are reached in their order, over restarts of the WAL', () => {
  const at = (generation: number, frames: number) => ({ generation, salt1: generation * 9, salt2: 3, frames });
  assert.ok(samePosition(at(1, 5), at(1, 5)));
  assert.ok(!samePosition(at(1, 5), at(1, 6)));
  assert.ok(!samePosition(at(1, 5), { ...at(1, 5), salt2: 4 }));
  assert.ok(isReached(at(1, 5), at(1, 5)));
  assert.ok(!isReached(at(1, 6), at(1, 5)));
  assert.ok(isReached(at(1, 6), at(2, 1)));
  assert.ok(!isReached(at(2, 1), at(1, 6)));
  assert.ok(isReached(at(2, 0), at(1, 6)));
});
