import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MirrorSchedule } from './model.ts';
import {
  afterRun,
  BACKOFF_MS_MIN,
  type CycleOutcomeKind,
  EVERY_MS_DEFAULT,
  hindrance,
  phaseOf,
  placesFor,
  startable,
} from './schedule.ts';

const MINUTE = 60_000;
const T0 = Date.UTC(2026, 2, 1, 12);

const schedule = (change: Partial<MirrorSchedule> = {}): MirrorSchedule => ({
  mirrorId: 'm1',
  dueAtMs: T0,
  failuresInRow: 0,
  requested: false,
  resyncTables: [],
  announcedSkips: [],
  copied: true,
  lastCompletedAtMs: null,
  ...change,
});

const CALM = { maintenance: false, quietHours: null };
const OPEN = { paused: false, maintenance: false };

const ended = (outcome: CycleOutcomeKind, times: { startedAtMs?: number; nowMs?: number } = {}) => ({
  outcome,
  startedAtMs: T0,
  nowMs: T0 + 1000,
  everyMs: EVERY_MS_DEFAULT,
  chance: 0,
  ...times,
});

test('cycles follow each other every 20 minutes, from start to start', () => {
  const starts: number[] = [];
  let now = schedule();
  for (let cycle = 0; cycle < 3; cycle++) {
    const startedAtMs = now.dueAtMs + 400;
    starts.push(startedAtMs - T0 - 400);
    now = { ...now, ...afterRun(now, ended('completed', { startedAtMs, nowMs: startedAtMs + 5000 })) };
  }
  assert.deepEqual(starts, [0, 20 * MINUTE, 40 * MINUTE]);
});

test('a cycle that takes longer than the interval delays the next one, once', () => {
  const late = T0 + 50 * MINUTE;
  const next = { ...schedule(), ...afterRun(schedule(), ended('completed', { nowMs: late })) };
  assert.equal(next.dueAtMs, late);
  const after = afterRun(next, ended('completed', { startedAtMs: late, nowMs: late + 1000 }));
  assert.equal(after.dueAtMs, late + 20 * MINUTE);
});

test('a cycle that starts late is not made up for', () => {
  const startedAtMs = T0 + 7 * 60 * MINUTE;
  const next = afterRun(schedule(), ended('completed', { startedAtMs, nowMs: startedAtMs + 1000 }));
  assert.equal(next.dueAtMs, startedAtMs + 20 * MINUTE);
});

test('failures are tried again after half a minute, doubling up to the interval, and recover', () => {
  const delays: number[] = [];
  let now = schedule();
  for (let failure = 0; failure < 9; failure++) {
    now = { ...now, ...afterRun(now, ended('failed', { nowMs: T0 })) };
    delays.push((now.dueAtMs - T0) / 1000);
  }
  assert.deepEqual(delays, [30, 60, 120, 240, 480, 960, 1200, 1200, 1200]);
  assert.equal(now.failuresInRow, 9);
  assert.equal(now.lastCompletedAtMs, null);
  const recovered = afterRun(now, ended('completed'));
  assert.equal(recovered.failuresInRow, 0);
});

test('chance brings a retry forward by at most half, so that failures do not march in step', () => {
  const next = afterRun(schedule(), { ...ended('failed', { nowMs: T0 }), chance: 0.999_999 });
  assert.equal(next.dueAtMs, T0 + BACKOFF_MS_MIN / 2);
});

test('a skipped cycle comes again at the next regular time and counts as no failure', () => {
  const next = afterRun(schedule({ failuresInRow: 3, copied: false, dueAtMs: T0 }), ended('skipped'));
  assert.deepEqual([next.failuresInRow, next.copied, next.lastCompletedAtMs], [0, false, null]);
  const regular = afterRun(schedule(), ended('skipped'));
  assert.equal(regular.dueAtMs, T0 + EVERY_MS_DEFAULT);
});

test('an interrupted cycle is due still, also when it was only asked for', () => {
  assert.equal(afterRun(schedule(), ended('interrupted')).dueAtMs, T0);
  const asked = schedule({ dueAtMs: T0 + 15 * MINUTE });
  assert.equal(afterRun(asked, ended('interrupted')).dueAtMs, T0);
});

