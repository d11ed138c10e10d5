import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeLoss, type LostJob } from './loss.ts';

const job = (changes: Partial<LostJob> = {}): LostJob => ({
  ...{ isWrite: false, isCancelled: false, needsConnection: false, isFirst: true, losses: 0 },
  ...changes,
});

test('what committed nothing is carried out again', () => {
  assert.equal(judgeLoss(job(), false, true), 'rerun');
  assert.equal(judgeLoss(job({ isWrite: true }), false, true), 'rerun');
  assert.equal(judgeLoss(job(), true, true), 'rerun');
});

test('a write that may have been committed is never carried out again', () => {
  for (const isCancelled of [true, false]) {
    for (const needsConnection of [true, false]) {
      assert.equal(judgeLoss(job({ isWrite: true, isCancelled, needsConnection }), true, false), 'unknown');
    }
  }
});

test('what was given up stays so, and a connection that is gone is missed', () => {
  assert.equal(judgeLoss(job({ isCancelled: true, needsConnection: true }), false, false), 'cancelled');
  assert.equal(judgeLoss(job({ needsConnection: true }), false, false), 'expired');
});

test('what ends its executor twice is not tried a third time; what waited behind it is', () => {
  assert.equal(judgeLoss(job({ losses: 1 }), false, true), 'failed');
  assert.equal(judgeLoss(job({ losses: 1, isFirst: false }), false, true), 'rerun');
  assert.equal(judgeLoss(job({ losses: 1 }), false, false), 'rerun');
});
