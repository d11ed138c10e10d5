import type { DiskFile } from '../../core/disk.ts';
import { DatabaseChecksum } from './database-checksum.ts';
import { DATABASE_HEADER_BYTES, lockPageOf, parseDatabaseHeader } from './database-header.ts';
import { nextTurn } from './next-turn.ts';
import { allocatePageBuffer } from './page-buffer.ts';

/** Pages of any size fit in; as much is summed up before everything else that waits has its turn. */
const READ_BYTES = 1 << 20;

/**
 * Rolling checksum of a whole database file that nobody writes to. A file that is shorter than its header says ends in
 * zeros. Throws `NOT_A_DATABASE`. `onRead` is told the bytes read so far, and how many there are.
 */
export async function checksumOfFile(file: DiskFile, onRead?: (done: number, total: number) => void): Promise<bigint> {
  const { pageSize, pageCount } = await readHeader(file);
  const total = pageSize * pageCount;
  const buffer = allocatePageBuffer(READ_BYTES);
  const checksum = new DatabaseChecksum();
  for (let at = 0; at < total; at += READ_BYTES) {
    const wanted = Math.min(READ_BYTES, total - at);
    const count = await file.read(buffer.bytes.subarray(0, wanted), at);
    buffer.bytes.fill(0, count, wanted);
    addPages(checksum, buffer, at / pageSize + 1, wanted / pageSize, pageSize);
    onRead?.(at + wanted, total);
    await nextTurn();
  }
  return checksum.value;
}

async function readHeader(file: DiskFile) {
  const header = Buffer.alloc(DATABASE_HEADER_BYTES);
  const count = await file.read(header, 0);
  return parseDatabaseHeader(header.subarray(0, count), await file.length());
}

function addPages(
  checksum: DatabaseChecksum,
  buffer: ReturnType<typeof allocatePageBuffer>,
  first: number,
  count: number,
  pageSize: number,
): void {
  const lockPage = lockPageOf(pageSize);
  for (let n = 0; n < count; n++) {
    if (first + n !== lockPage) checksum.add(first + n, buffer, n * pageSize, 0, pageSize >> 2);
  }
}
