import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changedPages } from './changed-pages.ts';
import { lockPageOf } from './database-header.ts';
import { PageMap } from './page-map.ts';

function changed(written: readonly number[], before: number, after: number): number[] {
  const newest = new PageMap();
  for (const page of written) newest.set(page, 1);
  return [...changedPages(newest, { pageSize: 4096, before, after })];
}

test('pages ascend, whatever the order in which they were written', () => {
  assert.deepEqual(changed([7, 1, 3], 9, 9), [1, 3, 7]);
  assert.deepEqual(changed([], 9, 9), []);
});

test('pages beyond the new end do not count', () => {
  assert.deepEqual(changed([1, 5, 9, 12], 9, 5), [1, 5]);
  assert.deepEqual(changed([1, 12], 9, 9), [1]);
});

test('all pages that were added count, written or not', () => {
  assert.deepEqual(changed([1, 10, 11], 9, 11), [1, 10, 11]);
  assert.deepEqual(changed([1, 12], 9, 12), [1, 10, 11, 12]);
  assert.deepEqual(changed([14], 0, 2), [1, 2]);
});

test('but for the lock page', () => {
  const lockPage = lockPageOf(4096);
  assert.deepEqual(changed([lockPage - 1, lockPage + 1], lockPage - 2, lockPage + 1), [lockPage - 1, lockPage + 1]);
  assert.deepEqual(changed([lockPage + 1], lockPage - 2, lockPage + 1), [lockPage - 1, lockPage + 1]);
});
