import type { VerifyProgress, VerifyReport } from '../verify.ts';
import { formatCount, plural } from './format.ts';
import { type Paint, printable } from './text.ts';

type TableVerdict = VerifyReport['tables'][number];

const KINDS: Readonly<Record<TableVerdict['differences'][number]['kind'], string>> = {
  missing: 'missing in the mirror',
  extra: 'not in the source',
  different: 'different',
};

/** What `verify` found, for people: a line for each table, the keys that differ, and the verdict. */
export const renderVerify = (report: VerifyReport, paint: Paint): readonly string[] => [
  ...report.tables.flatMap((table) => tableLines(table, paint)),
  verdict(report, paint),
];

function tableLines(table: TableVerdict, paint: Paint): readonly string[] {
  const name = printable(table.table);
  if (table.error !== undefined) return [`${name}: ${paint('red', 'could not be compared')}`];
  const at = table.lsn === null ? '' : ` at LSN ${table.lsn}`;
  const pending = table.pending === 0 ? '' : `, ${plural(table.pending, 'row')} changed since the last cycle left out`;
  const rows = `${plural(table.rows, 'row')}${at}${pending}`;
  if (table.differenceCount === 0) return [`${name}: ${paint('green', 'identical')}, ${rows}`];
  return [`${name}: ${paint('red', plural(table.differenceCount, 'difference'))}, ${rows}`, ...differenceLines(table)];
}

function differenceLines(table: TableVerdict): readonly string[] {
  const listed = table.differences.map(({ key, kind }) => `  ${printable(key)}  ${KINDS[kind]}`);
  const more = table.differenceCount - table.differences.length;
  const rest = more > 0 ? [`  and ${formatCount(more)} more`] : [];
  const repaired = table.repaired > 0 ? [`  ${plural(table.repaired, 'row')} repaired`] : [];
  const note = table.note === undefined ? [] : [`  ${table.note}`];
  return [...listed, ...rest, ...repaired, ...note];
}

function verdict(report: VerifyReport, paint: Paint): string {
  const count = (pick: (table: TableVerdict) => number) => report.tables.reduce((sum, table) => sum + pick(table), 0);
  const rows = `${plural(report.tables.length, 'table')}, ${plural(
    count((table) => table.rows),
    'row',
  )}`;
  const failed = count((table) => (table.error === undefined ? 0 : 1));
  const differences = count((table) => table.differenceCount);
  const repaired = count((table) => table.repaired);
  if (differences > 0) {
    const healed = repaired > 0 ? `, ${formatCount(repaired)} repaired` : '';
    const touched = formatCount(count((table) => (table.differenceCount > 0 ? 1 : 0)));
    return paint('red', `Different: ${plural(differences, 'row')} in ${touched} of ${rows}${healed}.`);
  }
  if (failed > 0) return paint('red', `Not proved: ${plural(failed, 'table')} could not be compared.`);
  return paint('green', `Identical: ${rows}.`);
}

export const describeVerify = ({ table, rows, ofRows }: VerifyProgress): string => {
  const total = Math.max(rows, ofRows);
  const percent = total === 0 ? 100 : Math.floor((rows / total) * 100);
  return `comparing ${printable(table)}: ${formatCount(rows)} of about ${plural(total, 'row')} (${percent} %)`;
};
