import { DatabaseSync } from 'node:sqlite';
import { type Dump, type DumpedTable, type DumpedValue, type DumpOptions, isOwnTable } from './dump-model.ts';

export function dumpSqlite(path: string, { tables: wanted }: DumpOptions): Dump {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 10_000 });
  try {
    database.exec('BEGIN');
    const names = tableNames(database).filter((name) => wanted === undefined || wanted.includes(name));
    return { kind: 'sqlite', tables: new Map(names.map((name) => [name, dumpTable(database, name)])) };
  } finally {
    database.close();
  }
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

const tableNames = (database: DatabaseSync): readonly string[] =>
  database
    .prepare(`SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' ORDER BY name`)
    .all()
    .map((row) => String(row['name']))
    .filter((name) => !name.startsWith('sqlite_') && !isOwnTable(null, name));

function dumpTable(database: DatabaseSync, name: string): DumpedTable {
  const columns = database
    .prepare('SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden <> 1')
    .all(name)
    .map((row) => ({ name: String(row['name']), type: String(row['type']) }));
  const fields = columns.map((column) => fieldOf(quote(column.name))).join(', ');
  const statement = database.prepare(`SELECT ${fields} FROM ${quote(name)}`);
  statement.setReadBigInts(true);
  statement.setReturnArrays(true);
  const decoder = decoderOf(database);
  const rows: DumpedValue[][] = [];
  for (const row of statement.iterate() as Iterable<unknown>) rows.push(valuesOf(row as readonly unknown[], decoder));
  return { name, columns, rows };
}

/** The storage class, and the value with texts as the bytes that they are: not every text is valid UTF-8. */
const fieldOf = (column: string): string =>
  `typeof(${column}), CASE typeof(${column}) WHEN 'text' THEN CAST(${column} AS BLOB) ELSE ${column} END`;

function decoderOf(database: DatabaseSync): TextDecoder {
  const encoding = String(database.prepare('PRAGMA encoding').get()?.['encoding']).toLowerCase();
  return new TextDecoder(encoding, { fatal: true, ignoreBOM: true });
}

function valuesOf(row: readonly unknown[], decoder: TextDecoder): DumpedValue[] {
  return Array.from({ length: row.length / 2 }, (_, at) => dumpedValue(String(row[2 * at]), row[2 * at + 1], decoder));
}

function dumpedValue(storage: string, value: unknown, decoder: TextDecoder): DumpedValue {
  if (storage === 'null') return null;
  if (storage === 'blob') return `blob ${hex(value)}`;
  return storage === 'text' ? textOf(value, decoder) : `${storage} ${value}`;
}

/** `text`, or `bytes` in hex for a text that is not valid in the database's encoding. */
function textOf(value: unknown, decoder: TextDecoder): string {
  const bytes = value instanceof Uint8Array ? value : new Uint8Array();
  try {
    return `text ${decoder.decode(bytes)}`;
  } catch {
    return `bytes ${hex(bytes)}`;
  }
}

const hex = (value: unknown): string => Buffer.from(value instanceof Uint8Array ? value : []).toString('hex');
