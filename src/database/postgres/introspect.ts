import { SpeilError } from '../../core/error.ts';
import type { ColumnSchema, TableName, TableSchema } from '../../core/table.ts';
import type { TableSelection } from '../source-database.ts';
import { COLUMNS_SQL, RELATIONS_SQL, TRACKING_SCHEMA } from './catalogue-sql.ts';
import type { PostgresConnection, Row } from './connection.ts';

/** The schema whose tables have no schema in their {@link TableName}. */
export const PUBLIC = 'public';

/** A table, or a partition at any level. */
export type StoredRelation = {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** File of the heap; changes when the relation is rewritten or truncated. */
  readonly filenode: string;
  /** Changes whenever a column's catalogue row does. */
  readonly definition: string;
  readonly unlogged: boolean;
};

/** How changes of a table are seen. Row triggers where statement triggers would see too much or nothing. */
export type TrackingMode = 'statement' | 'row';

export type KeyColumn = {
  readonly name: string;
  /** Type of the column in the side table, with its collation. */
  readonly sideType: string;
  /** The key is compared as text: its type's equality is not equality of its text (enum, nondeterministic collation). */
  readonly asText: boolean;
  /** Values that are equal can have different texts (`1.0` and `1.00`), so a change may alter the text alone. */
  readonly respellable: boolean;
  /** What the catalogue says of the column's type; the trigger stops tracking, not the writer, when it changes. */
  readonly typeOid: number;
  readonly typeModifier: number;
};

export type PostgresTable = {
  readonly oid: number;
  readonly schema: TableSchema;
  readonly sourceSchema: string;
  readonly partitioned: boolean;
  /** The table itself, or the leaves of a partitioned one: where the rows are. */
  readonly stores: readonly StoredRelation[];
  /** Every relation that a statement can name to write these rows: the table, its partitions and theirs. */
  readonly writable: readonly StoredRelation[];
  readonly key: readonly KeyColumn[];
  readonly mode: TrackingMode;
  readonly estimatedRows: number;
  readonly estimatedBytes: number;
  readonly notes: readonly string[];
};

export type Catalogue = {
  readonly tables: readonly PostgresTable[];
  /** Those of them that another session holds exclusively: their sizes and defaults could not be read. */
  readonly locked: readonly PostgresTable[];
  readonly excluded: readonly { readonly table: TableName; readonly reason: string }[];
};

export const tableName = (schema: string, name: string): TableName => ({
  schema: schema === PUBLIC ? null : schema,
  name,
});

/** Reads all tables of the selected schemas. */
export const readCatalogue = (connection: PostgresConnection, selection: TableSelection): Promise<Catalogue> =>
  new CatalogueReader().read(connection, selection);

/**
 * Reads the catalogue again and again. The query on columns is the expensive one; it is left out while the relations
 * look as they did: every change of a column or key shows in `definition` or `keys`.
 */
export class CatalogueReader {
  #columns: readonly ColumnRow[] = [];
  #fingerprint = '';
  #sizes: ReadonlyMap<number, string> = new Map();

