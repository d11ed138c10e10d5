import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../core/clock.ts';
import type { CycleReport, TableReport, TaskEvent } from '../task/report.ts';
import type { Environment } from './environment.ts';
import { type MirrorReporter, type Rhythm, reportMirror } from './mirror-reporter.ts';
import { createOutput, type OutputFlags } from './output.ts';

/** A clock that goes only when told, and wakes whoever sleeps on it. */
class HandClock implements Clock {
  #ms = 0;
  #sleepers: { readonly atMs: number; readonly wake: () => void }[] = [];

  now = (): number => this.#ms;
  monotonicMs = (): number => this.#ms;

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#sleepers.push({ atMs: this.#ms + durationMs, wake: resolve });
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    return promise;
  }

  async go(ms: number): Promise<void> {
    this.#ms += ms;
    const due = this.#sleepers.filter((sleeper) => sleeper.atMs <= this.#ms);
    this.#sleepers = this.#sleepers.filter((sleeper) => sleeper.atMs > this.#ms);
    for (const sleeper of due) sleeper.wake();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

type Stage = {
  readonly reporter: MirrorReporter;
  readonly clock: HandClock;
  /** What was written since the last call. */
  readonly out: () => string;
  readonly err: () => string;
};

function stage(rhythm: Rhythm, flags: Partial<OutputFlags> & { readonly isTTY?: boolean } = {}): Stage {
  const written = { out: '', err: '' };
  const clock = new HandClock();
  const stream = (name: 'out' | 'err') => ({
    write: (text: string) => {
      written[name] += text;
    },
    isTTY: flags.isTTY ?? false,
    columns: 100,
    rows: 24,
  });
  const environment: Environment = {
    stdout: stream('out'),
    stderr: stream('err'),
    variables: { NO_COLOR: '1' },
    clock,
    version: '1',
    signal: new AbortController().signal,
    redact: (text) => text.replaceAll('hemmelig', '***'),
    readConfig: () => ({}),
  };
  const output = createOutput(environment, { json: flags.json ?? false, quiet: flags.quiet ?? false });
  const take = (name: 'out' | 'err') => () => {
    const text = written[name];
    written[name] = '';
    return text;
  };
  return { reporter: reportMirror(output, environment, rhythm), clock, out: take('out'), err: take('err') };
}

const cycle = (tables: readonly Partial<TableReport>[], more: Partial<CycleReport> = {}): CycleReport => ({
  event: 'cycle',
  status: 'completed',
  bytes: 0,
  tables: tables.map((table) => ({
    table: 'person',
    schemaChange: 'none',
    inserted: 0,
    updated: 0,
    deleted: 0,
    lsn: '7',
    ...table,
  })),
  startedAt: '2026-11-01T10:00:00.000Z',
  finishedAt: '2026-11-01T10:00:01.500Z',
  ...more,
});

const error = { code: 'LOCK_TIMEOUT', message: 'hemmelig holds the lock', hint: 'Wait.', recovery: 'retry' } as const;

const COPY: readonly TaskEvent[] = [
  { event: 'cycle-started', at: '2026-11-01T10:00:00.000Z' },
  {
    event: 'tables',
    tables: [{ table: 'person', estimatedRows: 100, estimatedBytes: 1, work: 'copy', copiedRows: 0 }],
  },
  { event: 'copy-started', table: 'person', reason: 'no-position', estimatedRows: 100, resumedAtRows: 0 },
  { event: 'copy-progress', table: 'person', rows: 50, bytes: 1 },
];

test('without a terminal: a line every three seconds, one for a finished table, and the summary', async () => {
  const { reporter, clock, out, err } = stage('once');
  for (const event of COPY) reporter.onEvent(event);
  assert.equal(err(), '');
  await clock.go(3_000);
  assert.equal(err(), 'copying: 0 of 1 table, 50 of about 100 rows (50 %), 14 rows/s, about 4 s left\n');
  reporter.onEvent({ event: 'copy-completed', table: 'person', rows: 100 });
  assert.equal(err(), 'person: copied 100 rows in 3.0 s\n');
  reporter.onEvent({ event: 'warning', table: null, message: 'no table matches "persn"' });
  assert.equal(err(), 'warning: no table matches "persn"\n');
  reporter.onEvent(cycle([{ schemaChange: 'created', inserted: 100 }, { table: 'tag' }]));
  await reporter.stop();
  assert.equal(
    out(),
    [
      'Cycle completed in 1.5 s: 2 tables, 100 inserted, 0 updated, 0 deleted.',
      '  table   inserted  updated  deleted',
      '  person       100        0        0  table created',
      '',
    ].join('\n'),
  );
});

test('on a terminal: bars, and nothing left of them at the end', async () => {
  const { reporter, clock, out, err } = stage('once', { isTTY: true });
  for (const event of COPY) reporter.onEvent(event);
  await clock.go(100);
  assert.match(err(), /person +█{15}░{15} {2}50 % .*\n.*total 0\/1 +█{15}░{15} {2}50 %/);
  reporter.onEvent(cycle([{ inserted: 100 }]));
  await reporter.stop();
  assert.match(out(), /^Cycle completed/);
  await clock.go(1_000);
  assert.doesNotMatch(err(), /█/);
});

test('a failed table is told once, with its hint and without passwords', async () => {
  const { reporter, err, out } = stage('once');
  reporter.onEvent({ event: 'cycle-started', at: '' });
  reporter.onEvent({ event: 'table-failed', table: 'person', error });
  reporter.onEvent(cycle([{ error }, { table: 'sale', error }], { status: 'failed' }));
  await reporter.stop();
  const told = 'error: person: *** holds the lock (LOCK_TIMEOUT)\n  hint: Wait.\n';
  assert.equal(err(), told + told.replace('person', 'sale'));
  assert.match(out(), /^Cycle failed for 2 tables in 1\.5 s/);
});

test('quiet says only how it ended', async () => {
  const { reporter, clock, out, err } = stage('once', { quiet: true, isTTY: true });
  for (const event of COPY) reporter.onEvent(event);
  await clock.go(5_000);
  reporter.onEvent({ event: 'note', table: null, message: 'a note' });
  reporter.onEvent(cycle([{ inserted: 100 }]));
  await reporter.stop();
  assert.equal(out(), 'Cycle completed in 1.5 s: 1 table, 100 inserted, 0 updated, 0 deleted.\n');
  assert.equal(err(), '');
});

test('--json: every event is a line of its own, and nothing else is on standard output', async () => {
  const { reporter, clock, out, err } = stage('once', { json: true, isTTY: true });
  const events = [...COPY, { event: 'table-failed', table: 'person', error } as const, cycle([{}])];
  for (const event of events) reporter.onEvent(event);
  await clock.go(5_000);
  await reporter.stop();
  const lines = out()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { readonly event: string });
  assert.deepEqual(
    lines.map((line) => line.event),
    events.map((event) => event.event),
  );
  assert.equal(err(), 'error: person: *** holds the lock (LOCK_TIMEOUT)\n  hint: Wait.\n');
});

