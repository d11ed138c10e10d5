import { SpeilError } from '../../core/error.ts';
import type { RowBytes } from '../../core/row-batch.ts';
import { rowFormatOf, type TableName } from '../../core/table.ts';
import type { AlterStep, MirroredTable, MirrorTransaction, WriteResult, WriteTarget } from '../mirror-database.ts';
import type { Connection } from './connection.ts';
import type { Metadata } from './metadata.ts';
import {
  createSql,
  mirrorColumn,
  nameOf,
  readShape,
  shapeAfter,
  shapeOf,
  stepSql,
  targetName,
} from './mirror-table.ts';
import { RowWriter } from './row-writer.ts';
import { quoteName } from './sql-text.ts';
import { swapTables } from './swap.ts';
import { fieldReader, parameter, placeholder } from './values.ts';

/** Name of the table that a step is carried out through when SQLite cannot carry it out in place. */
const REBUILD = 'speil_rebuild';

/** One write transaction on a mirror. */
export class SqliteMirrorTransaction implements MirrorTransaction {
  readonly #connection: Connection;
  readonly #metadata: Metadata;
  #savepoints = 0;

  constructor(connection: Connection, metadata: Metadata) {
    this.#connection = connection;
    this.#metadata = metadata;
  }

  async ensureMetadata(): Promise<void> {
    this.#alive().#metadata.ensure();
  }

  async readMetadata(tables?: readonly TableName[]): Promise<readonly MirroredTable[]> {
    const metadata = this.#alive().#metadata;
    return tables === undefined ? metadata.read() : metadata.readSome(tables);
  }

  async readPendingMetadata(): Promise<readonly MirroredTable[]> {
    return (await this.readMetadata()).filter((row) => row.nullablePending.length > 0);
  }

  async saveMetadata(row: MirroredTable): Promise<void> {
    this.#alive().#metadata.save(row);
  }

  async forgetMetadata(table: TableName): Promise<void> {
    this.#alive().#metadata.forget(table);
  }

  async markCompleted(at: string): Promise<void> {
    this.#alive().#metadata.markCompleted(at);
  }

  async tableExists(target: { table: TableName; shadow: string | null }): Promise<boolean> {
    return this.#alive().#exists(targetName(target));
  }

