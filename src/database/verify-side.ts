import type { SourcePosition } from '../core/position.ts';
import { type ColumnSchema, keyColumns, type TableSchema } from '../core/table.ts';
import type { BucketSet, BucketSums, RowHash } from './verify-sums.ts';

/**
 * A row as far as `verify` compares it. `key` are the fields of the key as they stand in row text, tabs between them;
 * without a key it is the beginning of the row, for people.
 */
export type RowDigest = { readonly key: string; readonly bucket: number; readonly hash: RowHash };

/** One side's rows of a table, in one snapshot. The other side's rows are put into buckets and hashed in the same way. */
export interface VerifiedRows {
  /** All rows. `onRows` is told how many more have been read. */
  sums(buckets: number, onRows: (rows: number) => void): Promise<BucketSums>;
  /** The rows of the buckets wanted, in pieces. */
  digests(wanted: BucketSet): AsyncIterable<readonly RowDigest[]>;
  /** The rows with these keys, each once; keys that are not there give none. At most {@link KEYS_AT_ONCE} keys. */
  find(keys: readonly string[], buckets: number): Promise<readonly RowDigest[]>;
}

/**
 * Rows as lines of row text in a form that both sides share: the fields of the key first, in key order, then the others
 * in the order of the schema. Equal lines are equal rows.
 */
export interface RowLines {
  all(): AsyncIterable<readonly string[]>;
  /** The rows with these keys, each once; at most {@link KEYS_AT_ONCE} keys. */
  find(keys: readonly string[]): Promise<readonly string[]>;
}

/** Keys that are looked up in one go. */
export const KEYS_AT_ONCE = 1_000;

/** What the mirror holds of a table and is held against the source. */
export type HeldTable = {
  readonly schema: TableSchema;
  readonly schemaHash: string;
  readonly position: SourcePosition;
};

/** What changed in the source since the mirror's position: nothing, some keys, or no one knows which rows. */
export type ChangedSince = 'nothing' | 'keys' | 'whole';

/** The columns of a table in the order in which both sides read them: those of the key first. */
export function keyFirst(schema: TableSchema): readonly ColumnSchema[] {
  const key = keyColumns(schema);
  return [...key, ...schema.columns.filter((column) => !key.includes(column))];
}

/** How the fields of a column of SQLite (format `tagged`) and the text that stands for them in lines belong together. */
export type FieldForm = {
  /** The field as it stands in a line, escaped. A value that the other side cannot hold begins with {@link MISFIT}. */
  toLine(field: string): string;
  /** The fields that can be this text, the likeliest first; `text` is not escaped. */
  toFields(text: string): readonly string[];
};

/** Begins a field that is equal to no value of the other side: row text never escapes anything in this way. */
export const MISFIT = '\\!';
