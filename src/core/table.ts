/**
 * A table as tasks name it. `schema` is null for the default schema (`public` of a PostgreSQL source; the only one of
 * SQLite); the mirror puts such a table into the default schema of its own login.
 */
export type TableName = { readonly schema: string | null; readonly name: string };

/** The schema of tables that have none in their name. */
export const DEFAULT_SCHEMA = 'public';

/**
 * Who wrote `declaredType` and `defaultExpression`, and with it how rows are encoded (see {@link RowFormat}). Of
 * `sqlserver` only mirrors know, whose rows come through SuperOffice's contract; its defaults are one literal, and its
 * `type` says how the mirror's column is declared.
 */
export type Dialect = 'postgres' | 'sqlite' | 'sqlserver';

/**
 * How the bytes of a batch are to be read. Both are lines of PostgreSQL's COPY text format (tab between fields, `\n`
 * after a row, `\N` for null, backslash escapes, UTF-8).
 * - `typed`: a field is the text form of its column's `type`, as PostgreSQL prints it under the fixed settings of
 *   `docs/types.md`.
 * - `tagged`: SQLite's values, whose type belongs to the value and not to the column. The first character says it:
 *   `i` integer (decimal), `r` real (shortest decimal that reads back the same, `Infinity`, `-Infinity`), `t` text,
 *   `b` blob (hex), `x` text that is not valid UTF-8 or holds a NUL (hex of its bytes).
 */
export type RowFormat = 'typed' | 'tagged';

export const rowFormatOf = (dialect: Dialect): RowFormat => (dialect === 'postgres' ? 'typed' : 'tagged');

/**
 * What rows hold that existed before the column was added: one value (canonical text, or null), or `unknown` when the
 * source cannot say (the table was rewritten, a volatile default), so that the column cannot be added in place.
 */
export type ColumnFill = { readonly kind: 'value'; readonly text: string | null } | { readonly kind: 'unknown' };

export type ColumnSchema = {
  readonly name: string;
  /** Number of the column in its table, kept when it is renamed; null where the source has none (SQLite). */
  readonly id: number | null;
  /** Canonical type: a name of PostgreSQL's own catalogue with its modifiers, as `format_type` spells it. */
  readonly type: string;
  /** The type in the source's own words: an enum's or domain's name, SQLite's declared type ('' when none). */
  readonly declaredType: string;
  readonly nullable: boolean;
  /** The default as SQL of `dialect`, only where it needs no object of the source; null for none. */
  readonly defaultExpression: string | null;
  /** The expression of a generated column. Its values are mirrored as plain values. */
  readonly generatedAs: string | null;
  readonly fill: ColumnFill;
};

export type TableSchema = {
  readonly table: TableName;
  readonly dialect: Dialect;
  readonly columns: readonly ColumnSchema[];
  /** Names of the columns that identify a row, in key order; empty for a table without a key. */
  readonly key: readonly string[];
  /**
   * Changes when change tracking of the table began anew: the table was dropped and made again under the same name, its
   * rows were rewritten without tracking seeing it, or tracking was off. Only equality means anything; '' in a survey
   * of a table that is not tracked.
   */
  readonly identity: string;
};

export const TableName = {
  /** The form for people, options and metadata: `name` or `schema.name`; parts with dots or quotes are quoted. */
  toText: ({ schema, name }: TableName): string => (schema === null ? part(name) : `${part(schema)}.${part(name)}`),
  equal: (a: TableName, b: TableName): boolean => a.schema === b.schema && a.name === b.name,
};

const part = (text: string): string => (/[."]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** The columns of the key, in key order. Throws when the key names a column that is not there. */
export function keyColumns(schema: TableSchema): readonly ColumnSchema[] {
  return schema.key.map((name) => {
    const column = schema.columns.find((candidate) => candidate.name === name);
    if (column === undefined)
      throw new Error(`key column ${name} is not a column of ${TableName.toText(schema.table)}`);
    return column;
  });
}