  /** A relation that another session holds exclusively is left out of what has to look into it. */
  async read(connection: PostgresConnection, { schemas }: TableSelection): Promise<Catalogue> {
    const names = schemas === null ? null : [...schemas];
    try {
      return await this.#read(connection, names, []);
    } catch (error) {
      if (!(error instanceof SpeilError) || error.code !== 'LOCK_TIMEOUT') throw error;
    }
    const locked = await connection.query<{ oid: number }>(LOCKED_SQL);
    const catalogue = await this.#read(
      connection,
      names,
      locked.map((row) => row.oid),
    );
    this.#fingerprint = '';
    return catalogue;
  }

  async #read(
    connection: PostgresConnection,
    names: readonly string[] | null,
    locked: readonly number[],
  ): Promise<Catalogue> {
    const isFirst = this.#fingerprint === '';
    const relations = await connection.query<RelationRow>(RELATIONS_SQL, [names, isFirst, locked]);
    if (isFirst) this.#sizes = new Map(relations.map((row) => [row.oid, row.bytes]));
    const fingerprint = JSON.stringify([names, relations.map(essence)]);
    if (fingerprint !== this.#fingerprint) {
      this.#columns = await connection.query<ColumnRow>(COLUMNS_SQL, [names, locked]);
    }
    this.#fingerprint = fingerprint;
    const sized = relations.map((row) =>
      row.bytes === '0' ? { ...row, bytes: this.#sizes.get(row.oid) ?? '0' } : row,
    );
    return toCatalogue(sized, this.#columns, new Set(locked));
  }
}

/** What columns and keys can depend on. */
const essence = (row: RelationRow): readonly unknown[] => [
  row.oid,
  row.schema,
  row.name,
  row.root_oid,
  row.definition,
  row.keys,
];

/** Tables that are held, or waited for, so that nobody else can look into them. */
const LOCKED_SQL = `
  SELECT relation::bigint::float8 AS oid FROM pg_locks
  WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

function toCatalogue(
  relations: readonly RelationRow[],
  columns: readonly ColumnRow[],
  locked: ReadonlySet<number>,
): Catalogue {
  const leaves = Map.groupBy(relations.filter(isLeaf), (row) => row.root_oid);
  const columnsOf = Map.groupBy(columns, (row) => row.table_oid);
  const roots = relations.filter((row) => !isLeaf(row));
  const reasonOf = (row: RelationRow) => reasonToExclude(row, columnsOf.has(row.oid));
  const tables = roots.filter((row) => reasonOf(row) === null);
  const made = tables.map((row) => toTable(row, columnsOf.get(row.oid) ?? [], leaves.get(row.oid) ?? []));
  return {
    tables: made,
    locked: made.filter((table) => table.writable.some(({ oid }) => locked.has(oid))),
    excluded: roots.flatMap((row) => {
      const reason = reasonOf(row);
      return reason === null || reason === '' ? [] : [{ table: tableName(row.schema, row.name), reason }];
    }),
  };
}

type RelationRow = Row & {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  readonly persistence: string;
  readonly root_oid: number;
  readonly of_extension: boolean;
  readonly is_metadata: boolean;
  readonly filenode: string;
  readonly definition: string;
  readonly keys: string | null;
  readonly bytes: string;
  readonly rows: number;
  readonly in_hierarchy: boolean;
  readonly in_subscription: boolean;
};

type ColumnRow = Row & {
  readonly table_oid: number;
  readonly id: number;
  readonly name: string;
  readonly type_oid: number;
  readonly type_modifier: number;
  readonly declared_type: string;
  readonly canonical_type: string;
  readonly is_domain: boolean;
  readonly not_null: boolean;
  readonly default_expression: string | null;
  readonly generated_as: string | null;
  readonly has_missing: boolean;
  readonly missing: string | null;
  readonly key_position: number | null;
  readonly collation: string | null;
  readonly deterministic: boolean;
};

const isLeaf = (row: RelationRow): boolean => row.root_oid !== row.oid;

const KIND_NAMES: Readonly<Record<string, string>> = { v: 'a view', m: 'a materialized view', f: 'a foreign table' };

/** Tables in which a mirror collects a copy, where a mirror is a source too. */
const SHADOW_PREFIX = 'speil_shadow_';

/** Null: it is mirrored. Empty: not even worth a word. */
function reasonToExclude(row: RelationRow, hasColumns: boolean): string | null {
  if (row.is_metadata || row.name.startsWith(SHADOW_PREFIX)) return '';
  if (row.schema === TRACKING_SCHEMA) return `the schema ${TRACKING_SCHEMA} is kept for change tracking`;
  const kind = KIND_NAMES[row.kind];
  if (kind !== undefined) return `${kind} is not mirrored`;
  if (row.persistence === 't') return 'a temporary table is not mirrored';
  if (row.of_extension) return 'it belongs to an extension';
  return hasColumns ? null : 'it has no columns';
}

function toTable(row: RelationRow, columns: readonly ColumnRow[], leaves: readonly RelationRow[]): PostgresTable {
  const partitioned = row.kind === 'p';
  const stored = partitioned ? leaves.filter((leaf) => leaf.kind === 'r') : [row];
  const keyRows = columns
    .filter((column) => column.key_position !== null)
    .toSorted((a, b) => (a.key_position ?? 0) - (b.key_position ?? 0));
  return {
    oid: row.oid,
    schema: {
      table: tableName(row.schema, row.name),
      dialect: 'postgres',
      columns: columns.map(toColumn),
      key: keyRows.map((column) => column.name),
      identity: '',
    },
    sourceSchema: row.schema,
    partitioned,
    stores: stored.map(toRelation),
    writable: [row, ...leaves].map(toRelation),
    key: keyRows.map(toKeyColumn),
    mode: row.in_hierarchy || row.in_subscription || stored.some((leaf) => leaf.in_subscription) ? 'row' : 'statement',
    estimatedRows: sum(stored.map(estimateRows)),
    estimatedBytes: sum(stored.map((relation) => Number(relation.bytes))),
    notes: tableNotes(row, keyRows, stored),
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** A table that was never analysed has no estimate; 100 bytes a row is what narrow tables have. */
const estimateRows = (row: RelationRow): number =>
  row.rows > 0 || Number(row.bytes) === 0 ? Math.max(0, row.rows) : Math.ceil(Number(row.bytes) / 100);

const toRelation = (row: RelationRow): StoredRelation => ({
  oid: row.oid,
  schema: row.schema,
  name: row.name,
  filenode: row.filenode,
  definition: row.definition,
  unlogged: row.persistence === 'u',
});

const toColumn = (row: ColumnRow): ColumnSchema => ({
  name: row.name,
  id: row.id,
  type: row.canonical_type,
  declaredType: row.declared_type,
  nullable: !row.not_null,
  defaultExpression: row.generated_as === null ? row.default_expression : null,
  generatedAs: row.generated_as,
  fill: row.generated_as === null ? { kind: 'value', text: row.missing } : { kind: 'unknown' },
});

function toKeyColumn(row: ColumnRow): KeyColumn {
  const asText = !row.deterministic || row.canonical_type !== baseSpelling(row);
  const collation = row.collation === null ? '' : ` COLLATE ${row.collation}`;
  const type = { typeOid: row.type_oid, typeModifier: row.type_modifier };
  return {
    name: row.name,
    asText,
    respellable: !asText && RESPELLABLE.test(row.canonical_type),
    ...type,
    sideType: asText ? 'text COLLATE "C"' : `${row.canonical_type}${collation}`,
  };
}

const RESPELLABLE =
  /^(?:(?:numeric|interval.*|bpchar|jsonb)(?:\[\])?|(?:real|double precision)\[\]|num(?:multi)?range(?:\[\])?)$/;

/** Domains compare as their base type does; every other type that is mirrored as text compares in its own way. */
const baseSpelling = (row: ColumnRow): string =>
  row.is_domain && row.canonical_type !== 'text' ? row.canonical_type : row.declared_type;

function tableNotes(row: RelationRow, key: readonly ColumnRow[], stored: readonly RelationRow[]): readonly string[] {
  const notes: string[] = [];
  if (key.length === 0) notes.push('no key: the table is copied whole in every cycle in which it changed');
  if (row.in_hierarchy) notes.push('inheritance: only the rows of the table itself, tracked row by row');
  if (row.in_subscription) notes.push('filled by a subscription: tracked row by row');
  if (stored.some((relation) => relation.persistence === 'u')) notes.push('unlogged: a crash of the source empties it');
  return notes;
}
