import { SpeilError } from '../../core/error.ts';

/** What page 1 begins with, as SQLite's file format has it (section 1.3); big-endian. */
export const DATABASE_HEADER_BYTES = 100;

/** 1: rollback journal, 2: WAL. */
export const WRITE_VERSION_AT = 18;
export const READ_VERSION_AT = 19;
export const CHANGE_COUNTER_AT = 24;
export const PAGE_COUNT_AT = 28;
/** The change counter at which {@link PAGE_COUNT_AT} was written: the count is good only while they are equal. */
export const VERSION_VALID_FOR_AT = 92;

export const PAGE_SIZE_MIN = 512;
export const PAGE_SIZE_MAX = 65536;

/** The byte at 1 GB that SQLite takes its locks on. The page that holds it is never read or written. */
const LOCK_BYTE = 1 << 30;

export const lockPageOf = (pageSize: number): number => LOCK_BYTE / pageSize + 1;

export const isPageSize = (value: number): boolean =>
  value >= PAGE_SIZE_MIN && value <= PAGE_SIZE_MAX && (value & (value - 1)) === 0;

export type DatabaseHeader = { readonly pageSize: number; readonly pageCount: number };

/** Reads it as SQLite does: a page count that was not kept up is that of the file's length. Throws `NOT_A_DATABASE`. */
export function parseDatabaseHeader(bytes: Buffer, fileBytes: number): DatabaseHeader {
  if (bytes.length < DATABASE_HEADER_BYTES || bytes.toString('latin1', 0, 16) !== 'SQLite format 3\0') throw refused();
  const stored = bytes.readUInt16BE(16);
  const pageSize = stored === 1 ? PAGE_SIZE_MAX : stored;
  if (!isPageSize(pageSize)) throw refused();
  const kept = bytes.readUInt32BE(CHANGE_COUNTER_AT) === bytes.readUInt32BE(VERSION_VALID_FOR_AT);
  const pageCount = kept ? bytes.readUInt32BE(PAGE_COUNT_AT) : 0;
  return { pageSize, pageCount: pageCount === 0 ? Math.floor(fileBytes / pageSize) : pageCount };
}

const refused = (): SpeilError =>
  new SpeilError('NOT_A_DATABASE', 'The file is no SQLite database.', { hint: 'Check the path.' });
