import type { MirrorPlan, PlannedTable } from '../client/plan.ts';
import { formatBytes, formatCount, plural } from './format.ts';
import { alignColumns, type Paint, printable } from './text.ts';

const WORK: Readonly<Record<PlannedTable['work'], string>> = {
  copy: 'copy',
  'resume-copy': 'resume the copy',
  'catch-up': 'catch up',
  rebuild: 'rebuild',
};

/** What a cycle would do, for people to read before they let it. */
export const renderPlan = (plan: MirrorPlan, paint: Paint): readonly string[] =>
  [
    [`${paint('bold', 'Plan')} (nothing was changed)`, `  source  ${plan.source}`, `  mirror  ${plan.mirror}`],
    section(paint, `${plural(plan.tables.length, 'table')}, ${totals(plan)}`, tableLines(plan)),
    section(paint, 'Missing privileges', missingLines(plan, paint)),
    section(paint, 'In the source', ddlLines(plan, 'sourceDdl')),
    section(paint, 'In the mirror', ddlLines(plan, 'mirrorDdl')),
    section(paint, 'Dropped from the mirror, gone from the source', plan.dropped.map(printable)),
    section(paint, 'Values that change form', listOf(plan, 'forms')),
    section(paint, 'Not mirrored', notMirrored(plan)),
    section(paint, 'Names that match no table', plan.unmatched.map(printable)),
    section(paint, 'Notes', [...plan.notes.map(printable), ...listOf(plan, 'notes')]),
  ].flat();

const section = (paint: Paint, title: string, lines: readonly string[]): readonly string[] =>
  lines.length === 0 ? [] : ['', paint('bold', title), ...lines.map((line) => (line === '' ? '' : `  ${line}`))];

const totals = ({ tables }: MirrorPlan): string => {
  const sum = (key: 'estimatedRows' | 'estimatedBytes') => tables.reduce((total, table) => total + table[key], 0);
  return `about ${plural(sum('estimatedRows'), 'row')}, ${formatBytes(sum('estimatedBytes'))}`;
};

function tableLines({ tables }: MirrorPlan): readonly string[] {
  const rows = tables.map((table) => [
    printable(table.table),
    formatCount(table.estimatedRows),
    formatBytes(table.estimatedBytes),
    WORK[table.work],
    table.key.length === 0 ? 'none' : table.key.map(printable).join(', '),
  ]);
  return rows.length === 0 ? ['none'] : alignColumns([['table', 'rows', 'size', 'work', 'key'], ...rows], [1, 2]);
}

const missingLines = ({ missing }: MirrorPlan, paint: Paint): readonly string[] =>
  missing.flatMap(({ where, what, grant, required }) => [
    `${where}: ${printable(what)} ${required ? paint('red', '(required)') : paint('dim', '(advised)')}`,
    `  type: ${printable(grant)}`,
  ]);

/** Statements as they can be pasted: of a table under its name, lines kept. */
function ddlLines({ tables }: MirrorPlan, side: 'sourceDdl' | 'mirrorDdl'): readonly string[] {
  const withDdl = tables.filter((table) => table[side].length > 0);
  return withDdl.flatMap((table) => [
    `-- ${printable(table.table)}`,
    ...table[side].flatMap((statement) => terminated(statement).split('\n').map(printable)),
  ]);
}

const terminated = (statement: string): string => `${statement.trim().replace(/;$/, '')};`;

const listOf = ({ tables }: MirrorPlan, key: 'forms' | 'notes'): readonly string[] =>
  tables.flatMap((table) => table[key].map((text) => `${printable(table.table)}: ${printable(text)}`));

const notMirrored = ({ excluded, skipped }: MirrorPlan): readonly string[] => [
  ...skipped.map((table) => `${printable(table)}: skipped as asked`),
  ...excluded.map(({ table, reason }) => `${printable(table)}: ${printable(reason)}`),
];
