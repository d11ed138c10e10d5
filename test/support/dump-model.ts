export type DumpOptions = {
  /** Schemas of a PostgreSQL database; default: all that are neither the system's nor Speil's. */
  readonly schemas?: readonly string[];
  /** Only these, as `name` (of the default schema) or `schema.name`; default: all that are not Speil's own. */
  readonly tables?: readonly string[];
};

/** A value as text: PostgreSQL's own output, or SQLite's storage class, a blank and the value. */
export type DumpedValue = string | null;

export type DumpedTable = {
  /** `name`, or `schema.name` outside of PostgreSQL's `public`. A SQLite table is called that itself. */
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rows: readonly (readonly DumpedValue[])[];
};

/** Every row of a database, read over a connection of its own in one snapshot, with no code of Speil in between. */
export type Dump = { readonly kind: 'postgres' | 'sqlite'; readonly tables: ReadonlyMap<string, DumpedTable> };

/** What Speil keeps for itself in a source or mirror. */
export const isOwnTable = (schema: string | null, name: string): boolean =>
  schema === 'speil' || name.startsWith('speil_') || name.endsWith('_mirroring');
