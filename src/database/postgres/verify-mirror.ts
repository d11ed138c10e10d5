import { TableName } from '../../core/table.ts';
import type { MirroredTable } from '../mirror-database.ts';
import { alteredError, damagedError } from '../verify-errors.ts';
import { keyFirst } from '../verify-side.ts';
import type { PostgresConnection, PostgresLocation } from './connection.ts';
import { readMetadataRows } from './metadata.ts';
import { ident, qualified } from './sql.ts';
import type { VerifyTable } from './verify-rows.ts';
import { endSnapshot, HASHING_SETTINGS, type HashFacts, openSession, readHashFacts } from './verify-session.ts';

/** A PostgreSQL mirror as `verify` reads it. */
export class PostgresVerifyMirror implements AsyncDisposable {
  readonly kind = 'postgres';
  readonly #location: PostgresLocation;
  readonly #tenant: string;
  #connection: PostgresConnection;
  #hashFacts: HashFacts | null = null;

  private constructor(location: PostgresLocation, tenant: string, connection: PostgresConnection) {
    this.#location = location;
    this.#tenant = tenant;
    this.#connection = connection;
  }

  static async open(location: PostgresLocation, tenant: string): Promise<PostgresVerifyMirror> {
    return new PostgresVerifyMirror(location, tenant, await openSession(location, 'speil verify mirror'));
  }

  async hashFacts(): Promise<HashFacts> {
    this.#hashFacts ??= await readHashFacts(await this.#session());
    return this.#hashFacts;
  }

  /**
   * Opens a snapshot of one table with its metadata. The lock comes before the snapshot: a copy that takes the table's
   * place after the snapshot was taken would look empty in it.
   */
  async openTable(table: TableName): Promise<PostgresMirrorTable> {
    const connection = await this.#session();
    const name = qualified(table, connection.defaultSchema);
    await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    try {
      await connection.query(HASHING_SETTINGS);
      await connection.query(`LOCK TABLE ${name} IN ACCESS SHARE MODE`);
      const metadata = `${ident(connection.defaultSchema)}.${ident(`${this.#tenant}_mirroring`)}`;
      const rows = await readMetadataRows(connection, { name: metadata, isKnown: false });
      const held = rows.find((row) => TableName.equal(row.table, table));
      if (held === undefined) throw alteredError(table, 'is no longer mirrored');
      const types = await readTypes(connection, name);
      const missing = held.schema.columns.find((column) => !types.has(column.name));
      if (missing !== undefined) throw damagedError(table, `has no column ${missing.name} in the mirror any more`);
      return new PostgresMirrorTable(connection, held, types);
    } catch (error) {
      await endSnapshot(connection);
      throw error;
    }
  }

  async #session(): Promise<PostgresConnection> {
    if (this.#connection.isUsable) return this.#connection;
    await this.#connection[Symbol.asyncDispose]();
    this.#connection = await openSession(this.#location, 'speil verify mirror');
    return this.#connection;
  }

  /** Ends the session at once, also in the middle of a statement. */
  abort(): void {
    this.#connection.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connection[Symbol.asyncDispose]();
  }
}

async function readTypes(connection: PostgresConnection, name: string): Promise<ReadonlyMap<string, string>> {
  const rows = await connection.query<{ name: string; type: string }>(
    `SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped`,
    [name],
  );
  return new Map(rows.map((row) => [row.name, row.type]));
}

export class PostgresMirrorTable implements AsyncDisposable {
  readonly kind = 'postgres';
  readonly held: MirroredTable;
  /** Types of the columns as they are. */
  readonly types: ReadonlyMap<string, string>;
  readonly #connection: PostgresConnection;

  constructor(connection: PostgresConnection, held: MirroredTable, types: ReadonlyMap<string, string>) {
    this.#connection = connection;
    this.held = held;
    this.types = types;
  }

  /** For reading its rows. */
  get rows(): VerifyTable {
    const { schema } = this.held;
    const columns = keyFirst(schema).map(({ name, type }) => ({
      name,
      type: this.types.get(name) ?? type,
      asText: false,
    }));
    const from = `ONLY ${qualified(schema.table, this.#connection.defaultSchema)}`;
    return { connection: this.#connection, from, columns, keyCount: schema.key.length };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return endSnapshot(this.#connection);
  }
}
