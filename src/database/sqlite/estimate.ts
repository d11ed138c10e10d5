import type { Connection } from './connection.ts';
import type { SqliteTable } from './introspect.ts';
import { quoteName } from './sql-text.ts';

export type Estimate = { readonly estimatedRows: number; readonly estimatedBytes: number };

/** Files up to this size are counted exactly. */
const COUNTED_BYTES_MAX = 256_000_000;
/** Rows that are looked at for their size. */
const SAMPLE_ROWS = 100;
/** Fewer bytes a row hardly takes. */
const ROW_BYTES_MIN = 10;

/** How much a table holds, for people and progress bars. */
export function estimate(connection: Connection, table: SqliteTable): Estimate {
  const fileBytes = Number(connection.value('PRAGMA page_count')) * Number(connection.value('PRAGMA page_size'));
  const estimatedRows = fileBytes <= COUNTED_BYTES_MAX ? count(connection, table) : guess(connection, table, fileBytes);
  return { estimatedRows, estimatedBytes: Math.round(estimatedRows * sampleRowBytes(connection, table)) };
}

const count = (connection: Connection, { name }: SqliteTable): number =>
  Number(connection.value(`SELECT count(*) FROM main.${quoteName(name)}`));

function guess(connection: Connection, table: SqliteTable, fileBytes: number): number {
  const most = Math.floor(fileBytes / ROW_BYTES_MIN);
  const analyzed = analyzedRows(connection, table);
  if (analyzed !== null) return Math.min(most, analyzed);
  if (table.rowid === null) return count(connection, table);
  const rowid = table.rowidColumn === null ? table.rowid : quoteName(table.rowid);
  const from = `FROM main.${quoteName(table.name)}`;
  const [lowest, highest] = [
    connection.value(`SELECT min(${rowid}) ${from}`),
    connection.value(`SELECT max(${rowid}) ${from}`),
  ];
  return lowest === null ? 0 : Math.min(most, Number(highest) - Number(lowest) + 1);
}

/** What ANALYZE found, if it ever ran. */
function analyzedRows(connection: Connection, { name }: SqliteTable): number | null {
  if (connection.get(`SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'`) === undefined) return null;
  const stat = connection.value('SELECT max(CAST(stat AS INTEGER)) FROM sqlite_stat1 WHERE tbl = ?', name);
  return stat === null ? null : Number(stat);
}

function sampleRowBytes(connection: Connection, { name, columns }: SqliteTable): number {
  const sizes = columns.map((column) => `ifnull(octet_length(${quoteName(column.name)}), 0) + 2`).join(' + ');
  const sql = `SELECT avg(${sizes}) FROM (SELECT * FROM main.${quoteName(name)} LIMIT ${SAMPLE_ROWS})`;
  return Number(connection.value(sql) ?? 0);
}
