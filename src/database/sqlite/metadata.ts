import { SpeilError } from '../../core/error.ts';
import { Lsn } from '../../core/lsn.ts';
import type { SourcePosition } from '../../core/position.ts';
import { TableName, type TableSchema } from '../../core/table.ts';
import type { MirroredTable, PendingCopy } from '../mirror-database.ts';
import type { Connection, SqlRow, SqlValue } from './connection.ts';
import { targetName } from './mirror-table.ts';
import { quoteName } from './sql-text.ts';

/** The LSN that says: copy this table again. */
const NO_LSN = -1n;

const COLUMNS = [
  'table_name TEXT PRIMARY KEY NOT NULL',
  'schema_hash TEXT NOT NULL',
  'lsn INTEGER NOT NULL',
  'lineage TEXT',
  'token TEXT',
  'bookmark TEXT',
  'schema TEXT NOT NULL',
  'copy TEXT',
  'widened TEXT NOT NULL',
  'nullable_pending TEXT NOT NULL',
  'rows INTEGER NOT NULL',
  'completed_at TEXT',
] as const;
const NAMES = COLUMNS.map((column) => column.split(' ')[0] ?? '');

/** Tenants that have a metadata table in the file. */
export const tenantsIn = (connection: Connection): readonly string[] =>
  connection
    .all(String.raw`SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '%\_mirroring' ESCAPE '\'
      AND sql LIKE '%nullable_pending%' ORDER BY name`)
    .map(([name]) => String(name).slice(0, -'_mirroring'.length));

/** The metadata table of one tenant. */
export class Metadata {
  readonly tableName: string;
  readonly #connection: Connection;

  constructor(connection: Connection, tenant: string) {
    this.#connection = connection;
    this.tableName = `${tenant}_mirroring`;
  }

  ensure(): void {
    this.#connection.exec(`CREATE TABLE IF NOT EXISTS ${quoteName(this.tableName)} (${COLUMNS.join(', ')})`);
  }

  exists(): boolean {
    const found = this.#connection.get('SELECT sql FROM sqlite_schema WHERE name = ? COLLATE NOCASE', this.tableName);
    if (found === undefined || String(found[0]).includes('nullable_pending')) return found !== undefined;
    throw new SpeilError('NAME_TAKEN', `${this.#connection.display} has a ${this.tableName} that is not Speil’s`, {
      hint: 'Choose another name for the metadata table with --tenant, or rename that one.',
    });
  }

  read(): readonly MirroredTable[] {
    if (!this.exists()) return [];
    const sql = `SELECT ${NAMES.join(', ')} FROM ${quoteName(this.tableName)} ORDER BY table_name`;
    return this.#connection.all(sql).map((row) => this.#fromRow(row));
  }

  readSome(tables: readonly TableName[]): readonly MirroredTable[] {
    const sql = `SELECT ${NAMES.join(', ')} FROM ${quoteName(this.tableName)} WHERE table_name = ?`;
    return this.exists()
      ? tables.flatMap((table) => this.#connection.all(sql, TableName.toText(table)).map((row) => this.#fromRow(row)))
      : [];
  }

  #fromRow(row: SqlRow): MirroredTable {
    const [, schemaHash, lsn, lineage, token, bookmark, schema, copy, widened, nullablePending, rows, completedAt] =
      row;
    const parsed = JSON.parse(String(schema)) as TableSchema;
    const isForgotten = lsn === NO_LSN && lineage !== null;
    const pending = copy === null || isForgotten ? null : parseCopy(String(copy));
    return {
      table: parsed.table,
      schema: parsed,
      schemaHash: String(schemaHash),
      position: positionOf(lsn ?? NO_LSN, { lineage, token, bookmark }),
      widened: JSON.parse(String(widened)) as Readonly<Record<string, string>>,
      nullablePending: JSON.parse(String(nullablePending)) as readonly string[],
      copy: pending !== null && this.#hasTable({ table: parsed.table, shadow: pending.shadow }) ? pending : null,
      exists: this.#hasTable({ table: parsed.table, shadow: null }),
      rows: Number(rows),
      completedAt: completedAt === null ? null : String(completedAt),
    };
  }

  #hasTable(target: { readonly table: TableName; readonly shadow: string | null }): boolean {
    const sql = `SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE`;
    return this.#connection.get(sql, targetName(target)) !== undefined;
  }

  markCompleted(at: string): void {
    const sql = `UPDATE ${quoteName(this.tableName)} SET completed_at = ? WHERE lsn <> ${NO_LSN}`;
    if (this.exists()) this.#connection.run(sql, at);
  }

  save(table: MirroredTable): void {
    const sql = `INSERT OR REPLACE INTO ${quoteName(this.tableName)}(${NAMES.join(', ')}) VALUES (${NAMES.map(() => '?').join(', ')})`;
    this.#connection.run(sql, ...toRow(table));
  }

  forget(table: TableName): void {
    this.#connection.run(`DELETE FROM ${quoteName(this.tableName)} WHERE table_name = ?`, TableName.toText(table));
  }
}

const toRow = (table: MirroredTable): readonly SqlValue[] => [
  TableName.toText(table.table),
  table.schemaHash,
  table.position === null ? NO_LSN : BigInt.asIntN(64, table.position.lsn),
  table.position?.lineage ?? null,
  table.position?.token ?? null,
  table.position?.bookmark ?? null,
  JSON.stringify(table.schema),
  table.copy === null ? null : JSON.stringify(table.copy, lsnAsText),
  JSON.stringify(table.widened),
  JSON.stringify(table.nullablePending),
  BigInt(table.rows),
  table.completedAt,
];

const lsnAsText = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);

type PositionColumns = {
  readonly lineage: SqlValue | undefined;
  readonly token: SqlValue | undefined;
  readonly bookmark: SqlValue | undefined;
};

function positionOf(lsn: SqlValue, { lineage, token, bookmark }: PositionColumns): SourcePosition | null {
  if (lsn === NO_LSN || typeof lsn !== 'bigint' || lineage === null) return null;
  return {
    lsn: Lsn.of(lsn),
    token: String(token),
    lineage: String(lineage),
    bookmark: typeof bookmark === 'string' ? bookmark : null,
  };
}

function parseCopy(text: string): PendingCopy {
  const copy = JSON.parse(text) as PendingCopy;
  return { ...copy, start: { ...copy.start, lsn: Lsn.of(copy.start.lsn) } };
}
