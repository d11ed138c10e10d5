import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FOLLOW_DELAY_MS_MAX, FOLLOW_DELAY_MS_MIN, nextFollowDelayMs, nextStartMs, retryDelayMs } from './schedule.ts';

const MINUTE_MS = 60_000;

/** Starts of cycles that take so long, one after another, by an interval of 20 minutes. */
function starts(durationsMs: readonly number[]): readonly number[] {
  const all = [0];
  for (const durationMs of durationsMs) {
    const started = all.at(-1) ?? 0;
    all.push(nextStartMs(started, started + durationMs, 20 * MINUTE_MS));
  }
  return all.map((ms) => ms / MINUTE_MS);
}

test('cycles start every 20 minutes', () => {
  assert.deepEqual(starts([MINUTE_MS, 0, 19 * MINUTE_MS]), [0, 20, 40, 60]);
});

test('a long cycle delays the next one and is not made up for', () => {
  assert.deepEqual(starts([45 * MINUTE_MS, MINUTE_MS, MINUTE_MS]), [0, 45, 65, 85]);
});

test('rounds back off while there is nothing, and come close again with the first change', () => {
  let delayMs = FOLLOW_DELAY_MS_MIN;
  for (let i = 0; i < 10; i++) delayMs = nextFollowDelayMs(delayMs, false);
  assert.equal(delayMs, FOLLOW_DELAY_MS_MAX);
  assert.ok(FOLLOW_DELAY_MS_MAX < 1000, 'a change is seen within a second');
  assert.equal(nextFollowDelayMs(delayMs, true), FOLLOW_DELAY_MS_MIN);
});

test('retries wait longer and longer, never beyond half a minute, and not all the same', () => {
  const waits = Array.from({ length: 12 }, (_, i) => retryDelayMs(i + 1, 0));
  assert.deepEqual(waits.slice(0, 4), [500, 1000, 2000, 4000]);
  assert.equal(Math.max(...waits), 30_000);
  assert.equal(retryDelayMs(3, 1), 1000);
});
