import type { EventAnswer, RunAnswer, RunSummaryAnswer } from '../operation-center/api/schemas.ts';
import type { MirrorStatus, StatusAnswer } from '../operation-center/api/status.ts';
import { formatBytes, formatCount, formatDuration, plural } from './format.ts';
import { alignColumns, type Paint, printable } from './text.ts';

export const STATUS_HEADING = ['tenant', 'application', 'state', 'last cycle', 'next due', 'remarks'] as const;

/** How a mirror is doing, in cells. */
export function statusRow(mirror: MirrorStatus, nowMs: number): readonly string[] {
  const { tenant, application, state, lastCompletedAt, nextDueAt } = mirror;
  return [
    tenant,
    application,
    state,
    lastCompletedAt === null ? 'never' : `${formatDuration(nowMs - Date.parse(lastCompletedAt))} ago`,
    nextDueAt === null ? '-' : dueIn(Date.parse(nextDueAt) - nowMs),
    remarksOf(mirror).join(', '),
  ];
}

const dueIn = (ms: number): string => (ms <= 0 ? 'now' : `in ${formatDuration(ms)}`);

function remarksOf({ behind, connected, failuresInRow }: MirrorStatus): readonly string[] {
  return [
    ...(behind ? ['behind'] : []),
    ...(connected === false ? ['client not connected'] : []),
    ...(failuresInRow > 0 ? [`${plural(failuresInRow, 'failure')} in a row`] : []),
  ];
}

export function summaryLine({ mirrors, maintenance, cyclesRunning, queueLength }: StatusAnswer): string {
  const behind = mirrors.filter((mirror) => mirror.behind).length;
  const failing = mirrors.filter((mirror) => mirror.failuresInRow > 0).length;
  const state = maintenance ? ' The center is in maintenance: no cycle starts.' : '';
  return `${plural(mirrors.length, 'mirror')}, ${failing} failing, ${behind} behind; ${cyclesRunning} running, ${queueLength} waiting.${state}`;
}

export const RUN_HEADING = [
  'run',
  'application',
  'started',
  'took',
  'status',
  'rows',
  'bytes',
  'tables',
  'error',
] as const;

/** A run in cells. */
export function runRow(run: RunSummaryAnswer): readonly string[] {
  return [
    run.id,
    run.application,
    run.startedAt,
    durationOf(run),
    run.status,
    formatCount(rowsOf(run)),
    formatBytes(run.bytes),
    run.failedTables === 0 ? String(run.tables) : `${run.tables} (${run.failedTables} failed)`,
    run.error === null ? (run.skipped ?? '') : run.error.code,
  ];
}

const durationOf = ({ startedAt, finishedAt }: RunSummaryAnswer): string =>
  finishedAt === null ? '-' : formatDuration(Date.parse(finishedAt) - Date.parse(startedAt));

const rowsOf = ({ inserted, updated, deleted }: RunSummaryAnswer): number => inserted + updated + deleted;

/** A run with what it did to each table in which something happened. */
export function describeRun(run: RunAnswer): readonly string[] {
  const { tenant, application, status, inserted, updated, deleted, skipped } = run;
  const counts = `${formatCount(inserted)} inserted, ${formatCount(updated)} updated, ${formatCount(deleted)} deleted`;
  const reason = skipped === null ? '' : `: ${printable(skipped)}`;
  const head = `${tenant} for ${application}: ${status}${reason} in ${durationOf(run)}, ${counts} (run ${run.id}).`;
  return [head, ...tableLines(run)];
}

function tableLines({ report }: RunAnswer): readonly string[] {
  const rows = (report?.tables ?? [])
    .filter(
      (table) =>
        table.error !== undefined ||
        table.schemaChange !== 'none' ||
        table.inserted + table.updated + table.deleted > 0,
    )
    .map((table) => [
      printable(table.table),
      `+${formatCount(table.inserted)}`,
      `~${formatCount(table.updated)}`,
      `-${formatCount(table.deleted)}`,
      table.lsn ?? '-',
      printable(table.error === undefined ? (table.repopulated ?? '') : `${table.error.code}: ${table.error.message}`),
    ]);
  if (rows.length === 0) return [];
  return alignColumns([['table', 'inserted', 'updated', 'deleted', 'LSN', ''], ...rows], [1, 2, 3, 4]).map(
    (line) => `  ${line}`,
  );
}

/** An event of the log as a line. */
export function eventLine({ at, kind, tenant, application, message, hint }: EventAnswer, paint: Paint): string {
  const whose = [tenant, application].filter((part) => part !== null).join('/');
  const text = `${at} ${kind} ${whose === '' ? '' : `${whose}: `}${printable(message)}${hint === null ? '' : ` (${printable(hint)})`}`;
  return kind === 'information' ? text : paint(kind === 'error' ? 'red' : 'yellow', text);
}
