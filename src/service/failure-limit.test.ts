import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../core/clock.ts';
import { FailureLimit } from './failure-limit.ts';

const FAILURES = 30;

function limitAt(): { readonly limit: FailureLimit; readonly pass: (ms: number) => void } {
  let nowMs = 0;
  const clock: Clock = { now: () => nowMs, monotonicMs: () => nowMs, sleep: async () => {} };
  return {
    limit: new FailureLimit(clock),
    pass: (ms) => {
      nowMs += ms;
    },
  };
}

const fail = (limit: FailureLimit, address: string, times: number): void => {
  for (let i = 0; i < times; i++) limit.failed(address);
};

test('an address with too many failures waits for the rest of its minute, and no other does', () => {
  const { limit, pass } = limitAt();
  fail(limit, 'a', FAILURES - 1);
  assert.equal(limit.waitMs('a', 'x'), 0);
  pass(20_000);
  fail(limit, 'a', 1);
  assert.equal(limit.waitMs('a', 'x'), 40_000);
  assert.equal(limit.waitMs('b', 'x'), 0);
  pass(40_000);
  assert.equal(limit.waitMs('a', 'x'), 0);
  fail(limit, 'a', 1);
  assert.equal(limit.waitMs('a', 'x'), 0, 'a new minute counts anew');
});

test('a token that was good before is listened to all the same', () => {
  const { limit } = limitAt();
  limit.succeeded('good');
  fail(limit, 'a', FAILURES);
  assert.equal(limit.waitMs('a', 'good'), 0);
  assert.ok(limit.waitMs('a', 'other') > 0);
});

test('many addresses do not fill the memory: the oldest is forgotten', () => {
  const { limit } = limitAt();
  fail(limit, 'first', FAILURES);
  for (let i = 0; i < 1_000; i++) limit.failed(`address ${i}`);
  assert.equal(limit.waitMs('first', 'x'), 0);
});
