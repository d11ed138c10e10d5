import type { TableOutlook, TaskEvent } from '../task/report.ts';
import { Speed } from './speed.ts';

export type TablePhase = 'waiting' | 'copying' | 'copied' | 'changing' | 'failed';

export type TableProgress = {
  readonly table: string;
  readonly phase: TablePhase;
  /** Rows copied, those of an earlier interrupted copy included. */
  readonly rows: number;
  /** Rows that the copy will have: the estimate, raised when more have come; 0 when nothing is known. */
  readonly expectedRows: number;
  readonly estimatedBytes: number;
  /** 0 to 100, whole, never falls; 100 only when the copy is complete. */
  readonly percent: number;
  /** Changes that were sent after the copy, or instead of one. */
  readonly changedRows: number;
  readonly startedMs: number;
  readonly finishedMs: number;
};

export type ProgressState = {
  readonly startedMs: number;
  readonly tables: ReadonlyMap<string, TableProgress>;
  /** Of all copies of the cycle, by size: 0 to 100, whole, never falls; 100 only when all are complete. */
  readonly percent: number;
  /** Rows, copied or changed. */
  readonly rowSpeed: Speed;
  /** Units of {@link workOf}. */
  readonly workSpeed: Speed;
};

/** An estimate that has been passed is raised to this many times what is there. */
const RAISE = 1.1;
/** A row costs at least as much as this many bytes. */
const ROW_BYTES_MIN = 100;
/** A time left is not told before this much was measured. */
const MEASURED_MIN_MS = 2_000;

export const startProgress = (nowMs: number): ProgressState => ({
  startedMs: nowMs,
  tables: new Map(),
  percent: 0,
  rowSpeed: Speed.start(nowMs),
  workSpeed: Speed.start(nowMs),
});

/** The state after an event of a task. Events that tell nothing about progress leave it as it is. */
export function advanceProgress(state: ProgressState, event: TaskEvent, nowMs: number): ProgressState {
  switch (event.event) {
    case 'cycle-started':
      return startProgress(nowMs);
    case 'tables':
      return withTables(state, new Map(event.tables.map((outlook) => [outlook.table, fromOutlook(outlook, nowMs)])));
    case 'copy-started':
      return update(state, startCopy(tableOf(state, event.table, nowMs), event, nowMs));
    case 'copy-progress':
      return copied(state, event.table, event.rows, nowMs);
    case 'copy-completed':
      return finishCopy(copied(state, event.table, event.rows, nowMs), event.table, nowMs);
    case 'changes-progress':
      return changed(state, event.table, event.rows, nowMs);
    case 'table-failed':
      return update(state, { ...tableOf(state, event.table, nowMs), phase: 'failed', finishedMs: nowMs });
    default:
      return tickProgress(state, nowMs);
  }
}

/** The state when time has passed and nothing was told. */
export const tickProgress = (state: ProgressState, nowMs: number): ProgressState => ({
  ...state,
  rowSpeed: Speed.add(state.rowSpeed, 0, nowMs),
  workSpeed: Speed.add(state.workSpeed, 0, nowMs),
});

/** Milliseconds until all copies are complete at the present rate; null when that cannot be said yet. */
export function timeLeftMs(state: ProgressState): number | null {
  const perSecond = Speed.perSecond(state.workSpeed);
  const { total, done } = workOf(copies(state));
  if (state.workSpeed.atMs - state.startedMs < MEASURED_MIN_MS || perSecond <= 0 || done >= total) return null;
  return ((total - done) / perSecond) * 1000;
}

/** The tables that are copied in this cycle, failed ones left out. */
export const copies = (state: ProgressState): readonly TableProgress[] =>
  [...state.tables.values()].filter((table) => isCopy(table) && table.phase !== 'failed');

const isCopy = (table: TableProgress): boolean => table.phase !== 'changing' || table.rows > 0;

function fromOutlook(outlook: TableOutlook, nowMs: number): TableProgress {
  const table = newTable(outlook.table, nowMs);
  if (outlook.work === 'catch-up') return { ...table, phase: 'changing' };
  const expectedRows = Math.max(outlook.estimatedRows, outlook.copiedRows);
  return settle({ ...table, expectedRows, rows: outlook.copiedRows, estimatedBytes: outlook.estimatedBytes });
}

