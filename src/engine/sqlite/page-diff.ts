/**
 * Equal bytes between two ranges that are not worth a range of their own: the distance and the length of the second range
 * take at least a byte each.
 */
const GAP_BYTES_MERGED = 2;

const wordAt = (words: Int32Array, at: number): number => words[at] as number;

/** Room for the ranges of one page: each but the last is followed by more equal bytes than are merged. */
export const rangesFor = (pageSize: number): Uint32Array =>
  new Uint32Array(2 * (Math.ceil(pageSize / (GAP_BYTES_MERGED + 2)) + 1));

/**
 * Finds the byte ranges in which two images of a page differ. `ranges` receives pairs of first byte and byte after the last,
 * ascending, never touching; answers how many pairs. `before` and `after` are images of `wordCount` words, at the words
 * `beforeAt` and `afterAt`. Reckons with a little-endian processor.
 */
export function diffPage(
  before: Int32Array,
  beforeAt: number,
  after: Int32Array,
  afterAt: number,
  wordCount: number,
  ranges: Uint32Array,
): number {
  let count = 0;
  let at = firstDifference(before, beforeAt, after, afterAt, 0, wordCount);
  while (at < wordCount) {
    const first = wordAt(before, beforeAt + at) ^ wordAt(after, afterAt + at);
    const start = 4 * at + (trailingZeros(first) >> 3);
    let last = first;
    for (at++; at < wordCount; at++) {
      const difference = wordAt(before, beforeAt + at) ^ wordAt(after, afterAt + at);
      if (difference === 0) break;
      last = difference;
    }
    const end = 4 * at - (Math.clz32(last) >> 3);
    if (count === 0 || start - (ranges[2 * count - 1] as number) > GAP_BYTES_MERGED) ranges[2 * count++] = start;
    ranges[2 * count - 1] = end;
    at = firstDifference(before, beforeAt, after, afterAt, at, wordCount);
  }
  return count;
}

/** From `at` on; `wordCount` when the rest is equal. Page images have a multiple of eight words. */
function firstDifference(
  before: Int32Array,
  beforeAt: number,
  after: Int32Array,
  afterAt: number,
  at: number,
  wordCount: number,
): number {
  let [b, a] = [beforeAt + at, afterAt + at];
  const end = beforeAt + wordCount;
  while (
    b + 4 <= end &&
    ((wordAt(before, b) ^ wordAt(after, a)) |
      (wordAt(before, b + 1) ^ wordAt(after, a + 1)) |
      (wordAt(before, b + 2) ^ wordAt(after, a + 2)) |
      (wordAt(before, b + 3) ^ wordAt(after, a + 3))) ===
      0
  ) {
    b += 4;
    a += 4;
  }
  for (; b < end; b++, a++) if (wordAt(before, b) !== wordAt(after, a)) break;
  return b - beforeAt;
}

const trailingZeros = (word: number): number => 31 - Math.clz32(word & -word);
