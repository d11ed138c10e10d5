import type { CycleReport, TableReport } from '../task/report.ts';
import { changedRows } from './follow-state.ts';
import { formatCount, formatDuration, plural } from './format.ts';
import { alignColumns, type Paint, printable } from './text.ts';

/** A finished cycle for people: one line, and the tables in which something happened. */
export const renderCycle = (report: CycleReport, paint: Paint): readonly string[] => [
  cycleLine(report, paint),
  ...tableLines(report).map((line) => `  ${line}`),
];

/** A finished cycle in one line. */
export function cycleLine(report: CycleReport, paint: Paint): string {
  const spent = formatDuration(Date.parse(report.finishedAt) - Date.parse(report.startedAt));
  const failed = report.tables.filter((table) => table.error !== undefined).length;
  const status =
    report.status === 'completed' ? paint('green', 'Cycle completed') : paint('red', `Cycle failed${failedOf(failed)}`);
  if (report.skipped !== undefined) return `${status} in ${spent}: skipped, ${printable(report.skipped)}`;
  return `${status} in ${spent}: ${plural(report.tables.length, 'table')}, ${countsOf(report)}.`;
}

/** What one or several rounds of a task that follows brought, in one line. */
export function roundLine(report: CycleReport): string {
  const touched = report.tables.filter(isWorthALine);
  const remarks = touched.filter((table) => remarkOf(table) !== '');
  const words = remarks.map((table) => `${printable(table.table)}: ${remarkOf(table)}`);
  return [`${plural(touched.length, 'table')}: ${countsOf(report)}`, ...words].join('; ');
}

const failedOf = (failed: number): string => (failed === 0 ? '' : ` for ${plural(failed, 'table')}`);

function countsOf(report: CycleReport): string {
  if (changedRows(report) === 0) return 'nothing changed';
  const sum = (key: 'inserted' | 'updated' | 'deleted') =>
    formatCount(report.tables.reduce((total, table) => total + table[key], 0));
  return `${sum('inserted')} inserted, ${sum('updated')} updated, ${sum('deleted')} deleted`;
}

function tableLines(report: CycleReport): readonly string[] {
  const rows = report.tables
    .filter(isWorthALine)
    .map((table) => [
      printable(table.table),
      formatCount(table.inserted),
      formatCount(table.updated),
      formatCount(table.deleted),
      remarkOf(table),
    ]);
  return rows.length === 0 ? [] : alignColumns([HEADINGS, ...rows], [1, 2, 3]);
}

const HEADINGS = ['table', 'inserted', 'updated', 'deleted', ''];

const isWorthALine = (table: TableReport): boolean =>
  table.inserted + table.updated + table.deleted > 0 || remarkOf(table) !== '';

function remarkOf({ schemaChange, repopulated, error }: TableReport): string {
  const schema = schemaChange === 'none' ? [] : [`table ${schemaChange}`];
  const isNews = repopulated !== undefined && schemaChange !== 'created';
  const whole = isNews ? [`copied whole: ${printable(repopulated)}`] : [];
  const failed = error === undefined ? [] : ['failed'];
  return [...schema, ...whole, ...failed].join('; ');
}
