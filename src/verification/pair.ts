import type { RowBytes } from '../core/row-batch.ts';
import { rowFormatOf, type TableSchema } from '../core/table.ts';
import { keepsKindsApart } from '../database/postgres/tagged-rows.ts';
import type { PostgresMirrorTable, PostgresVerifyMirror } from '../database/postgres/verify-mirror.ts';
import { HashedRows, PostgresLines } from '../database/postgres/verify-rows.ts';
import type { PostgresSourceTable, PostgresVerifySource } from '../database/postgres/verify-source.ts';
import { type Fields, RowEncoder, unescapeField } from '../database/row-text.ts';
import type { SqliteMirrorTable, SqliteVerifyMirror } from '../database/sqlite/verify-mirror.ts';
import type { SqliteSourceTable, SqliteVerifySource } from '../database/sqlite/verify-source.ts';
import { type FieldForm, keyFirst, MISFIT, type VerifiedRows } from '../database/verify-side.ts';
import { EXACT, formOfTagged, formOfTyped, postgresNormalizer } from './forms.ts';
import { StreamedRows } from './streamed-rows.ts';

export type VerifySource = PostgresVerifySource | SqliteVerifySource;
export type VerifyMirror = PostgresVerifyMirror | SqliteVerifyMirror;
export type SourceTable = PostgresSourceTable | SqliteSourceTable;
export type MirrorTable = PostgresMirrorTable | SqliteMirrorTable;

/** Both sides of a table, read such that equal rows give equal hashes. */
export type TablePair = {
  readonly source: VerifiedRows;
  readonly mirror: VerifiedRows;
  /** The keys that changed in the source since the mirror's position. */
  changedKeys(): AsyncIterable<readonly string[]>;
  /** The source's rows with these keys, for the mirror to apply. */
  upserts(keys: readonly string[]): AsyncIterable<RowBytes>;
  /** The removal of the rows with these keys, for the mirror to apply. */
  deletes(keys: readonly string[]): RowBytes;
  /** A key for people. */
  display(key: string): string;
};

type Sides<S, M> = {
  readonly source: S;
  readonly mirror: M;
  readonly schema: TableSchema;
  readonly signal: AbortSignal;
};

/** `sameHashes`: two PostgreSQL servers hash alike, so that the rows need not leave them. */
export function pairOf(sides: Sides<SourceTable, MirrorTable>, sameHashes: boolean): TablePair {
  const { source, mirror, schema, signal } = sides;
  if (source.kind === 'postgres') {
    return mirror.kind === 'postgres'
      ? betweenPostgres({ source, mirror, schema, signal }, sameHashes)
      : intoSqlite({ source, mirror, schema, signal });
  }
  const forms = keyFirst(schema).map((column) => {
    const { name, type } = column;
    if (mirror.kind !== 'postgres') return EXACT;
    return formOfTagged(mirror.types.get(name) ?? type, type, keepsKindsApart(column, schema));
  });
  return outOfSqlite({ source, mirror, schema, signal }, forms);
}

function betweenPostgres(
  { source, mirror, schema, signal }: Sides<PostgresSourceTable, PostgresMirrorTable>,
  sameHashes: boolean,
): TablePair {
  const asTheyAre = keyFirst(schema).map(() => null);
  const rows = sameHashes
    ? { source: new HashedRows(source.rows), mirror: new HashedRows(mirror.rows) }
    : streamed({
        source: new PostgresLines(source.rows, asTheyAre),
        mirror: new PostgresLines(mirror.rows, asTheyAre),
        schema,
        signal,
      });
  return {
    ...rows,
    ...keysOf(schema, []),
    changedKeys: () => source.changedKeys(asTheyAre),
    upserts: (keys) => source.rowsOf(keys),
  };
}

function intoSqlite({ source, mirror, schema, signal }: Sides<PostgresSourceTable, SqliteMirrorTable>): TablePair {
  const columns = keyFirst(schema);
  const normalizers = columns.map(({ type }) => postgresNormalizer(type));
  const forms = columns.map(({ type }) => formOfTyped(type));
  return {
    ...streamed({ source: new PostgresLines(source.rows, normalizers), mirror: mirror.lines(forms), schema, signal }),
    ...keysOf(schema, []),
    changedKeys: () => source.changedKeys(normalizers),
    upserts: (keys) => source.rowsOf(keys),
  };
}

function outOfSqlite(
  { source, mirror, schema, signal }: Sides<SqliteSourceTable, MirrorTable>,
  forms: readonly FieldForm[],
): TablePair {
  const lines =
    mirror.kind === 'sqlite'
      ? mirror.lines(forms)
      : new PostgresLines(
          mirror.rows,
          mirror.rows.columns.map(({ type }) => postgresNormalizer(type)),
        );
  return {
    ...streamed({ source: source.lines(forms), mirror: lines, schema, signal }),
    ...keysOf(schema, forms),
    changedKeys: () => source.changedKeys(forms),
    upserts: (keys) => source.rowsOf(keys, forms),
  };
}

type Streams = Sides<ConstructorParameters<typeof StreamedRows>[0], ConstructorParameters<typeof StreamedRows>[0]>;

const streamed = ({ source, mirror, schema, signal }: Streams) => ({
  source: new StreamedRows(source, schema.key.length, signal),
  mirror: new StreamedRows(mirror, schema.key.length, signal),
});

/** `forms`: how texts become fields of the source's format again; empty where they are that already. */
const keysOf = (schema: TableSchema, forms: readonly FieldForm[]): Pick<TablePair, 'deletes' | 'display'> => ({
  deletes: (keys) => deletesOf(schema, keys, forms),
  display: (key) => displayOf(key, schema, forms.includes(EXACT)),
});

function deletesOf(schema: TableSchema, keys: readonly string[], forms: readonly FieldForm[]): RowBytes {
  const encoder = new RowEncoder(Number.POSITIVE_INFINITY);
  const places = keyFirst(schema)
    .slice(0, schema.key.length)
    .map((column) => schema.columns.indexOf(column));
  for (const key of keys) {
    const texts = key.split('\t');
    if (texts.some((text) => text === '\\N' || text.startsWith(MISFIT))) continue;
    const fields = texts.map((text, index) => fieldOf(text, forms[index]));
    const row: Fields = schema.columns.map((_, at) => fields[places.indexOf(at)] ?? null);
    encoder.add(['D', ...row]);
  }
  return { ...encoder.take(), format: rowFormatOf(schema.dialect) };
}

function fieldOf(text: string, form: FieldForm | undefined): string | null {
  const plain = unescapeField(text);
  return plain === null || form === undefined ? plain : (form.toFields(plain)[0] ?? null);
}

/** Values with commas between them; of SQLite's values without the tag that says their storage class. */
function displayOf(key: string, schema: TableSchema, tagged: boolean): string {
  const values = key.split('\t').map((field) => unescapeField(field) ?? 'null');
  const shown = tagged
    ? values.map((value) => (/^[bx]/.test(value) ? `x'${value.slice(1)}'` : value === 'null' ? value : value.slice(1)))
    : values;
  return schema.key.length === 1 ? (shown[0] ?? '') : `(${shown.join(', ')})`;
}
