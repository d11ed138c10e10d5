import { Lsn } from '../../core/lsn.ts';
import type { SourcePosition } from '../../core/position.ts';
import { TableName, type TableSchema } from '../../core/table.ts';
import type { MirroredTable, PendingCopy } from '../mirror-database.ts';
import type { PostgresConnection, Row } from './connection.ts';
import { METADATA_COMMENT } from './introspect.ts';
import { literal } from './sql.ts';

/** LSN of a table that is to be copied: what SuperOffice's operators set by hand. */
const NO_LSN = -1n;

/** Columns that an operator reads come first; the rest is Speil's own. */
export const metadataDdl = (table: string): readonly string[] => [
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
  readonly exists: boolean;
  readonly shadow_exists: boolean;
};

/** Whether a table named in a JSON column is there; a null schema is the default one. */
const existsSql = (name: string): string =>
  `to_regclass(format('%I.%I', coalesce("schema"::json #>> '{table,schema}', $2), ${name})) IS NOT NULL`;

/** Empty when the metadata table is not there. */
export async function readMetadataRows(
  connection: PostgresConnection,
  table: string,
  only?: readonly TableName[],
): Promise<readonly MirroredTable[]> {
  const { there } = await connection.one<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [table]);
  if (!there) return [];
  const rows = await connection.query<MetadataRow>(
    `SELECT schema_hash, lsn::text, rows::text, to_char(completed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS completed_at,
       lineage, bookmark, token, "schema", copy, widened, nullable_pending, ${existsSql(`"schema"::json #>> '{table,name}'`)} AS exists,
       CASE WHEN copy::json ->> 'shadow' IS NULL THEN true ELSE ${existsSql("copy::json ->> 'shadow'")} END AS shadow_exists
     FROM ${table} WHERE $1::text[] IS NULL OR table_name = ANY ($1::text[]) ORDER BY table_name${only === undefined ? '' : ' FOR UPDATE'}`,
    [only?.map(TableName.toText) ?? null, connection.defaultSchema],
  );
  return rows.map(toMirroredTable);
}

function toMirroredTable(row: MetadataRow): MirroredTable {
  const schema = JSON.parse(row.schema) as TableSchema;
  return {
    table: schema.table,
    schema,
    schemaHash: row.schema_hash,
    position: toPosition(row),
    widened: JSON.parse(row.widened),
    nullablePending: JSON.parse(row.nullable_pending),
    copy: row.copy === null || !row.shadow_exists ? null : parseCopy(row.copy),
    exists: row.exists,
    rows: Number(row.rows),
    completedAt: row.completed_at,
  };
}

function toPosition(row: MetadataRow): SourcePosition | null {
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

export async function saveMetadataRow(
  connection: PostgresConnection,
  table: string,
  row: MirroredTable,
): Promise<void> {
  const { position } = row;
  await connection.query(
    `INSERT INTO ${table} AS m (table_name, schema_hash, lsn, rows, completed_at, lineage, bookmark, token, "schema", copy, widened, nullable_pending)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
     ON CONFLICT (table_name) DO UPDATE SET schema_hash = excluded.schema_hash, lsn = excluded.lsn, rows = excluded.rows,
       completed_at = excluded.completed_at, lineage = excluded.lineage, bookmark = excluded.bookmark, token = excluded.token,
       "schema" = excluded."schema", copy = excluded.copy, widened = excluded.widened, nullable_pending = excluded.nullable_pending`,
    [
      TableName.toText(row.table),
      row.schemaHash,
      (position === null ? NO_LSN : BigInt.asIntN(64, position.lsn)).toString(),
      row.rows,
      row.completedAt,
      position?.lineage ?? null,
      position?.bookmark ?? null,
      position?.token ?? null,
      JSON.stringify(row.schema),
      row.copy === null ? null : copyText(row.copy),
      JSON.stringify(row.widened),
      JSON.stringify(row.nullablePending),
    ],
  );
}
