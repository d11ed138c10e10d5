import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPageSize, lockPageOf, parseDatabaseHeader } from './database-header.ts';

function header(pageSize: number, pageCount: number, changes: number, validFor: number): Buffer {
  const bytes = Buffer.alloc(100);
  bytes.write('SQLite format 3\0', 'latin1');
  bytes.writeUInt16BE(pageSize === 65536 ? 1 : pageSize, 16);
  bytes.writeUInt32BE(changes, 24);
  bytes.writeUInt32BE(pageCount, 28);
  bytes.writeUInt32BE(validFor, 92);
  return bytes;
}

test('the page count is that of the header as long as it was kept up, else that of the file', () => {
  assert.deepEqual(parseDatabaseHeader(header(4096, 7, 3, 3), 9 * 4096), { pageSize: 4096, pageCount: 7 });
  assert.deepEqual(parseDatabaseHeader(header(65536, 7, 3, 2), 9 * 65536), { pageSize: 65536, pageCount: 9 });
  assert.deepEqual(parseDatabaseHeader(header(512, 0, 3, 3), 5 * 512 + 9), { pageSize: 512, pageCount: 5 });
});

test('what is no database is refused', () => {
  const refused = { code: 'NOT_A_DATABASE' };
  assert.throws(() => parseDatabaseHeader(Buffer.alloc(0), 0), refused);
  assert.throws(() => parseDatabaseHeader(header(4096, 1, 1, 1).subarray(0, 99), 4096), refused);
  assert.throws(() => parseDatabaseHeader(header(4095, 1, 1, 1), 4096), refused);
  assert.throws(() => parseDatabaseHeader(Buffer.alloc(100), 4096), refused);
});

test('the lock page holds the byte at one gigabyte', () => {
  assert.deepEqual([512, 4096, 65536].map(lockPageOf), [2_097_153, 262_145, 16_385]);
  assert.deepEqual([256, 512, 1000, 65536, 131072].map(isPageSize), [false, true, false, true, false]);
});
