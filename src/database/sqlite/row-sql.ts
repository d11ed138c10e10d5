import type { TableSchema } from '../../core/table.ts';
import { quoteName } from './sql-text.ts';
import { type Bound, placeholder, RawText } from './values.ts';

/** The statements that write rows of one table. Those for rows without raw text are made once. */
export class RowSql {
  /** Where in a row the key is, and where the rest. */
  readonly keyAt: readonly number[];
  readonly restAt: readonly number[];
  readonly #table: string;
  readonly #columns: readonly string[];
  readonly #insert: string;
  readonly #update: string;
  readonly #delete: string;

  constructor(name: string, { columns, key }: TableSchema) {
    this.#table = quoteName(name);
    this.#columns = columns.map((column) => quoteName(column.name));
    this.keyAt = key.map((part) => columns.findIndex((column) => column.name === part));
    this.restAt = columns.map((_, index) => index).filter((index) => !this.keyAt.includes(index));
    const plain = columns.map(() => '?');
    this.#insert = this.#makeInsert([plain]);
    this.#update = this.#makeUpdate(plain);
    this.#delete = this.#makeDelete(plain);
  }

  insert = (row: readonly Bound[]): string => (isPlain(row) ? this.#insert : this.#makeInsert([row.map(placeholder)]));
  update = (row: readonly Bound[]): string => (isPlain(row) ? this.#update : this.#makeUpdate(row.map(placeholder)));
  delete = (row: readonly Bound[]): string => (isPlain(row) ? this.#delete : this.#makeDelete(row.map(placeholder)));

  /** Inserts as many plain rows at once, leaving out those whose key is there already. */
  insertNew(rows: readonly (readonly string[])[]): string {
    const key = this.keyAt.map((index) => this.#columns[index]).join(', ');
    return `${this.#makeInsert(rows)}${key === '' ? '' : ` ON CONFLICT (${key}) DO NOTHING`}`;
  }

  #makeInsert(rows: readonly (readonly string[])[]): string {
    const values = rows.map((row) => `(${row.join(', ')})`).join(', ');
    return `INSERT INTO ${this.#table}(${this.#columns.join(', ')}) VALUES ${values}`;
  }

  #makeUpdate(row: readonly string[]): string {
    const set = this.#equations(row, this.restAt.length === 0 ? this.keyAt : this.restAt);
    return `UPDATE ${this.#table} SET ${set.join(', ')} WHERE ${this.#equations(row, this.keyAt).join(' AND ')}`;
  }

  #makeDelete(row: readonly string[]): string {
    return `DELETE FROM ${this.#table} WHERE ${this.#equations(row, this.keyAt).join(' AND ')}`;
  }

  #equations(row: readonly string[], at: readonly number[]): readonly string[] {
    return at.map((index) => `${this.#columns[index]} = ${row[index]}`);
  }
}

/** True when every value is bound as it is. */
export function isPlain(row: readonly Bound[]): boolean {
  for (const value of row) if (value instanceof RawText) return false;
  return true;
}
