import { SpeilError } from '../../core/error.ts';
import type { RowBytes, RowCounts } from '../../core/row-batch.ts';
import type { RowFormat, TableSchema } from '../../core/table.ts';
import { decodeRows, type Fields } from '../row-text.ts';
import type { Connection } from './connection.ts';
import { quoteName } from './sql-text.ts';
import { type Bound, type FieldReader, fieldReader, parameter, placeholder } from './values.ts';

/** Writes the rows of batches into one table. */
export class RowWriter {
  readonly #connection: Connection;
  readonly #encoding: string;
  readonly #table: string;
  readonly #columns: readonly string[];
  readonly #readers: readonly FieldReader[];
  readonly #keyAt: readonly number[];
  readonly #restAt: readonly number[];

  constructor(connection: Connection, target: { name: string; schema: TableSchema; format: RowFormat }) {
    const { columns, key } = target.schema;
    this.#connection = connection;
    this.#encoding = String(connection.value('PRAGMA encoding'));
    this.#table = quoteName(target.name);
    this.#columns = columns.map((column) => quoteName(column.name));
    this.#readers = columns.map((column) => fieldReader(target.format, column.type));
    this.#keyAt = key.map((name) => columns.findIndex((column) => column.name === name));
    this.#restAt = columns.map((_, index) => index).filter((index) => !this.#keyAt.includes(index));
  }

  /** Adds rows; one whose key is there already is left out. */
  load({ rows }: RowBytes): RowCounts {
    let inserted = 0;
    for (const fields of decodeRows(rows)) inserted += this.#insert(this.#values(fields, 0), this.#orSkip());
    return { inserted, updated: 0, deleted: 0 };
  }

  /** Adds rows; one whose key is there already is replaced. */
  put(batch: RowBytes): RowCounts {
    if (this.#keyAt.length === 0) return this.load(batch);
    const rows = [...decodeRows(batch.rows)].map((fields) => this.#values(fields, 0));
    return { deleted: 0, ...this.#upsertAll(rows) };
  }

  /** Applies net changes: deletes first, since a key that is freed may be taken by another row. */
  apply({ rows }: RowBytes): RowCounts {
    let deleted = 0;
    const upserts: (readonly Bound[])[] = [];
    for (const fields of decodeRows(rows)) {
      const values = this.#values(fields, 1);
      if (fields[0] === 'D') deleted += this.#delete(values);
      else upserts.push(values);
    }
    return { deleted, ...this.#upsertAll(upserts) };
  }

  /** Rows that trade the values of a unique index of the owner cannot be written one after the other: they go out first. */
  #upsertAll(rows: readonly (readonly Bound[])[]): Omit<RowCounts, 'deleted'> {
    this.#connection.exec('SAVEPOINT speil_upsert');
    try {
      return this.#upsertEach(rows);
    } catch (error) {
      if (!this.#connection.inTransaction || !(error instanceof SpeilError) || error.code !== 'KEY_VIOLATED')
        throw error;
      this.#connection.exec('ROLLBACK TO speil_upsert');
      const updated = rows.reduce((sum, row) => sum + this.#delete(row), 0);
      for (const row of rows) this.#insert(row, '');
      return { inserted: rows.length - updated, updated };
    } finally {
      if (this.#connection.inTransaction) this.#connection.exec('RELEASE speil_upsert');
    }
  }

  #upsertEach(rows: readonly (readonly Bound[])[]): Omit<RowCounts, 'deleted'> {
    let updated = 0;
    for (const row of rows) {
      if (this.#update(row) > 0) updated++;
      else this.#insert(row, '');
    }
    return { inserted: rows.length - updated, updated };
  }

  #values(fields: Fields, skip: number): readonly Bound[] {
    if (fields.length !== this.#readers.length + skip) {
      throw new SpeilError('INTERNAL', `A row of ${this.#table} has ${fields.length - skip} fields.`);
    }
    return this.#readers.map((read, index) => read(fields[index + skip] ?? null));
  }

  #insert(row: readonly Bound[], conflict: string): number {
    return this.#run(
      `INSERT INTO ${this.#table}(${this.#columns.join(', ')}) VALUES (${row.map(placeholder).join(', ')})${conflict}`,
      row,
    );
  }

  #orSkip(): string {
    if (this.#keyAt.length === 0) return '';
    return ` ON CONFLICT (${this.#keyAt.map((index) => this.#columns[index]).join(', ')}) DO NOTHING`;
  }

  #update(row: readonly Bound[]): number {
    const at = this.#restAt.length === 0 ? this.#keyAt : this.#restAt;
    const sql = `UPDATE ${this.#table} SET ${this.#equations(row, at).join(', ')} WHERE ${this.#equations(row, this.#keyAt).join(' AND ')}`;
    return this.#run(sql, [...pick(row, at), ...pick(row, this.#keyAt)]);
  }

  #delete(row: readonly Bound[]): number {
    const sql = `DELETE FROM ${this.#table} WHERE ${this.#equations(row, this.#keyAt).join(' AND ')}`;
    return this.#run(sql, pick(row, this.#keyAt));
  }

  #equations(row: readonly Bound[], at: readonly number[]): readonly string[] {
    return at.map((index) => `${this.#columns[index]} = ${placeholder(row[index] ?? null)}`);
  }

  #run(sql: string, values: readonly Bound[]): number {
    return this.#connection.run(sql, ...values.map((value) => parameter(value, this.#encoding)));
  }
}

const pick = (row: readonly Bound[], at: readonly number[]): readonly Bound[] => at.map((index) => row[index] ?? null);