  async savepoint<T>(work: () => Promise<T>): Promise<T> {
    const name = `speil_${++this.#savepoints}`;
    this.#alive().#connection.exec(`SAVEPOINT ${name}`);
    try {
      const result = await work();
      this.#alive().#connection.exec(`RELEASE ${name}`);
      return result;
    } catch (error) {
      if (this.#connection.inTransaction) this.#connection.exec(`ROLLBACK TO ${name}; RELEASE ${name}`);
      throw error;
    }
  }

  /** The key is there from the start: SQLite has no other way to make a primary key. */
  async createTable(target: WriteTarget, _withKey: boolean): Promise<void> {
    const name = nameOf(target);
    if (this.#alive().#exists(name)) throw nameTaken(name);
    this.#connection.exec(createSql(name, shapeOf(target.schema)));
  }

  async dropTable(target: { table: TableName; shadow: string | null }): Promise<void> {
    this.#alive().#connection.exec(`DROP TABLE IF EXISTS main.${quoteName(targetName(target))}`);
  }

  async alter(target: WriteTarget, step: AlterStep): Promise<void> {
    this.#alive();
    const name = nameOf(target);
    const sql = stepSql(name, target.schema, step);
    if (sql === null) this.#rebuild(name, target, step);
    else this.#inPlace(name, sql);
    if (sql !== null && step.kind === 'add-column') this.#fill(name, target, step);
  }

  #inPlace(name: string, sql: string): void {
    try {
      this.#connection.exec(sql);
    } catch (error) {
      if (!this.#connection.inTransaction || !(error instanceof SpeilError) || error.code !== 'INTERNAL') throw error;
      throw new SpeilError('DEPENDENT_OBJECT', `${name} cannot be altered: ${error.message}`, {
        cause: error,
        recovery: 'repopulate',
        hint: 'Drop the view, index or trigger that names the column, and make it again afterwards.',
      });
    }
  }

  /** Writes the table anew in its new shape. */
  #rebuild(name: string, target: WriteTarget, step: AlterStep): void {
    const before = readShape(this.#connection, name);
    const columns = before.columns.map((column) => quoteName(column.name));
    const added = step.kind === 'add-column' ? this.#bind(target, step) : null;
    const into = added === null ? columns : [...columns, quoteName(added.column)];
    const from = added === null ? columns : [...columns, added.placeholder];
    this.#connection.exec(`DROP TABLE IF EXISTS ${REBUILD}`);
    this.#connection.exec(createSql(REBUILD, shapeAfter(before, target.schema, step)));
    this.#connection.run(
      `INSERT INTO ${REBUILD}(${into.join(', ')}) SELECT ${from.join(', ')} FROM ${quoteName(name)}`,
      ...(added === null ? [] : [added.value]),
    );
    swapTables(this.#connection, name, REBUILD);
  }

  /** Gives rows that were there before the value that the source has in them. */
  #fill(name: string, target: WriteTarget, step: Extract<AlterStep, { kind: 'add-column' }>): void {
    if (step.fill === null && mirrorColumn(target.schema, step.column).default === null) return;
    const { column, placeholder: value, value: bound } = this.#bind(target, step);
    this.#connection.run(`UPDATE ${quoteName(name)} SET ${quoteName(column)} = ${value}`, bound);
  }

  #bind(target: WriteTarget, { column, fill }: Extract<AlterStep, { kind: 'add-column' }>) {
    const value = fieldReader(rowFormatOf(target.schema.dialect), column.type)(fill);
    const encoding = String(this.#connection.value('PRAGMA encoding'));
    return { column: column.name, placeholder: placeholder(value), value: parameter(value, encoding) };
  }

  async deleteAll(target: WriteTarget): Promise<number> {
    return this.#alive().#connection.run(`DELETE FROM ${quoteName(nameOf(target))}`);
  }

  async load(target: WriteTarget, rows: RowBytes): Promise<WriteResult> {
    const writer = this.#writer(target, rows);
    const counts = target.shadow === null ? writer.put(rows) : writer.load(rows);
    return { counts, widened: target.widened };
  }

  /** The key has been there from the start and kept duplicates out. */
  async buildKey(_target: WriteTarget): Promise<{ readonly duplicates: number }> {
    return { duplicates: 0 };
  }

  async apply(target: WriteTarget, rows: RowBytes): Promise<WriteResult> {
    return { counts: this.#writer(target, rows).apply(rows), widened: target.widened };
  }

  #writer(target: WriteTarget, { format }: RowBytes): RowWriter {
    return new RowWriter(this.#alive().#connection, { name: nameOf(target), schema: target.schema, format });
  }

  async swap(target: WriteTarget): Promise<{ readonly notes: readonly string[] }> {
    if (target.shadow === null) return { notes: [] };
    const live = targetName({ table: target.schema.table, shadow: null });
    return { notes: swapTables(this.#alive().#connection, live, nameOf(target)) };
  }

  async countRows(target: WriteTarget): Promise<number> {
    return Number(this.#alive().#connection.value(`SELECT count(*) FROM ${quoteName(nameOf(target))}`));
  }

  #exists(name: string): boolean {
    const sql = `SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view', 'index') AND name = ? COLLATE NOCASE`;
    return this.#connection.get(sql, name) !== undefined;
  }

  /** A full disk can end the transaction behind our back; nothing may be written outside of it then. */
  #alive(): this {
    if (this.#connection.inTransaction) return this;
    throw new SpeilError(
      'CONNECTION_LOST',
      `${this.#connection.display}: the transaction was ended by an earlier error.`,
      {
        recovery: 'retry',
      },
    );
  }
}

const nameTaken = (name: string): SpeilError =>
  new SpeilError(
    'NAME_TAKEN',
    `The mirror already has a table, view or index called ${name} that is not part of the mirror.`,
    {
      hint: `Rename or drop ${quoteName(name)} in the mirror, or leave the table out with --skip-table.`,
    },
  );
