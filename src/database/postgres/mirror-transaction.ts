import { SpeilError } from '../../core/error.ts';
import type { RowBytes } from '../../core/row-batch.ts';
import { TableName, type TableSchema } from '../../core/table.ts';
import type { AlterStep, MirroredTable, MirrorTransaction, WriteResult, WriteTarget } from '../mirror-database.ts';
import type { PostgresConnection } from './connection.ts';
import { readMetadataRows, saveMetadataRow } from './metadata.ts';
import { buildKey, swapTables } from './mirror-swap.ts';
import { alterSql, createTableSql, type MirrorDialect, targetName } from './mirror-tables.ts';
import { applyRows, loadRows, type Writer } from './mirror-write.ts';
import { ident } from './sql.ts';

type Context = {
  readonly metadataTable: string;
  /** Which types the server has, as far as asked. */
  readonly types: Map<string, boolean>;
  readonly ensureMetadata: () => Promise<void>;
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
  #savepoints = 0;

  constructor(connection: PostgresConnection, dialect: MirrorDialect, context: Context) {
    this.#connection = connection;
    this.#dialect = dialect;
    this.#context = context;
    this.#writer = { connection, dialect };
  }

  ensureMetadata(): Promise<void> {
    return this.#context.ensureMetadata();
  }

  readMetadata(tables?: readonly TableName[]): Promise<readonly MirroredTable[]> {
    return readMetadataRows(this.#connection, this.#context.metadataTable, tables === undefined ? 'all' : { tables });
  }

  readPendingMetadata(): Promise<readonly MirroredTable[]> {
    return readMetadataRows(this.#connection, this.#context.metadataTable, 'pending');
  }

  saveMetadata(row: MirroredTable): Promise<void> {
    return saveMetadataRow(this.#connection, this.#context.metadataTable, row);
  }

  async forgetMetadata(table: TableName): Promise<void> {
    await this.#connection.query(`DELETE FROM ${this.#context.metadataTable} WHERE table_name = $1`, [
      TableName.toText(table),
    ]);
  }

  async markCompleted(at: string): Promise<void> {
    await this.#connection.query(
      `UPDATE ${this.#context.metadataTable} SET completed_at = $1 WHERE lsn <> -1
         AND (completed_at IS NULL OR completed_at < $1::timestamptz - $2 * interval '1 ms')`,
      [at, COMPLETED_INTERVAL_MS],
    );
  }

  async tableExists({ table, shadow }: { table: TableName; shadow: string | null }): Promise<boolean> {
    const name = this.#dialect.qualify(shadow === null ? table : { schema: table.schema, name: shadow });
    const { there } = await this.#connection.one<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
      name,
    ]);
    return there;
  }

  async savepoint<T>(work: () => Promise<T>): Promise<T> {
    const name = `speil_${++this.#savepoints}`;
    await this.#connection.query(`SAVEPOINT ${name}`);
    try {
      const result = await work();
      await this.#connection.query(`RELEASE SAVEPOINT ${name}`);
      return result;
    } catch (error) {
      if (this.#connection.isUsable) await this.#connection.query(`ROLLBACK TO SAVEPOINT ${name}`);
      throw error;
    }
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
      if (!(error instanceof SpeilError) || error.code !== 'TABLE_FAILED') throw error;
      await create(false);
    }
  }

  async #ensureSchema(schema: string): Promise<void> {
    const { there } = await this.#connection.one<{ there: boolean }>(
      'SELECT to_regnamespace($1) IS NOT NULL AS there',
      [ident(schema)],
    );
    if (!there) await this.#connection.query(`CREATE SCHEMA ${ident(schema)}`);
  }

  async dropTable({ table, shadow }: { table: TableName; shadow: string | null }): Promise<void> {
    const name = this.#dialect.qualify(shadow === null ? table : { schema: table.schema, name: shadow });
    await this.#connection.query(`DROP TABLE IF EXISTS ${name}`);
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
      'SELECT type, to_regtype(type) IS NOT NULL AS there FROM unnest($1::text[]) type',
      [unknown],
    );
    for (const { type, there } of rows) this.#context.types.set(type, there);
  }
}
