import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { allocatePageBuffer } from './page-buffer.ts';
import { diffPage, rangesFor } from './page-diff.ts';

const BYTES = 512;

/** The ranges as pairs; the images lie at different places of their buffers. */
function diff(before: Uint8Array, after: Uint8Array): number[][] {
  const [b, a] = [allocatePageBuffer(2 * BYTES), allocatePageBuffer(3 * BYTES)];
  b.bytes.set(before, BYTES);
  a.bytes.set(after, 2 * BYTES - 8);
  const ranges = rangesFor(BYTES);
  const count = diffPage(b.words, BYTES >> 2, a.words, (2 * BYTES - 8) >> 2, BYTES >> 2, ranges);
  return Array.from({ length: count }, (_, n) => [ranges[2 * n] as number, ranges[2 * n + 1] as number]);
}

/** A page of zeros but for the given bytes. */
const page = (bytes: Readonly<Record<number, number>>): Uint8Array => Object.assign(new Uint8Array(BYTES), bytes);

test('ranges are as tight as bytes', () => {
  assert.deepEqual(diff(page({}), page({})), []);
  assert.deepEqual(diff(page({}), page({ 0: 1 })), [[0, 1]]);
  assert.deepEqual(diff(page({}), page({ 511: 0x80 })), [[511, 512]]);
  assert.deepEqual(diff(page({ 6: 1, 7: 2 }), page({ 6: 3, 7: 2, 8: 1 })), [[6, 9]]);
  assert.deepEqual(diff(page({}), page({ 100: 0x80, 101: 1, 102: 1, 103: 0x80 })), [[100, 104]]);
});

test('what lies close together is one range, what does not is two', () => {
  assert.deepEqual(diff(page({}), page({ 7: 1, 10: 1 })), [[7, 11]]);
  assert.deepEqual(diff(page({}), page({ 7: 1, 12: 1 })), [
    [7, 8],
    [12, 13],
  ]);
});

test('a page that changed everywhere is one range', () => {
  assert.deepEqual(diff(page({}), new Uint8Array(BYTES).fill(255)), [[0, BYTES]]);
});

test('the old page with the ranges of the new one is the new page, whatever changed', () => {
  const changes = fc.array(fc.tuple(fc.nat(BYTES - 1), fc.nat(255)), { maxLength: 300 });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: BYTES, maxLength: BYTES }), changes, (before, changes) => {
      const after = before.slice();
      for (const [at, value] of changes) after[at] = value;
      const patched = before.slice();
      let end = -3;
      for (const [from, to] of diff(before, after) as [number, number][]) {
        assert.ok(from > end + 2 && to > from && to <= BYTES, 'ranges ascend and lie apart');
        assert.notEqual(before[from], after[from]);
        assert.notEqual(before[to - 1], after[to - 1]);
        patched.set(after.subarray(from, to), from);
        end = to;
      }
      assert.deepEqual(patched, after);
    }),
  );
});

test('every second word changed: there is room for the ranges', () => {
  const bytes = Object.fromEntries(Array.from({ length: BYTES / 8 }, (_, n) => [8 * n, 1]));
  assert.equal(diff(page({}), page(bytes)).length, BYTES / 8);
});
