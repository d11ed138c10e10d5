import type { DiskFile } from '../../core/disk.ts';
import { DatabaseChecksum } from './database-checksum.ts';
import { DATABASE_HEADER_BYTES, type DatabaseHeader, lockPageOf, parseDatabaseHeader } from './database-header.ts';
import { nextTurn } from './next-turn.ts';
import { allocatePageBuffer, type PageBuffer } from './page-buffer.ts';

const CHUNK_BYTES = 1 << 20;

/** Told the bytes read so far, and how many there are. */
export type OnRead = (doneBytes: number, totalBytes: number) => void;

/** The same for a file whose own header says how long the database is. Throws `NOT_A_DATABASE`. */
export async function checksumOfFile(file: DiskFile, onRead?: OnRead): Promise<bigint> {
  const bytes = Buffer.alloc(DATABASE_HEADER_BYTES);
  const count = await file.read(bytes, 0);
  return sumDatabaseFile(file, parseDatabaseHeader(bytes.subarray(0, count), await file.length()), onRead);
}

/**
 * The checksum of a database file whose pages are all in it (nothing is in a WAL any more), read from end to end. What the file
 * holds beyond `pageCount` does not count.
 */
export async function sumDatabaseFile(
  file: DiskFile,
  { pageSize, pageCount }: DatabaseHeader,
  onRead?: OnRead,
): Promise<bigint> {
  const checksum = new DatabaseChecksum();
  const end = pageCount * pageSize;
  let [current, next] = [allocatePageBuffer(CHUNK_BYTES), allocatePageBuffer(CHUNK_BYTES)];
  let reading = readChunk(file, current, 0, end);
  for (let position = 0; position < end; position += CHUNK_BYTES) {
    const length = await reading;
    reading = readChunk(file, next, position + CHUNK_BYTES, end);
    sumChunk(checksum, current, position, length, pageSize);
    [current, next] = [next, current];
    onRead?.(Math.min(position + CHUNK_BYTES, end), end);
    await nextTurn();
  }
  await reading;
  return checksum.value;
}

async function readChunk(file: DiskFile, into: PageBuffer, position: number, end: number): Promise<number> {
  const length = Math.min(CHUNK_BYTES, Math.max(0, end - position));
  const count = length === 0 ? 0 : await file.read(into.bytes.subarray(0, length), position);
  into.bytes.fill(0, count, length);
  return length;
}

function sumChunk(checksum: DatabaseChecksum, chunk: PageBuffer, position: number, length: number, pageSize: number) {
  const lockPage = lockPageOf(pageSize);
  for (let at = 0; at < length; at += pageSize) {
    const page = (position + at) / pageSize + 1;
    if (page !== lockPage) checksum.add(page, chunk, at, 0, pageSize >> 2);
  }
}
