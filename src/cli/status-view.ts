import type { MirrorStatus } from '../mirror.ts';
import { formatCount, plural } from './format.ts';
import { alignColumns, type Paint, printable } from './text.ts';

type TableStatus = MirrorStatus['tables'][number];

/** Where every table of a mirror stands, for people. */
export function renderStatus(status: MirrorStatus, paint: Paint): readonly string[] {
  const rows = status.tables.map((table) => [
    printable(table.table),
    stateOf(table),
    formatCount(table.rows),
    table.lsn ?? '-',
    table.completedAt ?? 'never',
  ]);
  const lines = alignColumns([['table', 'state', 'rows', 'LSN', 'last cycle'], ...rows], [2, 3]);
  return [
    `${paint('bold', status.mirror)} (tenant ${status.tenant})`,
    ...lines.map((line) => `  ${line}`),
    summary(status),
  ];
}

const stateOf = (table: TableStatus): string =>
  table.state === 'copying' ? `copying (${formatCount(table.copiedRows ?? 0)} rows so far)` : table.state;

function summary({ tables }: MirrorStatus): string {
  const upToDate = tables.filter((table) => table.state === 'up to date').length;
  const rows = tables.reduce((sum, table) => sum + table.rows, 0);
  const lineages = [...new Set(tables.flatMap((table) => table.lineage ?? []))];
  const last =
    tables
      .flatMap((table) => table.completedAt ?? [])
      .sort()
      .at(-1) ?? 'never';
  const from = lineages.length === 0 ? '' : ` Lineage ${lineages.join(', ')}.`;
  return `${upToDate} of ${plural(tables.length, 'table')} up to date, ${plural(rows, 'row')}. Last cycle: ${last}.${from}`;
}
