import { SpeilError } from '../../core/error.ts';
import type { RowBytes } from '../../core/row-batch.ts';
import { TableName, type TableSchema } from '../../core/table.ts';
import type { AlterStep, MirroredTable, MirrorTransaction, WriteResult, WriteTarget } from '../mirror-database.ts';
import type { PostgresConnection } from './connection.ts';
import { ensureMetadata, type MetadataTable, readMetadataRows, saveMetadataRow } from './metadata.ts';
import { buildKey, swapTables } from './mirror-swap.ts';
import { alterSql, createTableSql, type MirrorDialect, targetName } from './mirror-tables.ts';
import { applyRows, loadRows, type Writer } from './mirror-write.ts';
import { ident, literal } from './sql.ts';

type Context = {
  readonly metadataTable: MetadataTable;
  /** Which types the server has, as far as asked. */
  readonly types: Map<string, boolean>;
};

/** Rounds that follow each other closely do not write the time of each into every row. */
const COMPLETED_INTERVAL_MS = 10_000;

/** The type without its modifiers: `numeric(10,2)[]` is `numeric[]`. */
export const bareType = (type: string): string => type.replace(/\([^)]*\)/g, '');

export class PostgresMirrorTransaction implements MirrorTransaction {
  readonly #connection: PostgresConnection;
  readonly #dialect: MirrorDialect;
  readonly #context: Context;
  readonly #writer: Writer;

  constructor(connection: PostgresConnection, dialect: MirrorDialect, context: Context) {
    this.#connection = connection;
    this.#dialect = dialect;
    this.#context = context;
    this.#writer = { connection, dialect };
  }

  ensureMetadata(): Promise<void> {
    return ensureMetadata(this.#connection, this.#context.metadataTable);
  }

  readMetadata(tables?: readonly TableName[]): Promise<readonly MirroredTable[]> {
    return readMetadataRows(this.#connection, this.#context.metadataTable, tables === undefined ? 'all' : { tables });
  }

  readPendingMetadata(): Promise<readonly MirroredTable[]> {
    return readMetadataRows(this.#connection, this.#context.metadataTable, 'pending');
  }

  async saveMetadata(row: MirroredTable): Promise<void> {
    saveMetadataRow(this.#connection, this.#context.metadataTable.name, row);
  }

  async forgetMetadata(table: TableName): Promise<void> {
    const name = literal(TableName.toText(table));
    this.#connection.post(`DELETE FROM ${this.#context.metadataTable.name} WHERE table_name = ${name}`);
  }

  async markCompleted(at: string): Promise<void> {
    const time = `${literal(at)}::timestamptz`;
    this.#connection.post(
      `UPDATE ${this.#context.metadataTable.name} SET completed_at = ${time} WHERE lsn <> -1
         AND (completed_at IS NULL OR completed_at < ${time} - ${COMPLETED_INTERVAL_MS} * interval '1 ms')`,
    );
  }

  async tableExists({ table, shadow }: { table: TableName; shadow: string | null }): Promise<boolean> {
    const name = this.#dialect.qualify(shadow === null ? table : { schema: table.schema, name: shadow });
    const { there } = await this.#connection.one<{ there: boolean }>(
      `SELECT to_regclass(${literal(name)}) IS NOT NULL AS there`,
    );
    return there;
  }

  savepoint<T>(work: () => Promise<T>): Promise<T> {
    return this.#connection.savepoint(work);
  }

  async createTable(target: WriteTarget, withKey: boolean): Promise<void> {
    await this.#learnTypes(target.schema);
    const { table } = target.schema;
    if (table.schema !== null) await this.#ensureSchema(table.schema);
    const create = (defaults: boolean) =>
      this.#connection.query(createTableSql(target, this.#dialect, { defaults, key: withKey }));
    try {
      await this.savepoint(() => create(true));
    } catch (error) {
      if (!(error instanceof SpeilError) || error.code !== 'TABLE_FAILED' || this.#connection.isAborted) throw error;
      await create(false);
    }
  }

  async #ensureSchema(schema: string): Promise<void> {
    const { there } = await this.#connection.one<{ there: boolean }>(
      `SELECT to_regnamespace(${literal(ident(schema))}) IS NOT NULL AS there`,
    );
    if (!there) await this.#connection.query(`CREATE SCHEMA ${ident(schema)}`);
  }

  async dropTable({ table, shadow }: { table: TableName; shadow: string | null }): Promise<void> {
    const name = this.#dialect.qualify(shadow === null ? table : { schema: table.schema, name: shadow });
    this.#connection.post(`DROP TABLE IF EXISTS ${name}`);
  }

  async alter(target: WriteTarget, step: AlterStep): Promise<void> {
    await this.#learnTypes(target.schema);
    for (const sql of alterSql(target, step, this.#dialect)) await this.#connection.query(sql);
  }

  deleteAll(target: WriteTarget): Promise<number> {
    return this.#connection.execute(`DELETE FROM ${this.#dialect.qualify(targetName(target))}`);
  }

  async load(target: WriteTarget, rows: RowBytes): Promise<WriteResult> {
    await this.#learnTypes(target.schema);
    return loadRows(this.#writer, target, rows);
  }

  buildKey(target: WriteTarget): Promise<{ readonly duplicates: number }> {
    return buildKey(this.#writer, target);
  }

  async apply(target: WriteTarget, rows: RowBytes): Promise<WriteResult> {
    await this.#learnTypes(target.schema);
    return applyRows(this.#writer, target, rows);
  }

  swap(target: WriteTarget): Promise<{ readonly notes: readonly string[] }> {
    return swapTables(this.#writer, target);
  }

  async countRows(target: WriteTarget): Promise<number> {
    const { rows } = await this.#connection.one<{ rows: number }>(
      `SELECT count(*)::float8 AS rows FROM ${this.#dialect.qualify(targetName(target))}`,
    );
    return rows;
  }

  /** Asks once for each type whether this server has it. */
  async #learnTypes(schema: TableSchema): Promise<void> {
    const unknown = [...new Set(schema.columns.map((column) => bareType(column.type)))].filter(
      (type) => !this.#context.types.has(type),
    );
    if (unknown.length === 0) return;
    const rows = await this.#connection.query<{ type: string; there: boolean }>(
      `SELECT type, to_regtype(type) IS NOT NULL AS there FROM unnest(ARRAY[${unknown.map(literal).join(', ')}]) type`,
    );
    for (const { type, there } of rows) this.#context.types.set(type, there);
  }
}
