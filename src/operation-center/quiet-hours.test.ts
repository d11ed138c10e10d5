import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isQuiet, localMinute } from './quiet-hours.ts';

const oslo = (fromMinute: number, toMinute: number) => ({ fromMinute, toMinute, timezone: 'Europe/Oslo' });
const at = (text: string) => Date.parse(text);

test('quiet hours are those of the wall clock, their end is outside', () => {
  const night = oslo(90, 180);
  for (const [time, quiet] of [
    ['2026-01-10T00:29:59Z', false],
    ['2026-01-10T00:30:00Z', true],
    ['2026-01-10T01:59:59Z', true],
    ['2026-01-10T02:00:00Z', false],
    ['2026-07-10T00:29:00Z', true],
    ['2026-07-09T23:30:00Z', true],
  ] as const) {
    assert.equal(isQuiet(night, at(time)), quiet, time);
  }
});

test('quiet hours may wrap over midnight', () => {
  const night = oslo(23 * 60, 6 * 60);
  for (const [time, quiet] of [
    ['2026-01-10T21:59:00Z', false],
    ['2026-01-10T22:00:00Z', true],
    ['2026-01-10T23:00:00Z', true],
    ['2026-01-11T04:59:59Z', true],
    ['2026-01-11T05:00:00Z', false],
    ['2026-01-11T12:00:00Z', false],
  ] as const) {
    assert.equal(isQuiet(night, at(time)), quiet, time);
  }
});

/** How many minutes of the day are quiet; 24 hours from midnight, or as many as the day has. */
function quietMinutes(hours: ReturnType<typeof oslo>, fromText: string, toText: string): number {
  let count = 0;
  for (let ms = at(fromText); ms < at(toText); ms += 60_000) if (isQuiet(hours, ms)) count += 1;
  return count;
}

test('the hour that spring skips is skipped, and the one that autumn repeats is quiet twice', () => {
  const night = oslo(90, 210);
  assert.equal(quietMinutes(night, '2026-03-27T23:00:00Z', '2026-03-28T23:00:00Z'), 120);
  assert.equal(quietMinutes(night, '2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z'), 60);
  assert.equal(quietMinutes(night, '2026-10-24T22:00:00Z', '2026-10-25T23:00:00Z'), 180);
  assert.equal(localMinute('Europe/Oslo', at('2026-03-29T01:00:00Z')), 180);
  assert.equal(localMinute('Europe/Oslo', at('2026-10-25T01:00:00Z')), 120);
});

test('no hours, and hours that end where they begin, are never quiet', () => {
  assert.equal(isQuiet(null, at('2026-01-10T00:30:00Z')), false);
  assert.equal(quietMinutes(oslo(90, 90), '2026-01-10T00:00:00Z', '2026-01-11T00:00:00Z'), 0);
});

test('midnight is minute zero', () => {
  assert.equal(localMinute('UTC', at('2026-01-10T00:00:00Z')), 0);
  assert.equal(localMinute('Asia/Kathmandu', at('2026-01-10T00:00:00Z')), 345);
});