const newTable = (table: string, nowMs: number): TableProgress => ({
  table,
  phase: 'waiting',
  rows: 0,
  expectedRows: 0,
  estimatedBytes: 0,
  percent: 0,
  changedRows: 0,
  startedMs: nowMs,
  finishedMs: nowMs,
});

const tableOf = (state: ProgressState, name: string, nowMs: number): TableProgress =>
  state.tables.get(name) ?? newTable(name, nowMs);

function startCopy(
  table: TableProgress,
  event: { readonly estimatedRows: number; readonly resumedAtRows: number },
  nowMs: number,
): TableProgress {
  const expectedRows = Math.max(event.estimatedRows, event.resumedAtRows);
  return settle({ ...table, phase: 'copying', expectedRows, rows: event.resumedAtRows, startedMs: nowMs });
}

function copied(state: ProgressState, name: string, rows: number, nowMs: number): ProgressState {
  const before = tableOf(state, name, nowMs);
  const expectedRows = rows > before.expectedRows ? Math.ceil(rows * RAISE) : before.expectedRows;
  const after = settle({ ...before, phase: 'copying', rows, expectedRows });
  const added = Math.max(0, rows - before.rows);
  return measure(state, after, added, (added * sizeOf(after)) / Math.max(1, expectedRows), nowMs);
}

function finishCopy(state: ProgressState, name: string, nowMs: number): ProgressState {
  const table = tableOf(state, name, nowMs);
  return update(state, { ...table, phase: 'copied', expectedRows: table.rows, percent: 100, finishedMs: nowMs });
}

function changed(state: ProgressState, name: string, rows: number, nowMs: number): ProgressState {
  const before = tableOf(state, name, nowMs);
  const phase = before.phase === 'copied' ? 'copied' : 'changing';
  const after: TableProgress = { ...before, phase, changedRows: rows, finishedMs: nowMs };
  return measure(state, after, Math.max(0, rows - before.changedRows), 0, nowMs);
}

/** Sets the percentage: it never falls, and stays below 100 while rows may come. */
function settle(table: TableProgress): TableProgress {
  const share = table.expectedRows > 0 ? Math.floor((table.rows / table.expectedRows) * 100) : 0;
  return { ...table, percent: Math.max(table.percent, Math.min(share, 99)) };
}

const measure = (
  state: ProgressState,
  table: TableProgress,
  rows: number,
  work: number,
  nowMs: number,
): ProgressState => ({
  ...update(state, table),
  rowSpeed: Speed.add(state.rowSpeed, rows, nowMs),
  workSpeed: Speed.add(state.workSpeed, work, nowMs),
});

const update = (state: ProgressState, table: TableProgress): ProgressState =>
  withTables(state, new Map(state.tables).set(table.table, table));

function withTables(state: ProgressState, tables: ReadonlyMap<string, TableProgress>): ProgressState {
  const { total, done } = workOf(copies({ ...state, tables }));
  const pending = copies({ ...state, tables }).some((table) => table.percent < 100);
  const percent = total === 0 ? 0 : Math.min(Math.floor((done / total) * 100), pending ? 99 : 100);
  return { ...state, tables, percent: Math.max(state.percent, percent) };
}

/** Tables of very different row sizes make one total: the larger of estimated bytes and a minimum for each row. */
function workOf(tables: readonly TableProgress[]): { readonly total: number; readonly done: number } {
  const share = (table: TableProgress) =>
    table.phase === 'copied' ? 1 : Math.min(1, table.rows / Math.max(1, table.expectedRows));
  const sizes = tables.map((table) => ({ size: sizeOf(table), share: share(table) }));
  return {
    total: sizes.reduce((sum, { size }) => sum + size, 0),
    done: sizes.reduce((sum, { size, share }) => sum + size * share, 0),
  };
}

const sizeOf = (table: TableProgress): number => Math.max(table.estimatedBytes, table.expectedRows * ROW_BYTES_MIN, 1);