test('ten thousand mirrors that were registered together do not stay together', () => {
  const perMinute = new Map<number, number>();
  for (let index = 0; index < 10_000; index++) {
    const first = schedule({ mirrorId: `mirror-${index}`, copied: false });
    const { dueAtMs } = afterRun(first, ended('completed', { nowMs: T0 }));
    const minute = Math.floor((dueAtMs - T0) / MINUTE);
    perMinute.set(minute, (perMinute.get(minute) ?? 0) + 1);
  }
  const counts = [...perMinute.values()];
  assert.ok(counts.length >= 20, `${counts.length} minutes are used`);
  assert.ok(Math.max(...counts) < 600, `${Math.max(...counts)} in one minute; 500 would be even`);
  assert.equal(phaseOf('m1'), phaseOf('m1'));
});

test('what a person asked for runs before it is due and in quiet hours, but waits for the end of maintenance and pause', () => {
  const quiet = { maintenance: false, quietHours: { fromMinute: 0, toMinute: 1439, timezone: 'UTC' } };
  const asked = schedule({ requested: true, dueAtMs: T0 + MINUTE });
  const why = (settings: typeof CALM | typeof quiet, tenant: typeof OPEN, what = asked) =>
    hindrance({ settings, tenant, schedule: what, nowMs: T0 });
  assert.equal(why(quiet, OPEN), null);
  assert.equal(why(quiet, OPEN, schedule()), 'quiet-hours');
  assert.equal(why(CALM, OPEN, schedule()), null);
  assert.equal(why(CALM, OPEN, schedule({ dueAtMs: T0 + 1 })), 'not-due');
  assert.equal(why({ ...CALM, maintenance: true }, OPEN), 'maintenance');
  assert.equal(why(CALM, { paused: false, maintenance: true }), 'maintenance');
  assert.equal(why(CALM, { paused: true, maintenance: false }), 'paused');
});

test('catch-ups go before first copies, what was asked for before what is only due, and the longest wait first', () => {
  const candidate = (id: string, change: Partial<MirrorSchedule>, tenant = OPEN) => ({
    mirror: {
      id,
      tenant: id,
      application: 'app',
      publicKey: '',
      transport: { kind: 'dialled' } as const,
      everyMs: EVERY_MS_DEFAULT,
      createdAt: '',
    },
    schedule: schedule({ mirrorId: id, ...change }),
    tenant,
  });
  const order = startable(
    CALM,
    [
      candidate('copy', { copied: false, dueAtMs: T0 - 9 * MINUTE }),
      candidate('asked copy', { copied: false, requested: true }),
      candidate('late', { dueAtMs: T0 - 2 * MINUTE }),
      candidate('just due', {}),
      candidate('asked', { requested: true, dueAtMs: T0 + MINUTE }),
      candidate('not due', { dueAtMs: T0 + MINUTE }),
      candidate('paused', {}, { paused: true, maintenance: false }),
    ],
    { nowMs: T0, hasFirstCopyPlace: true },
  );
  assert.deepEqual(
    order.map(({ mirrorId }) => mirrorId),
    ['asked', 'late', 'just due', 'asked copy', 'copy'],
  );
});

test('first copies take half of the places at most, and always find one', () => {
  assert.deepEqual(placesFor(20, { catchUps: 0, firstCopies: 0 }), { catchUps: 15, firstCopies: 10 });
  assert.deepEqual(placesFor(20, { catchUps: 0, firstCopies: 10 }), { catchUps: 10, firstCopies: 0 });
  assert.deepEqual(placesFor(20, { catchUps: 15, firstCopies: 0 }), { catchUps: 0, firstCopies: 5 });
  assert.deepEqual(placesFor(20, { catchUps: 12, firstCopies: 8 }), { catchUps: 0, firstCopies: 0 });
  assert.deepEqual(placesFor(1, { catchUps: 0, firstCopies: 0 }), { catchUps: 1, firstCopies: 1 });
});
