import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineHasher } from './line-hash.ts';

function hashOf(line: string, keyCount = 1) {
  const hasher = new LineHasher(keyCount);
  hasher.hash(line, 1024);
  const { bucket, low1, high1, low2, high2 } = hasher;
  return { bucket, row: [low1, high1, low2, high2].join() };
}

test('the bucket depends on the key alone', () => {
  assert.equal(hashOf('42\ta\tb').bucket, hashOf('42\tc').bucket);
  assert.equal(hashOf('4\t2\ta', 2).bucket, hashOf('4\t2\tother', 2).bucket);
  assert.equal(hashOf('42', 1).bucket, hashOf('42\tx', 1).bucket);
  assert.notEqual(hashOf('42\ta', 0).bucket, hashOf('42\tb', 0).bucket);
});

test('lines that differ in one character, or in where a field ends, have other hashes', () => {
  const line = '4711\tname of somebody\t\\N\t\t17.50\tæøå 🙂';
  const seen = new Set([hashOf(line).row]);
  for (let i = 0; i < line.length; i++) {
    for (const character of ['x', '\t', ' ', '\u{ffff}']) {
      if (line[i] !== character) seen.add(hashOf(line.slice(0, i) + character + line.slice(i + 1)).row);
    }
    seen.add(hashOf(line.slice(0, i)).row);
  }
  const changed = [...line].reduce(
    (sum, character) => sum + 4 * character.length - (['x', '\t', ' '].includes(character) ? 1 : 0),
    0,
  );
  assert.equal(seen.size, 1 + changed + line.length);
});

test('keys are spread evenly over the buckets', () => {
  const counts = new Array<number>(64).fill(0);
  const hasher = new LineHasher(1);
  for (let i = 0; i < 64_000; i++) {
    hasher.hash(`${i}\trow`, 64);
    counts[hasher.bucket] = (counts[hasher.bucket] ?? 0) + 1;
  }
  assert.ok(
    Math.min(...counts) > 850 && Math.max(...counts) < 1150,
    `${Math.min(...counts)} to ${Math.max(...counts)}`,
  );
});
