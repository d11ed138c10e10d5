import { SpeilError } from '../../core/error.ts';
import { Lsn } from '../../core/lsn.ts';
import { distinctHistories, type SourcePosition } from '../../core/position.ts';
import { TableName, type TableSchema } from '../../core/table.ts';
import type { MirroredTable, PendingCopy } from '../mirror-database.ts';
import { METADATA_COMMENT } from './catalogue-sql.ts';
import type { PostgresConnection, Row } from './connection.ts';
import { ident, literal, literalOrNull } from './sql.ts';

/** LSN of a table that is to be copied: what SuperOffice's operators set by hand. */
const NO_LSN = -1n;

/** Columns that an operator reads come first; the rest is Speil's own. */
const metadataDdl = (table: string): readonly string[] => [
  `CREATE TABLE IF NOT EXISTS ${table} (
    table_name text PRIMARY KEY, schema_hash text NOT NULL, lsn bigint NOT NULL DEFAULT -1, rows bigint NOT NULL DEFAULT 0,
    completed_at timestamptz, lineage text, bookmark text, token text, "schema" text NOT NULL, copy text,
    widened text NOT NULL DEFAULT '{}', nullable_pending text NOT NULL DEFAULT '[]')`,
  `COMMENT ON TABLE ${table} IS ${literal(METADATA_COMMENT)}`,
];

type MetadataRow = Row & {
  readonly schema_hash: string;
  readonly lsn: string;
  readonly rows: string;
  readonly completed_at: string | null;
  readonly lineage: string | null;
  readonly bookmark: string | null;
  readonly token: string | null;
  readonly schema: string;
  readonly copy: string | null;
  readonly widened: string;
  readonly nullable_pending: string;
};

/** Which rows to read. Rows that are named are locked until the transaction ends. */
export type MetadataChoice = 'all' | 'pending' | { readonly tables: readonly TableName[] };

/** The metadata table, and whether it was seen to be there and to be ours: then nobody has to ask again. */
export type MetadataTable = { readonly name: string; isKnown: boolean };

/** Makes the metadata table when it is not there, whatever was known of it. */
export async function ensureMetadata(connection: PostgresConnection, table: MetadataTable): Promise<void> {
  if (!(await isThere(connection, table.name))) await connection.query(metadataDdl(table.name).join('; '));
  table.isKnown = true;
}

/** Empty when the metadata table is not there. */
export async function readMetadataRows(
  connection: PostgresConnection,
  table: MetadataTable,
  choice: MetadataChoice = 'all',
): Promise<readonly MirroredTable[]> {
  table.isKnown ||= await isThere(connection, table.name);
  if (!table.isKnown) return [];
  try {
    return await readRows(connection, table.name, choice);
  } catch (error) {
    table.isKnown = false;
    throw error;
  }
}

/** Whether tables that are named are there is asked in the same round trip. */
async function readRows(
  connection: PostgresConnection,
  table: string,
  choice: MetadataChoice,
): Promise<readonly MirroredTable[]> {
  if (typeof choice === 'string') {
    const where = choice === 'pending' ? "WHERE nullable_pending <> '[]'" : '';
    const mirrored = (await connection.query<MetadataRow>(rowsSql(table, where))).map(toMirroredTable);
    if (mirrored.length === 0) return [];
    const names = mirrored.flatMap(({ table: { name }, copy }) => [
      name,
      ...(copy?.shadow == null ? [] : [copy.shadow]),
    ]);
    return withExistence(connection, mirrored, await connection.query<ExistingRow>(existingSql(textArray(names))));
  }
  const where = `WHERE table_name = ANY (${textArray(choice.tables.map(TableName.toText))})`;
  const shadows = `ARRAY(SELECT copy::json ->> 'shadow' FROM ${table} ${where} AND copy IS NOT NULL)`;
  const names = `${textArray(choice.tables.map(({ name }) => name))} || ${shadows}`;
  const [rows, existing] = (await connection.queryEach([
    `${rowsSql(table, where)} FOR UPDATE`,
    existingSql(names),
  ])) as [readonly MetadataRow[], readonly ExistingRow[]];
  return withExistence(connection, rows.map(toMirroredTable), existing);
}

const textArray = (texts: readonly string[]): string => `ARRAY[${texts.map(literal).join(', ')}]::text[]`;

const rowsSql = (table: string, where: string): string =>
  `SELECT schema_hash, lsn::text, rows::text, to_char(completed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS completed_at,
     lineage, bookmark, token, "schema", copy, widened, nullable_pending
   FROM ${table} ${where} ORDER BY table_name`;

type ExistingRow = Row & { readonly schema: string; readonly name: string };

/** The tables of these names, in whatever schema. */
const existingSql = (names: string): string =>
  `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND c.relname = ANY (${names})`;

function withExistence(
  { defaultSchema }: PostgresConnection,
  rows: readonly MirroredTable[],
  existing: readonly ExistingRow[],
): readonly MirroredTable[] {
  const keys = new Set(existing.map(({ schema, name }) => JSON.stringify([schema, name])));
  const isThere = (schema: string | null, name: string) => keys.has(JSON.stringify([schema ?? defaultSchema, name]));
  return rows.map((row) => ({
    ...row,
    exists: isThere(row.table.schema, row.table.name),
    copy: row.copy?.shadow == null || isThere(row.table.schema, row.copy.shadow) ? row.copy : null,
  }));
}

