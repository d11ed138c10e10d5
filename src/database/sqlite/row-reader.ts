import { type Fields, RowEncoder } from '../row-text.ts';
import type { Connection, SqlRow, SqlValue } from './connection.ts';
import type { OrderPart, SqliteTable } from './introspect.ts';
import { quoteName } from './sql-text.ts';
import { boundOfTagged, exactField, exactSql, parameter, placeholder, taggedField } from './values.ts';

/** Where a read stands: the tagged fields of what the rows are ordered by, and of what else the reader wants to know. */
export type Cursor = readonly string[];

/** Rows in an order that can be continued anywhere. */
export type RowQuery = {
  /** Expressions of the row's fields. */
  readonly fields: readonly string[];
  /** Expressions that are read before the fields and are no part of the row. */
  readonly lead: readonly string[];
  readonly from: string;
  readonly where: readonly string[];
  readonly order: readonly OrderTerm[];
  /** Makes the row that is sent. */
  toRow(lead: SqlRow, fields: Fields): Fields;
  /** Where a read that ends with this row is to go on. */
  cursorOf(lead: SqlRow, fields: Fields): Cursor;
};

export type OrderTerm = { readonly sql: string; readonly descending: boolean };

export type RowChunk = {
  readonly rows: Uint8Array;
  readonly rowCount: number;
  readonly cursor: Cursor | null;
  readonly done: boolean;
};

/** A row that makes a chunk larger than wanted by more than this goes into the next one. */
const OVERSHOOT_MAX = 1.1;

/** Reads a query chunk by chunk. Once it met text that JavaScript cannot hold it reads all text as bytes. */
export class RowReader {
  readonly #connection: Connection;
  readonly #query: RowQuery;
  readonly #encoding: string;
  #exact = false;

  constructor(connection: Connection, query: RowQuery) {
    this.#connection = connection;
    this.#query = query;
    this.#encoding = String(connection.value('PRAGMA encoding'));
  }

  /** About `chunkBytes` of the rows behind the cursor; null: from the first. */
  read(after: Cursor | null, chunkBytes: number): RowChunk {
    const chunk = this.#tryRead(after, chunkBytes);
    if (chunk !== null) return chunk;
    this.#exact = true;
    return this.read(after, chunkBytes);
  }

  /** Null when text was met that has to be read as bytes. */
  #tryRead(after: Cursor | null, chunkBytes: number): RowChunk | null {
    const encoder = new RowEncoder(chunkBytes);
    const bound = (after ?? []).slice(0, this.#query.order.length).map(boundOfTagged);
    const values = cursorValues(
      this.#query.order,
      bound.map((value) => parameter(value, this.#encoding)),
    );
    let cursor = after;
    let last: { readonly row: SqlRow; readonly fields: Fields } | null = null;
    for (const row of this.#connection.iterate(this.#sql(bound.map(placeholder)), ...values)) {
      const fields = this.#fieldsOf(row);
      if (fields === null) return null;
      const sizeBefore = encoder.size;
      encoder.add(this.#query.toRow(row, fields));
      if (last !== null && encoder.size > chunkBytes * OVERSHOOT_MAX) {
        const { rows, rowCount } = encoder.take();
        cursor = this.#query.cursorOf(last.row, last.fields);
        return { rows: rows.subarray(0, sizeBefore), rowCount: rowCount - 1, cursor, done: false };
      }
      last = { row, fields };
      if (!encoder.isFull) continue;
      cursor = this.#query.cursorOf(row, fields);
      return { ...encoder.take(), cursor, done: false };
    }
    return { ...encoder.take(), cursor, done: true };
  }

  #fieldsOf(row: SqlRow): Fields | null {
    const fields: (string | null)[] = [];
    for (let i = this.#query.lead.length; i < row.length; i++) {
      const field = this.#exact ? exactField(row[i] ?? null, this.#encoding) : taggedField(row[i] ?? null);
      if (field === undefined) return null;
      fields.push(field);
    }
    return fields;
  }

  #sql(cursor: readonly string[]): string {
    const { lead, fields, from, where, order } = this.#query;
    const columns = [...lead, ...(this.#exact ? fields.map(exactSql) : fields)];
    const conditions = cursor.length === 0 ? where : [...where, behind(order, cursor)];
    const filter = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
    const by = order.map((term) => `${term.sql}${term.descending ? ' DESC' : ''}`).join(', ');
    return `SELECT ${columns.join(', ')} FROM ${from}${filter} ORDER BY ${by}`;
  }
}

const isUniform = (order: readonly OrderTerm[]): boolean =>
  order.every((term) => term.descending === order[0]?.descending);

/** The condition for rows behind the cursor, such that an index in this order is used. */
function behind(order: readonly OrderTerm[], cursor: readonly string[]): string {
  const sign = (term: OrderTerm | undefined) => (term?.descending ? '<' : '>');
  if (isUniform(order)) return `(${order.map((term) => term.sql).join(', ')}) ${sign(order[0])} (${cursor.join(', ')})`;
  const steps = order.map((term, index) => {
    const equal = order.slice(0, index).map((earlier, at) => `${earlier.sql} = ${cursor[at]}`);
    return `(${[...equal, `${term.sql} ${sign(term)} ${cursor[index]}`].join(' AND ')})`;
  });
  return `${order[0]?.sql} ${sign(order[0])}= ${cursor[0]} AND (${steps.join(' OR ')})`;
}

/** The values for the parameters of {@link behind}, in its order. */
function cursorValues(order: readonly OrderTerm[], cursor: readonly SqlValue[]): readonly SqlValue[] {
  if (cursor.length === 0 || isUniform(order)) return cursor;
  return [...cursor.slice(0, 1), ...order.flatMap((_, index) => cursor.slice(0, index + 1))];
}

/** Names of the columns, behind an alias of their table where there is one. */
export const columnList = (table: SqliteTable, alias = ''): readonly string[] =>
  table.columns.map((column) => `${alias}${quoteName(column.name)}`);

/** All rows of a table: by rowid where there is one, since that is how they lie; else by a unique index. */
export function tableQuery(table: SqliteTable, keyed: boolean): RowQuery {
  const where = keyed && table.keyMayBeNull ? table.key.map((part) => `${quoteName(part.name)} IS NOT NULL`) : [];
  const indexesOf = (parts: readonly OrderPart[]) =>
    parts.map((part) => table.columns.findIndex((column) => column.name === part.name));
  const base = { fields: columnList(table), from: `main.${quoteName(table.name)}`, where, toRow: fieldsOnly };
  if (table.rowid !== null) {
    const rowid = quoteRowid(table, table.rowid);
    const keyFields = table.rowidColumn === null ? indexesOf(table.key) : [];
    const cursorOf: RowQuery['cursorOf'] = ([id], fields) => [`i${id}`, ...pick(fields, keyFields)];
    return { ...base, lead: [rowid], order: [{ sql: rowid, descending: false }], cursorOf };
  }
  const at = indexesOf(table.order);
  const order = table.order.map((part) => ({ sql: quoteName(part.name), descending: part.descending }));
  return { ...base, lead: [], order, cursorOf: (_, fields) => pick(fields, at) };
}

const pick = (fields: Fields, at: readonly number[]): Cursor => at.map((index) => fields[index] ?? '');

const fieldsOnly = (_: SqlRow, fields: Fields): Fields => fields;

/** A quoted `rowid` would be a text where there is no such column. */
const quoteRowid = (table: SqliteTable, rowid: string): string =>
  table.rowidColumn === null ? rowid : quoteName(rowid);
