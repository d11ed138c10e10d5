import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RowDigest } from '../database/verify-side.ts';
import { Scratch } from './scratch.ts';

const row = (key: string, value: bigint): RowDigest => ({ key, bucket: 0, hash: [value, -value] });
const allOf = (pages: Iterable<readonly string[]>): readonly string[] => [...pages].flat();

test('rows that both sides have cancel out, and what is left is named', () => {
  using scratch = new Scratch({ keyed: true });
  scratch.addRows([row('', 1n), row('a', 1n), row('b', 2n ** 64n - 1n), row('c', 1n)], 'source');
  scratch.addRows([row('b', -1n), row('c', 2n), row('d', 1n), row('a', 1n), row('a', 1n)], 'mirror');
  scratch.dropEqual();
  assert.equal(scratch.differenceCount, 4);
  assert.deepEqual(scratch.firstDifferences(9), [
    { key: '', kind: 'missing' },
    { key: 'a', kind: 'extra' },
    { key: 'c', kind: 'different' },
    { key: 'd', kind: 'extra' },
  ]);
  assert.deepEqual(allOf(scratch.differingKeys('all')), ['', 'a', 'c', 'd']);
  assert.deepEqual(allOf(scratch.differingKeys('extra')), ['a', 'd']);
});

test('rows without a key count as often as they are there', () => {
  using scratch = new Scratch({ keyed: false });
  scratch.addRows([row('same', 1n), row('same', 1n), row('same', 1n), row('same', 2n)], 'source');
  scratch.addRows([row('same', 1n), row('same', 3n)], 'mirror');
  scratch.dropEqual();
  assert.equal(scratch.differenceCount, 4);
  assert.deepEqual(
    scratch
      .firstDifferences(9)
      .map(({ kind }) => kind)
      .toSorted(),
    ['extra', 'missing', 'missing', 'missing'],
  );
  assert.equal(scratch.firstDifferences(2).length, 2);
});

test('pending keys are left open, also under another spelling, until they can be compared', () => {
  using scratch = new Scratch({ keyed: true });
  const keys = Array.from({ length: 2_500 }, (_, i) => `k${String(i).padStart(4, '0')}`);
  scratch.addPending(keys, [row('k0000.0', 1n)]);
  scratch.addRows([row('k0001', 1n), row('k0000.0', 1n), row('other', 1n)], 'mirror');
  scratch.dropPending();
  scratch.leaveOpen();
  assert.deepEqual(allOf(scratch.differingKeys('all')), ['other']);
  assert.equal(scratch.openCount, 2_500);
  scratch.addPending(['k0007'], []);
  const seen: string[] = [];
  for (const page of scratch.comparable()) {
    seen.push(...page);
    scratch.close(page);
  }
  assert.deepEqual(
    seen,
    keys.filter((key) => key !== 'k0007'),
  );
  assert.equal(scratch.openCount, 1);
});
