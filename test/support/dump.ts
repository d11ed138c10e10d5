import assert from 'node:assert/strict';
import { postgresAsSqlite, samePostgresForm, sqliteAsPostgres } from './dump-canonical.ts';
import type { Dump, DumpedTable, DumpedValue, DumpOptions } from './dump-model.ts';
import { dumpPostgres } from './dump-postgres.ts';
import { dumpSqlite } from './dump-sqlite.ts';

/** `location` as the command line takes it: `postgres://…`, `sqlite:<path>` or a path. */
export function dumpDatabase(location: string, options: DumpOptions = {}): Promise<Dump> {
  if (/^postgres(ql)?:/.test(location)) return dumpPostgres(location, options);
  return Promise.resolve(dumpSqlite(location.replace(/^sqlite:/, ''), options));
}

export type CompareOptions = DumpOptions & {
  /** Tables of the mirror that the source does not have are no difference (the mirror's owner made them). */
  readonly allowExtraTables?: boolean;
};

/** Fails, and says with which rows, unless the mirror holds exactly what its source holds, in the documented form. */
export async function assertSameRows(source: string, mirror: string, options: CompareOptions = {}): Promise<void> {
  const mirrorOptions = options.tables === undefined ? {} : { tables: options.tables };
  const [original, copy] = await Promise.all([dumpDatabase(source, options), dumpDatabase(mirror, mirrorOptions)]);
  assertSameDump(original, copy, options);
}

export function assertSameDump(source: Dump, mirror: Dump, { allowExtraTables = false }: CompareOptions = {}): void {
  const differences = differencesOf(source, mirror, allowExtraTables);
  if (differences.length > 0) assert.fail(`the mirror differs from its source\n${differences.join('\n')}`);
}

/** One text a table that differs; empty when none does. */
export function differencesOf(source: Dump, mirror: Dump, allowExtraTables = false): readonly string[] {
  const missing = [...source.tables.keys()].filter((name) => !mirror.tables.has(name));
  const extra = [...mirror.tables.keys()].filter((name) => !source.tables.has(name));
  return [
    ...missing.map((name) => `${name}: not in the mirror`),
    ...(allowExtraTables ? [] : extra.map((name) => `${name}: only in the mirror`)),
    ...[...source.tables.values()].flatMap((table) => {
      const copy = mirror.tables.get(table.name);
      return copy === undefined ? [] : tableDifference(source.kind, table, mirror.kind, copy);
    }),
  ];
}

function tableDifference(
  from: Dump['kind'],
  table: DumpedTable,
  to: Dump['kind'],
  copy: DumpedTable,
): readonly string[] {
  const [names, copyNames] = [table, copy].map(({ columns }) => columns.map(({ name }) => name).sort());
  if (String(names) !== String(copyNames)) return [`${table.name}: columns ${names} became ${copyNames}`];
  const expected = lines(table, names ?? [], (value, name) =>
    convert(value, from, typeOf(table, name), to, typeOf(copy, name)),
  );
  const actual = lines(copy, names ?? [], (value, name) =>
    from === to ? value : asComparable(value, to, typeOf(copy, name)),
  );
  return rowDifference(table.name, expected, actual);
}

const typeOf = (table: DumpedTable, name: string): string =>
  table.columns.find((column) => column.name === name)?.type ?? '';

function convert(
  value: DumpedValue,
  from: Dump['kind'],
  type: string,
  to: Dump['kind'],
  mirrorType: string,
): DumpedValue {
  if (value === null || from === to) return value;
  return to === 'sqlite' ? postgresAsSqlite(value, type) : sqliteAsPostgres(value, type, mirrorType);
}

const asComparable = (value: DumpedValue, kind: Dump['kind'], type: string): DumpedValue =>
  value === null || kind === 'sqlite' ? value : samePostgresForm(value, type);

/** Rows as sorted lines of JSON, columns by name: the mirror may hold its columns in another order. */
function lines(
  table: DumpedTable,
  names: readonly string[],
  form: (value: DumpedValue, name: string) => DumpedValue,
): readonly string[] {
  const places = names.map((name) => ({ name, at: table.columns.findIndex((column) => column.name === name) }));
  const line = (row: readonly DumpedValue[]) =>
    JSON.stringify(Object.fromEntries(places.map(({ name, at }) => [name, form(row[at] ?? null, name)])));
  return table.rows.map(line).sort();
}

const SHOWN = 5;

function rowDifference(name: string, expected: readonly string[], actual: readonly string[]): readonly string[] {
  const [lost, surplus] = [without(expected, actual), without(actual, expected)];
  if (lost.length + surplus.length === 0) return [];
  const counts = `${expected.length} rows in the source, ${actual.length} in the mirror`;
  return [
    `${name}: ${lost.length} rows are missing and ${surplus.length} should not be there (${counts})`,
    ...lost.slice(0, SHOWN).map((row) => `  - ${row}`),
    ...surplus.slice(0, SHOWN).map((row) => `  + ${row}`),
  ];
}

/** Those of the sorted `lines` that the sorted `others` lack, each as often as it is lacking. */
function without(lines: readonly string[], others: readonly string[]): readonly string[] {
  let at = 0;
  return lines.filter((line) => {
    while (at < others.length && (others[at] ?? '') < line) at++;
    if (others[at] !== line) return true;
    at++;
    return false;
  });
}
