import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MirrorSchedule, QuietHours } from './model.ts';
import { isQuiet } from './quiet-hours.ts';
import { afterRun, type CycleOutcomeKind, hindrance, PUNCTUAL_MS, placesFor, startable } from './schedule.ts';

const MINUTE = 60_000;
const EVERY_MS = 20 * MINUTE;
const STEP_MS = MINUTE;
const WEEK_MS = 7 * 24 * 60 * MINUTE;
const CYCLES_MAX = 4;

/** What a week is like: everything else follows from the schedule. */
type Week = {
  readonly startMs: number;
  readonly quietHours: QuietHours | null;
  /** Of the whole center. */
  readonly maintenance: readonly { readonly fromMs: number; readonly forMs: number }[];
  /** Mirrors of each tenant. */
  readonly tenants: readonly number[];
  /** How long cycles take, and how they end, one after another for each mirror. */
  readonly cycles: readonly { readonly takesMs: number; readonly outcome: CycleOutcomeKind }[];
};

type Started = {
  readonly mirrorId: string;
  readonly tenant: string;
  readonly atMs: number;
  endMs: number;
  wasCopied: boolean;
};

const weeks: fc.Arbitrary<Week> = fc.record({
  // The weeks in which the clocks of Europe go forward and back, and a quiet one.
  startMs: fc.constantFrom(Date.UTC(2026, 2, 25), Date.UTC(2026, 9, 21), Date.UTC(2026, 5, 1)),
  quietHours: fc.option(
    fc.record({
      fromMinute: fc.integer({ min: 0, max: 1439 }),
      toMinute: fc.integer({ min: 0, max: 1439 }),
      timezone: fc.constantFrom('Europe/Oslo', 'America/New_York', 'Australia/Lord_Howe', 'UTC'),
    }),
  ),
  maintenance: fc.array(
    fc.record({ fromMs: fc.integer({ min: 0, max: WEEK_MS }), forMs: fc.integer({ min: 0, max: 8 * 60 * MINUTE }) }),
    { maxLength: 3 },
  ),
  tenants: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 5 }),
  cycles: fc.array(
    fc.record({
      takesMs: fc.oneof(
        { weight: 8, arbitrary: fc.integer({ min: 1, max: 2 * MINUTE }) },
        { weight: 1, arbitrary: fc.integer({ min: 2 * MINUTE, max: 90 * MINUTE }) },
      ),
      outcome: fc.constantFrom<CycleOutcomeKind>('completed', 'completed', 'completed', 'failed', 'skipped'),
    }),
    { minLength: 1, maxLength: 10 },
  ),
});

type Mirror = { readonly tenant: string; schedule: MirrorSchedule; running: Started | null; count: number };

const newMirror = (tenant: string, mirrorId: string, dueAtMs: number): Mirror => ({
  tenant,
  schedule: {
    mirrorId,
    dueAtMs,
    failuresInRow: 0,
    requested: false,
    resyncTables: [],
    announcedSkips: [],
    copied: false,
    lastCompletedAtMs: null,
  },
  running: null,
  count: 0,
});

/** A center that looks every minute, on a clock of its own; answers every cycle that it started. */
function live(week: Week): readonly Started[] {
  const mirrors = week.tenants.flatMap((count, tenant) =>
    Array.from({ length: count }, (_, mirror) => newMirror(`t${tenant}`, `t${tenant}-${mirror}`, week.startMs)),
  );
  const started: Started[] = [];
  for (let nowMs = week.startMs; nowMs < week.startMs + WEEK_MS; nowMs += STEP_MS) {
    for (const mirror of mirrors) end(mirror, week, nowMs);
    started.push(...start(mirrors, week, nowMs));
  }
  return started;
}

function end(mirror: Mirror, week: Week, nowMs: number): void {
  const { running } = mirror;
  if (running === null || running.endMs > nowMs) return;
  const outcome = week.cycles[mirror.count % week.cycles.length]?.outcome ?? 'completed';
  const next = afterRun(mirror.schedule, { outcome, startedAtMs: running.atMs, nowMs, everyMs: EVERY_MS, chance: 0.5 });
  mirror.schedule = { ...mirror.schedule, ...next };
  mirror.count += 1;
  mirror.running = null;
}

const isMaintained = ({ maintenance, startMs }: Week, nowMs: number): boolean =>
  maintenance.some(({ fromMs, forMs }) => nowMs >= startMs + fromMs && nowMs < startMs + fromMs + forMs);

function placesOf(mirrors: readonly Mirror[]) {
  const running = mirrors.filter((one) => one.running !== null);
  const firstCopies = running.filter((one) => !one.schedule.copied).length;
  return placesFor(CYCLES_MAX, { firstCopies, catchUps: running.length - firstCopies });
}

