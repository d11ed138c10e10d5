import { BATCH_BYTES_DEFAULT, BATCH_BYTES_MAX, BATCH_BYTES_MIN } from '../core/limits.ts';
import { TableName } from '../core/table.ts';

/** What a tenant may set about its mirroring (SuperOffice's preference section `Mirroring`). */
export type Preferences = {
  readonly batchBytes: number;
  /** Names as typed; a table that matches is not mirrored and its mirror copy is dropped. */
  readonly skipTables: readonly string[];
  /** Names as typed; when not empty only these take part in the cycle and all others are left alone. */
  readonly onlyTables: readonly string[];
  /**
   * Names as typed; of the tables that are skipped these keep their mirror copy in this cycle, which only announces that
   * the next one drops it.
   */
  readonly announceOnly?: readonly string[];
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
  /** Skipped for the first time: not sent, and the mirror copy stays until the next cycle. */
  readonly announced: readonly TableName[];
  readonly leftAlone: readonly TableName[];
  /** Names of the lists that match no table. */
  readonly unmatched: readonly string[];
};

/** Sorts tables by the lists. A name matches `name` or `schema.name`; case and blanks do not matter. */
export function selectTables(tables: readonly TableName[], preferences: Preferences): Selection {
  const isSkipped = namedBy(preferences.skipTables);
  const isAnnounced = namedBy(preferences.announceOnly ?? []);
  const isChosen = namedBy(preferences.onlyTables);
  const skipped = tables.filter(isSkipped);
  const wanted = tables.filter((table) => !isSkipped(table));
  const mirrored = preferences.onlyTables.length === 0 ? wanted : wanted.filter(isChosen);
  const known = new Set(tables.flatMap(spellings));
  return {
    mirrored,
    skipped: skipped.filter((table) => !isAnnounced(table)),
    announced: skipped.filter(isAnnounced),
    leftAlone: wanted.filter((table) => !mirrored.includes(table)),
    unmatched: [...preferences.skipTables, ...preferences.onlyTables].filter((name) => !known.has(fold(name))),
  };
}

/** Whether a table is meant by one of these names, as typed. */
export function namedBy(names: readonly string[]): (table: TableName) => boolean {
  const folded = new Set(names.map(fold));
  return (table) => folded.size > 0 && spellings(table).some((name) => folded.has(name));
}

const fold = (name: string): string => name.toLowerCase().replace(/\s+/g, '');

const spellings = (table: TableName): readonly string[] => [
  fold(table.name),
  fold(TableName.toText(table)),
  fold(`${table.schema ?? 'public'}.${table.name}`),
];
