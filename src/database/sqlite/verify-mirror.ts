import type { TableName } from '../../core/table.ts';
import type { MirroredTable } from '../mirror-database.ts';
import { alteredError, damagedError } from '../verify-errors.ts';
import { type FieldForm, keyFirst } from '../verify-side.ts';
import { CatalogReader } from './catalog.ts';
import { Connection } from './connection.ts';
import type { SqliteTable } from './introspect.ts';
import { Metadata } from './metadata.ts';
import { plainName } from './mirror-table.ts';
import type { SqliteLocation } from './source.ts';
import { SqliteLines } from './verify-rows.ts';

/** A SQLite mirror as `verify` reads it. */
export class SqliteVerifyMirror implements AsyncDisposable {
  readonly kind = 'sqlite';
  readonly #connection: Connection;
  readonly #reader: CatalogReader;
  readonly #metadata: Metadata;

  constructor({ path, display }: SqliteLocation, tenant: string) {
    this.#connection = new Connection(path, { display, access: 'read-only' });
    this.#reader = new CatalogReader(this.#connection);
    this.#metadata = new Metadata(this.#connection, tenant);
  }

  /** Opens a snapshot of one table with its metadata. */
  async openTable(table: TableName): Promise<SqliteMirrorTable> {
    this.#connection.exec('BEGIN');
    try {
      const [held] = this.#metadata.readSome([table]);
      const found = this.#reader.read().tables.get(plainName(table));
      if (held === undefined || found === undefined) throw alteredError(table, 'is no longer mirrored');
      requireColumns(held, found);
      return new SqliteMirrorTable(this.#connection, held, found);
    } catch (error) {
      this.#connection.rollback();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection[Symbol.dispose]();
  }
}

function requireColumns({ table, schema }: MirroredTable, { columns }: SqliteTable): void {
  const missing = schema.columns.find(({ name }) => !columns.some((column) => column.name === name));
  if (missing === undefined) return;
  throw damagedError(table, `has no column ${missing.name} in the mirror any more`);
}

export class SqliteMirrorTable implements AsyncDisposable {
  readonly kind = 'sqlite';
  readonly held: MirroredTable;
  readonly #connection: Connection;
  readonly #table: SqliteTable;

  constructor(connection: Connection, held: MirroredTable, table: SqliteTable) {
    this.#connection = connection;
    this.held = held;
    this.#table = table;
  }

  /** Its rows; `forms` in the order of {@link keyFirst}. */
  lines(forms: readonly FieldForm[]): SqliteLines {
    const { schema } = this.held;
    const columns = keyFirst(schema).map(({ name }) => name);
    const rows = { connection: this.#connection, table: this.#table, columns, keyCount: schema.key.length };
    return new SqliteLines({ ...rows, withoutNullKeys: false }, forms);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.rollback();
  }
}