/** Tenants that have a metadata table in the login's default schema. */
export async function readTenants(connection: PostgresConnection): Promise<readonly string[]> {
  const rows = await connection.query<{ name: string }>(
    String.raw`SELECT relname AS name FROM pg_class c WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'
       AND relname LIKE '%\_mirroring' AND EXISTS (SELECT FROM pg_attribute
         WHERE attrelid = c.oid AND attname = 'nullable_pending' AND NOT attisdropped) ORDER BY relname`,
    [ident(connection.defaultSchema)],
  );
  return rows.map(({ name }) => name.slice(0, -'_mirroring'.length));
}

async function isThere(connection: PostgresConnection, table: string): Promise<boolean> {
  const { there, ours } = await connection.one<{ there: boolean; ours: boolean }>(
    `SELECT to_regclass(${literal(table)}) IS NOT NULL AS there, EXISTS (SELECT FROM pg_attribute
       WHERE attrelid = to_regclass(${literal(table)}) AND attname = 'nullable_pending' AND NOT attisdropped) AS ours`,
  );
  if (!there || ours) return there;
  throw new SpeilError('NAME_TAKEN', `${connection.display} has a table ${table} that is not Speil’s`, {
    hint: 'Choose another name for the metadata table with --tenant, or rename that table.',
  });
}

/** A position for each lineage and bookmark, and the starts of standing copies. */
export async function readHeldHistories(
  connection: PostgresConnection,
  table: string,
): Promise<readonly SourcePosition[]> {
  if (!(await isThere(connection, table))) return [];
  const [rows, copies] = (await connection.queryEach([
    `SELECT DISTINCT ON (lineage, bookmark) lsn::text, lineage, bookmark, token FROM ${table} WHERE lsn <> ${NO_LSN}`,
    `SELECT copy FROM ${table} WHERE copy IS NOT NULL`,
  ])) as [readonly PositionRow[], readonly { copy: string }[]];
  const held = rows.map(toPosition).filter((position) => position !== null);
  return distinctHistories([...held, ...copies.map(({ copy }) => parseCopy(copy).start)]);
}

/** Schemas that were read before; the same text is the same schema. */
const parsedSchemas = new Map<string, TableSchema>();
const PARSED_SCHEMAS_MAX = 10_000;

function parseSchema(text: string): TableSchema {
  const known = parsedSchemas.get(text);
  if (known !== undefined) return known;
  if (parsedSchemas.size >= PARSED_SCHEMAS_MAX) parsedSchemas.clear();
  const schema = JSON.parse(text) as TableSchema;
  parsedSchemas.set(text, schema);
  return schema;
}

function toMirroredTable(row: MetadataRow): MirroredTable {
  const schema = parseSchema(row.schema);
  return {
    table: schema.table,
    schema,
    schemaHash: row.schema_hash,
    position: toPosition(row),
    widened: JSON.parse(row.widened),
    nullablePending: JSON.parse(row.nullable_pending),
    copy: row.copy === null ? null : parseCopy(row.copy),
    exists: true,
    rows: Number(row.rows),
    completedAt: row.completed_at,
  };
}

type PositionRow = Pick<MetadataRow, 'lsn' | 'lineage' | 'bookmark' | 'token'>;

function toPosition(row: PositionRow): SourcePosition | null {
  const lsn = BigInt(row.lsn);
  if (lsn === NO_LSN || row.token === null || row.lineage === null) return null;
  return { lsn: Lsn.of(lsn), token: row.token, lineage: row.lineage, bookmark: row.bookmark };
}

/** JSON has no integers of 64 bits: an LSN is a decimal text in it. */
const copyText = (copy: PendingCopy): string =>
  JSON.stringify({ ...copy, start: { ...copy.start, lsn: copy.start.lsn.toString() } });

function parseCopy(text: string): PendingCopy {
  const copy = JSON.parse(text) as PendingCopy & { start: { lsn: string } };
  return { ...copy, start: { ...copy.start, lsn: Lsn.of(copy.start.lsn) } };
}

/** Posted: it is there once the next statement is done. */
export function saveMetadataRow(connection: PostgresConnection, table: string, row: MirroredTable): void {
  const { position } = row;
  const values = [
    TableName.toText(row.table),
    row.schemaHash,
    (position === null ? NO_LSN : BigInt.asIntN(64, position.lsn)).toString(),
    String(row.rows),
    row.completedAt,
    position?.lineage ?? null,
    position?.bookmark ?? null,
    position?.token ?? null,
    JSON.stringify(row.schema),
    row.copy === null ? null : copyText(row.copy),
    JSON.stringify(row.widened),
    JSON.stringify(row.nullablePending),
  ];
  connection.post(
    `INSERT INTO ${table} AS m (table_name, schema_hash, lsn, rows, completed_at, lineage, bookmark, token, "schema", copy, widened, nullable_pending)
     VALUES (${values.map(literalOrNull).join(', ')})
     ON CONFLICT (table_name) DO UPDATE SET schema_hash = excluded.schema_hash, lsn = excluded.lsn, rows = excluded.rows,
       completed_at = excluded.completed_at, lineage = excluded.lineage, bookmark = excluded.bookmark, token = excluded.token,
       "schema" = excluded."schema", copy = excluded.copy, widened = excluded.widened, nullable_pending = excluded.nullable_pending`,
  );
}
