import { BATCH_BYTES_DEFAULT, BATCH_BYTES_MAX, BATCH_BYTES_MIN } from '../core/limits.ts';
import { TableName } from '../core/table.ts';

/** What a tenant may set about its mirroring (SuperOffice's preference section `Mirroring`). */
export type Preferences = {
  readonly batchBytes: number;
  /** Names as typed; a table that matches is not mirrored and its mirror copy is dropped. */
  readonly skipTables: readonly string[];
  /** Names as typed; when not empty only these take part in the cycle and all others are left alone. */
  readonly onlyTables: readonly string[];
};

export const PREFERENCES_DEFAULT: Preferences = { batchBytes: BATCH_BYTES_DEFAULT, skipTables: [], onlyTables: [] };

/** Splits `a, b,c`; blanks around names do not matter. */
export const parseTableList = (text: string): readonly string[] =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');

/** True for whole numbers that a batch may have as its size in bytes. */
export const isBatchBytes = (value: number): boolean =>
  Number.isInteger(value) && value >= BATCH_BYTES_MIN && value <= BATCH_BYTES_MAX;

export type Selection = {
  readonly mirrored: readonly TableName[];
  readonly skipped: readonly TableName[];
  readonly leftAlone: readonly TableName[];
  /** Names of the lists that match no table. */
  readonly unmatched: readonly string[];
};

/** Sorts tables by the lists. A name matches `name` or `schema.name`; case and blanks do not matter. */
export function selectTables(tables: readonly TableName[], preferences: Preferences): Selection {
  const skip = new Set(preferences.skipTables.map(fold));
  const only = new Set(preferences.onlyTables.map(fold));
  const isIn = (names: ReadonlySet<string>, table: TableName) => spellings(table).some((name) => names.has(name));
  const skipped = tables.filter((table) => isIn(skip, table));
  const wanted = tables.filter((table) => !isIn(skip, table));
  const mirrored = only.size === 0 ? wanted : wanted.filter((table) => isIn(only, table));
  const known = new Set(tables.flatMap(spellings));
  return {
    mirrored,
    skipped,
    leftAlone: wanted.filter((table) => !mirrored.includes(table)),
    unmatched: [...preferences.skipTables, ...preferences.onlyTables].filter((name) => !known.has(fold(name))),
  };
}

const fold = (name: string): string => name.toLowerCase().replace(/\s+/g, '');

const spellings = (table: TableName): readonly string[] => [
  fold(table.name),
  fold(TableName.toText(table)),
  fold(`${table.schema ?? 'public'}.${table.name}`),
];
