import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TaskEvent } from '../task/report.ts';
import { advanceProgress, type ProgressState, startProgress, tickProgress, timeLeftMs } from './progress-state.ts';
import { Speed } from './speed.ts';

const outlook = (table: string, estimatedRows: number, estimatedBytes = estimatedRows * 100) =>
  ({ table, estimatedRows, estimatedBytes, work: 'copy', copiedRows: 0 }) as const;

const begin = (...tables: readonly ReturnType<typeof outlook>[]): ProgressState =>
  advanceProgress(startProgress(0), { event: 'tables', tables }, 0);

const started = (table: string, estimatedRows: number, resumedAtRows = 0): TaskEvent => ({
  event: 'copy-started',
  table,
  reason: 'no-position',
  estimatedRows,
  resumedAtRows,
});

const progress = (table: string, rows: number): TaskEvent => ({
  event: 'copy-progress',
  table,
  rows,
  bytes: rows * 100,
});
const completed = (table: string, rows: number): TaskEvent => ({ event: 'copy-completed', table, rows });

const play = (state: ProgressState, ...events: readonly (readonly [number, TaskEvent])[]): ProgressState =>
  events.reduce((current, [ms, event]) => advanceProgress(current, event, ms), state);

test('the total weighs tables by their size', () => {
  const state = play(begin(outlook('big', 9_000), outlook('small', 1_000)), [1000, completed('big', 9_000)]);
  assert.equal(state.percent, 90);
});

test('percentages never fall and reach 100 only at the end, however wrong the estimate is', () => {
  let state = play(begin(outlook('person', 1_000)), [0, started('person', 1_000)]);
  let [tablePercent, totalPercent] = [0, 0];
  for (let rows = 100; rows <= 5_000; rows += 100) {
    state = advanceProgress(state, progress('person', rows), rows);
    const table = state.tables.get('person');
    assert.ok(table !== undefined && table.percent >= tablePercent && table.percent < 100);
    assert.ok(state.percent >= totalPercent && state.percent < 100);
    assert.ok(table.expectedRows >= rows);
    [tablePercent, totalPercent] = [table.percent, state.percent];
  }
  state = advanceProgress(state, completed('person', 5_000), 6_000);
  assert.deepEqual([state.tables.get('person')?.percent, state.percent], [100, 100]);
});

test('the time left follows from the rate, and is not told too early', () => {
  let state = play(begin(outlook('person', 10_000)), [0, started('person', 10_000)], [1000, progress('person', 1_000)]);
  assert.equal(timeLeftMs(state), null);
  for (let second = 2; second <= 5; second++)
    state = advanceProgress(state, progress('person', second * 1000), second * 1000);
  assert.ok(Math.abs((timeLeftMs(state) ?? 0) - 5_000) < 500);
  const stalled = tickProgress(state, 15_000);
  assert.ok((timeLeftMs(stalled) ?? 0) > 10_000, 'a stall makes it longer');
});

test('rows of an interrupted copy count as done and not as speed', () => {
  const state = play(
    begin(outlook('person', 10_000)),
    [0, started('person', 10_000, 6_000)],
    [1000, progress('person', 7_000)],
  );
  assert.equal(state.tables.get('person')?.percent, 70);
  assert.equal(Math.round(Speed.perSecond(state.rowSpeed)), 1_000);
});

test('a table without an estimate has no percentage to lie about', () => {
  const state = play(begin(outlook('person', 0)), [0, started('person', 0)]);
  assert.equal(state.tables.get('person')?.percent, 0);
  assert.equal(timeLeftMs(tickProgress(state, 10_000)), null);
});

test('failed tables do not hold the total back', () => {
  const error = { code: 'LOCK_TIMEOUT', message: 'locked', hint: null, recovery: 'retry' } as const;
  const state = play(
    begin(outlook('a', 100), outlook('b', 100)),
    [1, { event: 'table-failed', table: 'a', error }],
    [2, completed('b', 100)],
  );
  assert.equal(state.percent, 100);
});

test('changes after a copy are rows of the rate and no copy work', () => {
  const state = play(
    begin(outlook('a', 100)),
    [1000, completed('a', 100)],
    [2000, { event: 'changes-progress', table: 'a', rows: 50, bytes: 1 }],
  );
  assert.deepEqual(
    [state.tables.get('a')?.phase, state.tables.get('a')?.changedRows, state.percent],
    ['copied', 50, 100],
  );
});

test('a new cycle begins anew', () => {
  const state = play(begin(outlook('a', 100)), [1, completed('a', 100)], [2, { event: 'cycle-started', at: '' }]);
  assert.deepEqual([state.tables.size, state.percent], [0, 0]);
});