test('following: rounds are gathered into a line every three seconds, idle rounds make none', async () => {
  const { reporter, clock, out } = stage('follow');
  reporter.onEvent(cycle([{ inserted: 100 }]));
  assert.match(out(), /^Cycle completed/);
  for (let round = 0; round < 10; round++) reporter.onEvent(cycle([{ inserted: 1, deleted: round % 2 }]));
  assert.equal(out(), '');
  await clock.go(3_000);
  assert.equal(out(), '10:00:01Z 1 table: 10 inserted, 0 updated, 5 deleted\n');
  reporter.onEvent(cycle([{}]));
  await clock.go(3_000);
  assert.equal(out(), '');
  reporter.onEvent(cycle([{ updated: 1 }]));
  await reporter.stop();
  assert.match(out(), /0 inserted, 1 updated, 0 deleted/);
});

test('following: a table that fails in every round is told once, and again when it fails otherwise', async () => {
  const { reporter, clock, err, out } = stage('follow');
  reporter.onEvent(cycle([{ inserted: 1 }]));
  out();
  const fail = (message: string) => {
    reporter.onEvent({ event: 'table-failed', table: 'person', error: { ...error, message } });
    reporter.onEvent(cycle([{ error: { ...error, message } }], { status: 'failed' }));
  };
  for (let round = 0; round < 5; round++) fail('locked');
  assert.equal(err(), 'error: person: locked (LOCK_TIMEOUT)\n  hint: Wait.\n');
  fail('gone');
  assert.match(err(), /^error: person: gone/);
  reporter.onEvent(cycle([{}]));
  fail('gone');
  assert.match(err(), /^error: person: gone/);
  await clock.go(3_000);
  await reporter.stop();
  assert.equal(out(), '');
});

test('following on a terminal: one line says how old the mirror is', async () => {
  const { reporter, clock, err } = stage('follow', { isTTY: true });
  reporter.onEvent(cycle([{ inserted: 100_000 }]));
  await clock.go(1_000);
  reporter.onEvent(cycle([{ inserted: 250 }]));
  err();
  await clock.go(400);
  assert.match(err(), /following: last round 400 ms ago, 17\d rows\/s, 250 rows since the first cycle/);
  await reporter.stop();
});

test('a cycle on a schedule in which nothing happened makes no line', async () => {
  const { reporter, out } = stage('every');
  reporter.onEvent(cycle([{}]));
  out();
  reporter.onEvent(cycle([{}]));
  assert.equal(out(), '');
  reporter.onEvent(cycle([{ updated: 2 }]));
  assert.match(out(), /^10:00:01Z Cycle completed/);
  await reporter.stop();
});

test('what is true of every cycle is said once', async () => {
  const { reporter, err } = stage('every');
  for (let round = 0; round < 3; round++) {
    reporter.onEvent({ event: 'note', table: 'log', message: 'has no key' });
    reporter.onEvent({ event: 'warning', table: null, message: 'no table is named x' });
  }
  await reporter.stop();
  assert.equal(err(), 'log: has no key\nwarning: no table is named x\n');
});

test('a retry says why and when', async () => {
  const { reporter, err } = stage('every');
  reporter.onEvent({ event: 'retry', error, delayMs: 2_000 });
  await reporter.stop();
  assert.equal(err(), 'warning: *** holds the lock (LOCK_TIMEOUT)\n  hint: Wait.\nTrying again in 2.0 s.\n');
});
