import { SpeilError } from '../../core/error.ts';
import type { RowBytes, RowCounts } from '../../core/row-batch.ts';
import type { RowFormat, TableSchema } from '../../core/table.ts';
import { decodeRows, type Fields } from '../row-text.ts';
import type { Connection } from './connection.ts';
import { isPlain, RowSql } from './row-sql.ts';
import { type Bound, type FieldReader, fieldReader, parameter, placeholder } from './values.ts';

/** Rows that one statement inserts: more gain nothing. */
const ROWS_AT_ONCE = 16;
/** Parameters of such a statement. */
const PARAMETERS_MAX = 1_000;

type Row = readonly Bound[];

/** Writes the rows of batches into one table. */
export class RowWriter {
  readonly #connection: Connection;
  readonly #encoding: string;
  readonly #name: string;
  readonly #sql: RowSql;
  readonly #readers: readonly FieldReader[];

  constructor(connection: Connection, target: { name: string; schema: TableSchema; format: RowFormat }) {
    this.#connection = connection;
    this.#encoding = String(connection.value('PRAGMA encoding'));
    this.#name = target.name;
    this.#sql = new RowSql(target.name, target.schema);
    this.#readers = target.schema.columns.map((column) => fieldReader(target.format, column.type));
  }

  /** Adds rows; one whose key is there already is left out. */
  load({ rows }: RowBytes): RowCounts {
    const atOnce = Math.max(1, Math.min(ROWS_AT_ONCE, Math.floor(PARAMETERS_MAX / this.#readers.length)));
    const grouped = this.#sql.insertNew(Array.from({ length: atOnce }, () => this.#readers.map(() => '?')));
    let inserted = 0;
    let group: Row[] = [];
    for (const fields of decodeRows(rows)) {
      group.push(this.#values(fields, 0));
      if (group.length < atOnce) continue;
      inserted += group.every(isPlain) ? this.#run(grouped, group.flat()) : this.#insertNew(group);
      group = [];
    }
    return { inserted: inserted + this.#insertNew(group), updated: 0, deleted: 0 };
  }

  #insertNew(rows: readonly Row[]): number {
    return rows.reduce((sum, row) => sum + this.#run(this.#sql.insertNew([row.map(placeholder)]), row), 0);
  }

  /** Adds rows; one whose key is there already is replaced. */
  put(batch: RowBytes): RowCounts {
    if (this.#sql.keyAt.length === 0) return this.load(batch);
    const rows = [...decodeRows(batch.rows)].map((fields) => this.#values(fields, 0));
    return { deleted: 0, ...this.#upsertAll(rows) };
  }

  /** Applies net changes: deletes first, since a key that is freed may be taken by another row. */
  apply({ rows }: RowBytes): RowCounts {
    let deleted = 0;
    const upserts: Row[] = [];
    for (const fields of decodeRows(rows)) {
      const values = this.#values(fields, 1);
      if (fields[0] === 'D') deleted += this.#delete(values);
      else upserts.push(values);
    }
    return { deleted, ...this.#upsertAll(upserts) };
  }

  /** Rows that trade the values of a unique index of the owner cannot be written one after the other: they go out first. */
  #upsertAll(rows: readonly Row[]): Omit<RowCounts, 'deleted'> {
    this.#connection.exec('SAVEPOINT speil_upsert');
    try {
      return this.#upsertEach(rows);
    } catch (error) {
      if (!this.#connection.inTransaction || !(error instanceof SpeilError) || error.code !== 'KEY_VIOLATED')
        throw error;
      this.#connection.exec('ROLLBACK TO speil_upsert');
      const updated = rows.reduce((sum, row) => sum + this.#delete(row), 0);
      for (const row of rows) this.#insert(row);
      return { inserted: rows.length - updated, updated };
    } finally {
      if (this.#connection.inTransaction) this.#connection.exec('RELEASE speil_upsert');
    }
  }

  #upsertEach(rows: readonly Row[]): Omit<RowCounts, 'deleted'> {
    let updated = 0;
    for (const row of rows) {
      if (this.#update(row) > 0) updated++;
      else this.#insert(row);
    }
    return { inserted: rows.length - updated, updated };
  }

  #values(fields: Fields, skip: number): Row {
    if (fields.length !== this.#readers.length + skip) {
      throw new SpeilError('INTERNAL', `A row of ${this.#name} has ${fields.length - skip} fields.`);
    }
    return this.#readers.map((read, index) => read(fields[index + skip] ?? null));
  }

  #insert(row: Row): void {
    this.#run(this.#sql.insert(row), row);
  }

  #update(row: Row): number {
    const { keyAt, restAt } = this.#sql;
    return this.#run(this.#sql.update(row), [...pick(row, restAt.length === 0 ? keyAt : restAt), ...pick(row, keyAt)]);
  }

  #delete(row: Row): number {
    return this.#run(this.#sql.delete(row), pick(row, this.#sql.keyAt));
  }

  #run(sql: string, values: Row): number {
    return this.#connection.run(sql, ...values.map((value) => parameter(value, this.#encoding)));
  }
}

const pick = (row: Row, at: readonly number[]): Row => at.map((index) => row[index] ?? null);
