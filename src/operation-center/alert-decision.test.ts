import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AlertKind, type AlertState, decideAlert, isBehind, NOTHING_TOLD } from './alert-decision.ts';

const HOUR_MS = 60 * 60 * 1000;

/** Tells a story hour by hour: `ok`, `fail`, `behind`, or both words; answers what was told when. */
function told(story: readonly string[]): readonly string[] {
  let state: AlertState = NOTHING_TOLD;
  let failures = 0;
  return story.flatMap((word, hour) => {
    failures = word.includes('fail') ? failures + 1 : 0;
    const decided = decideAlert(state, { failuresInRow: failures, behind: word.includes('behind') }, hour * HOUR_MS);
    state = decided.state;
    return decided.alerts.map((alert: AlertKind) => `${hour} ${alert}`);
  });
}

test('a mirror that works is not told of', () => assert.deepEqual(told(['ok', 'ok', 'ok']), []));

test('the first failure of a row is told, and its end', () => {
  assert.deepEqual(told(['ok', 'fail', 'fail', 'fail', 'ok', 'ok', 'fail']), ['1 failed', '4 recovered', '6 failed']);
});

test('failures that go on are told once a day', () => {
  assert.deepEqual(told(Array.from({ length: 60 }, () => 'fail')), ['0 failed', '24 failed', '48 failed']);
});

test('falling behind is told once, and catching up', () => {
  assert.deepEqual(told(['ok', 'behind', 'behind', 'ok', 'behind']), ['1 behind', '3 caught-up', '4 behind']);
});

test('a mirror that is behind because it fails is told of for both', () => {
  assert.deepEqual(told(['fail', 'fail behind', 'fail behind', 'ok']), [
    '0 failed',
    '1 behind',
    '3 recovered',
    '3 caught-up',
  ]);
});

test('behind is more than two intervals of time in which cycles could start', () => {
  const mirror = { told: false, lastCompletedAtMs: 1_000, createdAtMs: 0, everyMs: 100, freeSinceMs: 0, nowMs: 1_200 };
  assert.equal(isBehind(mirror), false);
  assert.equal(isBehind({ ...mirror, nowMs: 1_201 }), true);
  assert.equal(isBehind({ ...mirror, nowMs: 5_000, freeSinceMs: 4_900 }), false);
  assert.equal(isBehind({ ...mirror, lastCompletedAtMs: null, nowMs: 200 }), false);
  assert.equal(isBehind({ ...mirror, lastCompletedAtMs: null, nowMs: 201 }), true);
  const told = { ...mirror, told: true, freeSinceMs: 4_900 };
  assert.deepEqual(
    [5_000, 1_151, 1_150].map((nowMs) => isBehind({ ...told, nowMs })),
    [true, true, false],
  );
});