/** As the queue does: the most urgent first, of each tenant one. */
function start(mirrors: readonly Mirror[], week: Week, nowMs: number): readonly Started[] {
  const settings = { maintenance: isMaintained(week, nowMs), quietHours: week.quietHours };
  const open = { paused: false, maintenance: false };
  const due = mirrors.filter(({ schedule, running }) => schedule.dueAtMs <= nowMs && running === null);
  const candidates = due.map(({ schedule, tenant }) => ({
    mirror: {
      id: schedule.mirrorId,
      tenant,
      application: 'app',
      publicKey: '',
      transport: { kind: 'dialled' } as const,
      everyMs: EVERY_MS,
      createdAt: '',
    },
    schedule,
    tenant: open,
  }));
  const started: Started[] = [];
  const hasFirstCopyPlace = placesOf(mirrors).firstCopies > 0;
  for (const { mirrorId } of startable(settings, candidates, { nowMs, hasFirstCopyPlace })) {
    const mirror = mirrors.find(({ schedule }) => schedule.mirrorId === mirrorId);
    if (mirror === undefined || mirrors.some(({ tenant, running }) => tenant === mirror.tenant && running)) continue;
    const places = placesOf(mirrors);
    if ((mirror.schedule.copied ? places.catchUps : places.firstCopies) === 0) continue;
    const takesMs = week.cycles[mirror.count % week.cycles.length]?.takesMs ?? 0;
    mirror.running = {
      mirrorId,
      tenant: mirror.tenant,
      atMs: nowMs,
      endMs: nowMs + takesMs,
      wasCopied: mirror.schedule.copied,
    };
    started.push(mirror.running);
  }
  return started;
}

const groupBy = (started: readonly Started[], key: 'tenant' | 'mirrorId') =>
  Object.values(Object.groupBy(started, (one) => one[key])) as Started[][];

test('whatever the week: none in quiet hours or maintenance, never two of a tenant, none doubled, nobody starves', () => {
  fc.assert(
    fc.property(weeks, (week) => {
      const started = live(week);
      for (const { atMs } of started) {
        assert.ok(!isQuiet(week.quietHours, atMs), `in quiet hours: ${new Date(atMs).toISOString()}`);
        assert.ok(!isMaintained(week, atMs), `in maintenance: ${new Date(atMs).toISOString()}`);
      }
      for (const own of groupBy(started, 'tenant')) assertInSequence(own);
      for (const own of groupBy(started, 'mirrorId')) {
        assertNotDoubled(own, week);
        assertNotStarved(own, week);
      }
      const mirrors = week.tenants.reduce((sum, count) => sum + count, 0);
      if (freeTimeBetween(week, week.startMs, week.startMs + WEEK_MS) > fairMsOf(week)) {
        assert.equal(groupBy(started, 'mirrorId').length, mirrors);
      }
    }),
    { numRuns: 25 },
  );
});

function assertInSequence(own: readonly Started[]): void {
  for (const [index, one] of own.entries()) {
    const before = own[index - 1];
    assert.ok(before === undefined || before.endMs <= one.atMs, 'two of a tenant at once');
  }
}

/** A good cycle is followed by the next one an interval later at the soonest; the first of all brings the phase. */
function assertNotDoubled(own: readonly Started[], week: Week): void {
  for (const [index, one] of own.entries()) {
    const next = own[index + 1];
    const failed = week.cycles[index % week.cycles.length]?.outcome === 'failed';
    if (next === undefined || failed || !one.wasCopied) continue;
    assert.ok(next.atMs - one.atMs >= EVERY_MS - PUNCTUAL_MS - STEP_MS, `${next.atMs - one.atMs} ms apart`);
  }
}

/** Every cycle of its own tenant and of the others may be as long as they come, each once. */
const fairMsOf = ({ tenants }: Week): number =>
  EVERY_MS + 90 * MINUTE * (1 + tenants.reduce((sum, count) => sum + count, 0));

function assertNotStarved(own: readonly Started[], week: Week): void {
  const times = [week.startMs, ...own.map(({ atMs }) => atMs), week.startMs + WEEK_MS];
  for (const [index, atMs] of times.entries()) {
    const fromMs = times[index - 1] ?? atMs;
    if (atMs - fromMs <= fairMsOf(week)) continue;
    const waitedMs = freeTimeBetween(week, fromMs, atMs);
    assert.ok(waitedMs <= fairMsOf(week), `${own[0]?.mirrorId} waited ${waitedMs / MINUTE} minutes`);
  }
}

const isFree = (week: Week, atMs: number): boolean =>
  hindrance({
    settings: { maintenance: isMaintained(week, atMs), quietHours: week.quietHours },
    tenant: { paused: false, maintenance: false },
    schedule: { dueAtMs: 0, requested: false },
    nowMs: atMs,
  }) === null;

function freeTimeBetween(week: Week, fromMs: number, toMs: number): number {
  let free = 0;
  for (let atMs = fromMs; atMs < toMs; atMs += 10 * MINUTE) if (isFree(week, atMs)) free += 10 * MINUTE;
  return free;
}

test('a first copy comes, though the tenant’s other mirror has catch-ups as long as their interval', () => {
  const cycles = [{ takesMs: 19 * MINUTE + 1, outcome: 'completed' as const }];
  const started = live({ startMs: Date.UTC(2026, 2, 25), quietHours: null, maintenance: [], tenants: [2], cycles });
  assert.equal(groupBy(started, 'mirrorId').length, 2);
});

test('a calm week has exactly the cycles that it should', () => {
  const calm = {
    startMs: Date.UTC(2026, 2, 25),
    maintenance: [],
    tenants: [1, 1],
    cycles: [{ takesMs: 1000, outcome: 'completed' as const }],
  };
  const perMirror = (quietHours: QuietHours | null) =>
    groupBy(live({ ...calm, quietHours }), 'mirrorId').map((own) => own.length);
  for (const count of perMirror(null)) assert.ok(Math.abs(count - (7 * 24 * 3 + 1)) <= 1, `${count}`);
  // 01:30 to 03:30 in Oslo: two hours a night, and one in the night in which the clock goes forward.
  for (const count of perMirror({ fromMinute: 90, toMinute: 210, timezone: 'Europe/Oslo' })) {
    assert.ok(Math.abs(count - (7 * 24 - 13) * 3) <= 9, `${count}`);
  }
});
