import type { CycleReport, TableReport } from '../task/report.ts';
import { formatCount, formatDuration, plural } from './format.ts';
import { Speed } from './speed.ts';

/** What a person wants to know of a task that follows its source: counted from the first complete cycle on. */
export type FollowState = {
  /** On the monotonic clock; null before the first cycle is complete. */
  readonly lastRoundMs: number | null;
  readonly rows: number;
  readonly speed: Speed;
};

export const startFollow = (nowMs: number): FollowState => ({ lastRoundMs: null, rows: 0, speed: Speed.start(nowMs) });

export function advanceFollow(state: FollowState, report: CycleReport, nowMs: number): FollowState {
  if (report.status === 'failed') return state;
  if (state.lastRoundMs === null) return { ...startFollow(nowMs), lastRoundMs: nowMs };
  const rows = changedRows(report);
  return { lastRoundMs: nowMs, rows: state.rows + rows, speed: Speed.add(state.speed, rows, nowMs) };
}

export const changedRows = (report: CycleReport): number =>
  report.tables.reduce((sum, table) => sum + table.inserted + table.updated + table.deleted, 0);

/** True when something is different in the mirror now. */
export const hasChanges = (report: CycleReport): boolean =>
  changedRows(report) > 0 ||
  report.tables.some((table) => table.schemaChange !== 'none' || table.repopulated !== undefined);

/** True when a person would want to read about the cycle. */
export const isEventful = (report: CycleReport): boolean =>
  report.status === 'failed' || report.skipped !== undefined || hasChanges(report);

export function describeFollow(state: FollowState, nowMs: number): string {
  const speed = Speed.perSecond(Speed.add(state.speed, 0, nowMs));
  const age =
    state.lastRoundMs === null ? 'no round yet' : `last round ${formatDuration(nowMs - state.lastRoundMs)} ago`;
  return `following: ${age}, ${formatCount(speed)} rows/s, ${plural(state.rows, 'row')} since the first cycle. Ctrl-C ends.`;
}

/** Two cycles as one: counts added up, the later one's word on everything else. */
export function mergeCycles(earlier: CycleReport, later: CycleReport): CycleReport {
  const before = new Map(earlier.tables.map((table) => [table.table, table]));
  const tables = later.tables.map((table) => {
    const sofar = before.get(table.table);
    before.delete(table.table);
    return sofar === undefined ? table : addCounts(sofar, table);
  });
  return { ...later, tables: [...before.values(), ...tables], startedAt: earlier.startedAt };
}

const addCounts = (a: TableReport, b: TableReport): TableReport => ({
  ...a,
  ...b,
  inserted: a.inserted + b.inserted,
  updated: a.updated + b.updated,
  deleted: a.deleted + b.deleted,
});
