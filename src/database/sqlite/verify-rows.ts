import { BATCH_BYTES_DEFAULT } from '../../core/limits.ts';
import type { RowBytes } from '../../core/row-batch.ts';
import { type Fields, RowEncoder, unescapeField } from '../row-text.ts';
import type { FieldForm, RowLines } from '../verify-side.ts';
import type { Connection, SqlRow } from './connection.ts';
import type { SqliteTable } from './introspect.ts';
import { nextTurn } from './next-turn.ts';
import { tableQuery } from './row-reader.ts';
import { quoteName } from './sql-text.ts';
import { boundOfTagged, exactField, exactSql, parameter, placeholder, taggedField } from './values.ts';

/** A table in the read transaction of the connection. */
export type VerifyTable = {
  readonly connection: Connection;
  readonly table: SqliteTable;
  /** Names of the columns, those of the key first. */
  readonly columns: readonly string[];
  /** 0 for a table without a key. */
  readonly keyCount: number;
  /** Rows with a null in their key are left out: a table that is tracked by its key has none. */
  readonly withoutNullKeys: boolean;
};

/** Rows that are read before others get their turn: a few milliseconds. */
const PIECE_ROWS = 2_000;

type FoundRow = { readonly line: string; readonly fields: Fields };

/** Rows of a table in the form that both sides share; `forms` in the order of the columns. */
export class SqliteLines implements RowLines {
  readonly #table: VerifyTable;
  readonly #forms: readonly FieldForm[];
  readonly #encoding: string;

  constructor(table: VerifyTable, forms: readonly FieldForm[]) {
    this.#table = table;
    this.#forms = forms;
    this.#encoding = String(table.connection.value('PRAGMA encoding'));
  }

  /** From the first row on that holds text which JavaScript cannot hold, all text is read as bytes, which is slower. */
  async *all(): AsyncGenerator<readonly string[]> {
    const progress = { rows: 0, isDone: false };
    yield* this.#readAll(progress, false);
    if (!progress.isDone) yield* this.#readAll(progress, true);
  }

  async *#readAll(progress: { rows: number; isDone: boolean }, exact: boolean): AsyncGenerator<readonly string[]> {
    const sql = `${this.#select(exact)}${this.#inOrder()} LIMIT -1 OFFSET ${progress.rows}`;
    let lines: string[] = [];
    let line: string | null = '';
    for (const row of this.#table.connection.iterate(sql)) {
      line = this.#lineOf(row, exact);
      if (line === null) break;
      if (lines.push(line) < PIECE_ROWS) continue;
      progress.rows += lines.length;
      yield lines;
      lines = [];
      await nextTurn();
    }
    progress.rows += lines.length;
    progress.isDone = line !== null;
    if (lines.length > 0) yield lines;
  }

  async find(keys: readonly string[]): Promise<readonly string[]> {
    await nextTurn();
    return keys.flatMap((key) => this.#findOne(key).map(({ line }) => line));
  }

  /** The rows with these keys as upserts, in chunks of about a batch; fields in the order of `names`. */
  async *upserts(keys: readonly string[], names: readonly string[]): AsyncGenerator<RowBytes> {
    await nextTurn();
    const encoder = new RowEncoder(BATCH_BYTES_DEFAULT);
    const places = names.map((name) => this.#table.columns.indexOf(name));
    for (const { fields } of keys.values().flatMap((key) => this.#findOne(key))) {
      encoder.add(['U', ...places.map((at) => fields[at] ?? null)]);
      if (encoder.isFull) yield { ...encoder.take(), format: 'tagged' };
    }
    if (encoder.rowCount > 0) yield { ...encoder.take(), format: 'tagged' };
  }

  /** Looks for every value that looks like the key, and keeps the rows whose key is just this. */
  #findOne(key: string): readonly FoundRow[] {
    const { keyCount, columns, connection } = this.#table;
    const choices = key.split('\t').map((field, index) => this.#choices(field, index));
    if (choices.some((choice) => choice.length === 0)) return [];
    const conditions = choices.map(
      (choice, index) => `${quoteName(columns[index] ?? '')} IN (${choice.map(placeholder).join(', ')})`,
    );
    const values = choices.flat().map((value) => parameter(value, this.#encoding));
    const rows = connection.all(`${this.#select(true)} WHERE ${conditions.join(' AND ')}`, ...values);
    const found = rows.map((row) => ({
      line: this.#lineOf(row, true) ?? '',
      fields: row.map((value) => exactField(value, this.#encoding)),
    }));
    return found.filter(({ line }) => line.split('\t', keyCount).join('\t') === key);
  }

  #choices(field: string, index: number) {
    const text = unescapeField(field);
    return text === null ? [] : (this.#forms[index]?.toFields(text) ?? []).map(boundOfTagged);
  }

  #select(exact: boolean): string {
    const { table, columns } = this.#table;
    const names = columns.map(quoteName);
    return `SELECT ${(exact ? names.map(exactSql) : names).join(', ')} FROM main.${quoteName(table.name)}`;
  }

  #inOrder(): string {
    const { where, order } = tableQuery(this.#table.table, this.#table.withoutNullKeys);
    const by = order.map((term) => `${term.sql}${term.descending ? ' DESC' : ''}`);
    return `${where.length === 0 ? '' : ` WHERE ${where.join(' AND ')}`} ORDER BY ${by.join(', ')}`;
  }

  /** Null when a text has to be read as bytes. */
  #lineOf(row: SqlRow, exact: boolean): string | null {
    let line = '';
    for (let i = 0; i < row.length; i++) {
      const value = row[i] ?? null;
      const field = exact ? exactField(value, this.#encoding) : taggedField(value);
      if (field === undefined) return null;
      if (i > 0) line += '\t';
      line += field === null ? '\\N' : (this.#forms[i]?.toLine(field) ?? field);
    }
    return line;
  }
}
