import type { ColumnSchema, TableName, TableSchema } from '../../core/table.ts';
import type { TableSelection } from '../source-database.ts';
import type { PostgresConnection, Row } from './connection.ts';

/** The schema whose tables have no schema in their {@link TableName}. */
export const PUBLIC = 'public';
/** The schema that holds what Speil puts into a source. */
export const TRACKING_SCHEMA = 'speil';
/** The comment by which a metadata table of a mirror is known, so that a mirror can be a source too. */
export const METADATA_COMMENT = 'Speil: positions of the mirrored tables';

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
  readonly excluded: readonly { readonly table: TableName; readonly reason: string }[];
};

export const tableName = (schema: string, name: string): TableName => ({
  schema: schema === PUBLIC ? null : schema,
  name,
});

/** Reads all tables of the selected schemas. Columns come in a second query, both cheap for thousands of tables. */
export async function readCatalogue(connection: PostgresConnection, selection: TableSelection): Promise<Catalogue> {
  const schemas = selection.schemas === null ? null : [...selection.schemas];
  const relations = await connection.query<RelationRow>(RELATIONS_SQL, [schemas]);
  const columns = await connection.query<ColumnRow>(COLUMNS_SQL, [schemas]);
  const leaves = Map.groupBy(relations.filter(isLeaf), (row) => row.root_oid);
  const columnsOf = Map.groupBy(columns, (row) => row.table_oid);
  const roots = relations.filter((row) => !isLeaf(row));
  const tables = roots.filter((row) => reasonToExclude(row) === null);
  return {
    tables: tables.map((row) => toTable(row, columnsOf.get(row.oid) ?? [], leaves.get(row.oid) ?? [])),
    excluded: roots.flatMap((row) => {
      const reason = reasonToExclude(row);
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

/** Null: it is mirrored. Empty: not even worth a word. */
function reasonToExclude(row: RelationRow): string | null {
  if (row.is_metadata) return '';
  const kind = KIND_NAMES[row.kind];
  if (kind !== undefined) return `${kind} is not mirrored`;
  if (row.persistence === 't') return 'a temporary table is not mirrored';
  return row.of_extension ? 'it belongs to an extension' : null;
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

/** Visible schemas: those asked for, or all but the system's and ours. */
const SCHEMA_FILTER = `($1::text[] IS NULL OR n.nspname = ANY ($1::text[]))
    AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', '${TRACKING_SCHEMA}')`;

const DEFINITION = `(SELECT md5(string_agg(a.attnum || ':' || a.xmin || ':' || a.attisdropped, ',' ORDER BY a.attnum))
      FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0)`;

const RELATIONS_SQL = `
  SELECT c.oid::bigint::float8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
    c.relpersistence::text AS persistence,
    CASE WHEN c.relispartition THEN coalesce(pg_partition_root(c.oid), c.oid) ELSE c.oid END::bigint::float8 AS root_oid,
    EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS of_extension,
    coalesce(obj_description(c.oid, 'pg_class') = '${METADATA_COMMENT}', false) AS is_metadata,
    coalesce(pg_relation_filenode(c.oid), 0)::text AS filenode,
    CASE WHEN c.relkind IN ('r', 'p') THEN ${DEFINITION} ELSE '' END AS definition,
    CASE WHEN c.relkind = 'r' THEN coalesce(pg_table_size(c.oid), 0) ELSE 0 END::text AS bytes,
    c.reltuples::float8 AS rows,
    NOT c.relispartition AND c.relkind = 'r' AND EXISTS (
      SELECT FROM pg_inherits i WHERE i.inhparent = c.oid OR i.inhrelid = c.oid) AS in_hierarchy,
    EXISTS (SELECT FROM pg_subscription_rel s WHERE s.srrelid = c.oid) AS in_subscription
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND ${SCHEMA_FILTER}
  ORDER BY n.nspname, c.relname`;

/**
 * Types of the catalogue that cannot be read back as themselves elsewhere: they name objects of their own server by
 * number, or have no input function.
 */
const LOCAL_TYPES = `'regclass', 'regcollation', 'regconfig', 'regdictionary', 'regnamespace', 'regoper', 'regoperator',
  'regproc', 'regprocedure', 'regrole', 'regtype', 'aclitem', 'pg_node_tree', 'pg_ndistinct', 'pg_dependencies',
  'pg_mcv_list', 'pg_brin_bloom_summary', 'pg_brin_minmax_multi_summary', 'pg_ddl_command', 'gtsvector'`;

/**
 * Canonical types: a base, range or multirange type of pg_catalog is itself; a domain is its base (through domains over
 * domains); arrays likewise by their elements; everything else (enums, composites, extensions' types) is text.
 * The key is the primary key, or else the unique index with the fewest columns that is valid, total and not nullable.
 */
const COLUMNS_SQL = `
  WITH RECURSIVE base AS (
    SELECT t.oid AS type_oid, t.oid AS base_oid, -1 AS base_typmod, t.typtype
    FROM pg_type t
    UNION ALL
    SELECT b.type_oid, t.typbasetype, t.typtypmod, u.typtype
    FROM base b JOIN pg_type t ON t.oid = b.base_oid AND t.typtype = 'd' JOIN pg_type u ON u.oid = t.typbasetype
  ), plain AS (
    SELECT b.type_oid, b.base_oid, b.base_typmod, t.typnamespace = 'pg_catalog'::regnamespace
      AND t.typtype IN ('b', 'r', 'm') AND t.typname NOT IN (${LOCAL_TYPES}) AS portable, t.typelem, t.typcategory
    FROM base b JOIN pg_type t ON t.oid = b.base_oid WHERE b.typtype <> 'd'
  ), canonical AS (
    SELECT p.type_oid, p.base_oid, p.base_typmod,
      CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 AND e.portable AND e.base_oid = t.typelem AND p.portable THEN 'itself'
        WHEN t.typcategory = 'A' AND t.typelem <> 0 AND e.portable THEN 'array of base'
        WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN 'array of text'
        WHEN p.portable THEN 'itself' ELSE 'text' END AS form,
      e.base_oid AS element_oid, e.base_typmod AS element_typmod
    FROM plain p JOIN pg_type t ON t.oid = p.base_oid LEFT JOIN plain e ON e.type_oid = t.typelem
  ), keys AS (
    SELECT DISTINCT ON (i.indrelid) i.indrelid, i.indkey::int2[] AS columns, i.indnkeyatts
    FROM pg_index i
    WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
      AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid
        AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) AND NOT a.attnotnull)
    ORDER BY i.indrelid, i.indisprimary DESC, i.indnkeyatts, i.indexrelid
  )
  SELECT c.oid::bigint::float8 AS table_oid, a.attnum::int AS id, a.attname AS name,
    a.atttypid::bigint::float8 AS type_oid, a.atttypmod AS type_modifier, format_type(a.atttypid, a.atttypmod) AS declared_type,
    CASE k.form
      WHEN 'itself' THEN format_type(k.base_oid, CASE WHEN k.base_oid = a.atttypid THEN a.atttypmod ELSE k.base_typmod END)
      WHEN 'array of base' THEN format_type(k.element_oid, k.element_typmod) || '[]'
      WHEN 'array of text' THEN 'text[]' ELSE 'text' END AS canonical_type,
    k.base_oid <> a.atttypid AS is_domain,
    a.attnotnull AS not_null,
    CASE WHEN a.attgenerated = '' AND NOT EXISTS (
        SELECT FROM pg_depend x WHERE x.classid = 'pg_attrdef'::regclass AND x.objid = d.oid AND x.refobjid >= 16384
          AND NOT (x.refclassid = 'pg_class'::regclass AND x.refobjid = c.oid))
      THEN pg_get_expr(d.adbin, d.adrelid) END AS default_expression,
    CASE WHEN a.attgenerated <> '' THEN a.attgenerated::text || ':' || pg_get_expr(d.adbin, d.adrelid) END AS generated_as,
    a.atthasmissing AS has_missing,
    CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END AS missing,
    array_position((x.columns)[0:x.indnkeyatts - 1], a.attnum) AS key_position,
    CASE WHEN a.attcollation <> 0 AND a.attcollation <> 'pg_catalog."default"'::regcollation
      THEN quote_ident(cn.nspname) || '.' || quote_ident(l.collname) END AS collation,
    coalesce(l.collisdeterministic, true) AS deterministic
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN canonical k ON k.type_oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    LEFT JOIN keys x ON x.indrelid = c.oid
    LEFT JOIN pg_collation l ON l.oid = a.attcollation LEFT JOIN pg_namespace cn ON cn.oid = l.collnamespace
  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND ${SCHEMA_FILTER}
  ORDER BY c.oid, a.attnum`;
