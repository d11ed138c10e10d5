import type { RowFormat } from './table.ts';

/** A piece of a first copy as the source hands it out: whole rows in the order of {@link CopyChunk.progress}. */
export type CopyChunk = {
  readonly rows: Uint8Array;
  readonly rowCount: number;
  /** Where the copy stands once these rows are stored; given back to resume. Opaque to all but the source. */
  readonly progress: string;
  /** True for the last one, which may be empty. */
  readonly done: boolean;
};

/**
 * A piece of a table's net changes: every key that changed at most once, in its final state. The first field of each
 * row is the operation, `U` (the row is now this; there or not) or `D` (there is no row with this key); in a `D` row the
 * columns that are not in the key are null. Then the columns of the schema in order.
 */
export type ChangeChunk = {
  readonly rows: Uint8Array;
  readonly rowCount: number;
  /** All rows of the mirror's table go before these are applied (TRUNCATE). Only ever true on the first chunk. */
  readonly truncateFirst: boolean;
  /** True for the last one, which may be empty. Only then does the position move. */
  readonly done: boolean;
};

export type RowBytes = { readonly rows: Uint8Array; readonly rowCount: number; readonly format: RowFormat };

/** Rows that an operation inserted, updated and deleted in a mirror's table. */
export type RowCounts = { readonly inserted: number; readonly updated: number; readonly deleted: number };

export const RowCounts = {
  none: { inserted: 0, updated: 0, deleted: 0 } as RowCounts,
  add: (a: RowCounts, b: RowCounts): RowCounts => ({
    inserted: a.inserted + b.inserted,
    updated: a.updated + b.updated,
    deleted: a.deleted + b.deleted,
  }),
};
