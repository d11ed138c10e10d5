import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BucketSet, BucketSums } from './verify-sums.ts';

const differing = (a: BucketSums, b: BucketSums): readonly number[] => {
  const found = a.differing(b);
  return Array.from({ length: a.buckets }, (_, bucket) => bucket).filter((bucket) => found.has(bucket));
};

test('sums are modulo 2^64, whether they come as halves, as signed or as unsigned numbers', () => {
  const [halves, whole] = [new BucketSums(64), new BucketSums(64)];
  const top = 2n ** 64n - 1n;
  for (let i = 0; i < 3; i++) halves.addHalves(5, 1, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0x7fff_ffff);
  whole.add(5, 3, [top * 3n, (2n ** 63n - 1n) * 3n]);
  assert.deepEqual(differing(halves, whole), []);
  const signed = new BucketSums(64);
  signed.add(5, 3, [-3n, (2n ** 63n - 1n) * 3n]);
  assert.deepEqual(differing(halves, signed), []);
  assert.equal(whole.rows, 3);
});

test('a row that is there twice differs from one that is there once, and from none', () => {
  const hash = [1n << 63n, 1n << 63n] as const;
  const [once, twice, none] = [new BucketSums(64), new BucketSums(64), new BucketSums(64)];
  once.add(1, 1, hash);
  twice.add(1, 1, hash);
  twice.add(1, 1, hash);
  assert.deepEqual(differing(twice, none), [1]);
  assert.deepEqual(differing(twice, once), [1]);
});

test('rows that trade a value between buckets or sums are told apart', () => {
  const [a, b] = [new BucketSums(64), new BucketSums(64)];
  a.add(1, 1, [7n, 9n]);
  a.add(2, 1, [9n, 7n]);
  b.add(1, 1, [9n, 7n]);
  b.add(2, 1, [7n, 9n]);
  assert.deepEqual(differing(a, b), [1, 2]);
});

test('a set of buckets has the bits that PostgreSQL expects', () => {
  const set = new BucketSet(64);
  for (const bucket of [0, 9, 63, 9]) set.add(bucket);
  assert.equal(Buffer.from(set.bits).toString('hex'), '0102000000000080');
  assert.deepEqual([set.size, set.has(9), set.has(8)], [3, true, false]);
});
