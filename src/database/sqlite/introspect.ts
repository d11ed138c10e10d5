import type { ColumnFill, ColumnSchema, TableName, TableSchema } from '../../core/table.ts';
import type { Connection, SqlRow } from './connection.ts';
import { generatedExpressions, partialCondition, quoteName, quoteText } from './sql-text.ts';
import { type Affinity, affinityOf, canonicalType, constantValue } from './types.ts';
import { taggedField } from './values.ts';

export type SqliteColumn = {
  readonly name: string;
  /** As declared, but such that a plain table stores values under it as this table does. */
  readonly type: string;
  readonly notNull: boolean;
  readonly default: string | null;
  readonly generatedAs: string | null;
};

export type OrderPart = { readonly name: string; readonly descending: boolean };

export type KeyPart = {
  readonly name: string;
  readonly collation: string;
  readonly descending: boolean;
  readonly affinity: Affinity;
};

/** A unique index by which a row can be replaced without its delete triggers firing. */
export type UniqueIndex = {
  readonly parts: readonly { readonly name: string; readonly collation: string }[];
  readonly condition: string | null;
};

export type SqliteTable = {
  readonly name: string;
  readonly withoutRowid: boolean;
  readonly columns: readonly SqliteColumn[];
  /** The column that is the rowid, if one is. */
  readonly rowidColumn: string | null;
  /** A name under which the rowid can be read; null where there is none. */
  readonly rowid: string | null;
  readonly key: readonly KeyPart[];
  /** Where there is no rowid: the columns of a unique index without nulls, in whose order rows are read. */
  readonly order: readonly OrderPart[];
  /** SQLite allows nulls in most primary keys; rows with one are not identified by it. */
  readonly keyMayBeNull: boolean;
  readonly replacing: readonly UniqueIndex[];
  readonly notes: readonly string[];
};

export type Introspection = {
  readonly tables: ReadonlyMap<string, SqliteTable>;
  readonly excluded: readonly { readonly table: TableName; readonly reason: string }[];
};

export const tableName = (name: string): TableName => ({ schema: null, name });

const REASONS: Readonly<Record<string, string>> = {
  view: 'a view',
  virtual: 'a virtual table',
  shadow: 'the storage of a virtual table',
};

/** SQLite's own, what tracking makes, and what a mirror holds, since a mirror can be a source too. */
const OURS = /^(sqlite_.*|speil_(history|tracked|bookmark|clock|change_\d+|mirroring|rebuild|shadow_[0-9a-f]{16}))$/i;

/** Everything in the file that could be mirrored, and what cannot and why. */
export function introspect(connection: Connection): Introspection {
  const all = connection
    .all(`SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main' ORDER BY name`)
    .filter(([name]) => !OURS.test(String(name)));
  const excluded = all
    .filter((row) => row[1] !== 'table')
    .map((row) => ({ table: tableName(String(row[0])), reason: REASONS[String(row[1])] ?? String(row[1]) }));
  const read = all.filter((row) => row[1] === 'table').map((row) => readTable(connection, row));
  const unreadable = read
    .filter((table) => !isReadable(table))
    .map(({ name }) => ({ table: tableName(name), reason: 'a table without a key whose columns hide its rowid' }));
  const tables = new Map(read.filter(isReadable).map((table) => [table.name, table]));
  return { tables, excluded: [...excluded, ...unreadable] };
}

const isReadable = (table: SqliteTable): boolean => table.rowid !== null || table.order.length > 0;

function readTable(connection: Connection, [name, , wr, strict]: SqlRow): SqliteTable {
  const table = String(name);
  const withoutRowid = wr === 1n;
  const details = connection.all(
    'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1',
    table,
  );
  const indexes = readIndexes(connection, table);
  const rowidColumn = withoutRowid ? null : findRowidColumn(details, indexes);
  const columns = readColumns(connection, { table, details, rowidColumn, strict: strict === 1n });
  const rowid = withoutRowid ? null : (rowidColumn ?? freeRowidName(columns));
  const chosen = chooseKey({ details, columns, indexes, rowidColumn });
  const order = withoutRowid ? primaryOrder(indexes) : rowid === null && !chosen.keyMayBeNull ? chosen.key : [];
  return { name: table, withoutRowid, columns, rowidColumn, rowid, order, ...chosen };
}

type TableIndex = {
  readonly isPrimary: boolean;
  readonly parts: readonly { readonly name: string | null; readonly collation: string; readonly descending: boolean }[];
  readonly condition: string | null;
};

/** The unique indexes of a table. */
function readIndexes(connection: Connection, table: string): readonly TableIndex[] {
  return connection
    .all('SELECT name, origin, partial FROM pragma_index_list(?) WHERE "unique" = 1 ORDER BY name', table)
    .map(([name, origin, partial]) => ({
      isPrimary: origin === 'pk',
      parts: connection
        .all('SELECT name, coll, desc FROM pragma_index_xinfo(?) WHERE key = 1 ORDER BY seqno', String(name))
        .map(([column, collation, desc]) => ({
          name: column === null ? null : String(column),
          collation: String(collation).toUpperCase(),
          descending: desc === 1n,
        })),
      condition: partial === 1n ? readCondition(connection, String(name)) : null,
    }));
}

const readCondition = (connection: Connection, index: string): string | null =>
  partialCondition(String(connection.value("SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?", index)));

/** Only `INTEGER PRIMARY KEY` is the rowid, and only when SQLite did not make an index for it. */
function findRowidColumn(details: readonly SqlRow[], indexes: readonly TableIndex[]): string | null {
  const primary = details.filter((row) => Number(row[4]) > 0);
  const only = primary.length === 1 ? primary[0] : undefined;
  if (only === undefined || String(only[1]).toUpperCase() !== 'INTEGER') return null;
  return indexes.some((index) => index.isPrimary) ? null : String(only[0]);
}

function freeRowidName(columns: readonly SqliteColumn[]): string | null {
  const taken = new Set(columns.map((column) => column.name.toLowerCase()));
  return ['rowid', '_rowid_', 'oid'].find((name) => !taken.has(name)) ?? null;
}

type ColumnsRequest = {
  readonly table: string;
  readonly details: readonly SqlRow[];
  readonly rowidColumn: string | null;
  readonly strict: boolean;
};

function readColumns(connection: Connection, request: ColumnsRequest): readonly SqliteColumn[] {
  const isGenerated = (row: SqlRow) => row[5] === 2n || row[5] === 3n;
  const sql = request.details.some(isGenerated)
    ? String(connection.value(`SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?`, request.table))
    : '';
  const expressions = generatedExpressions(sql);
  return request.details.map((row) => {
    const name = String(row[0]);
    const isRowid = name === request.rowidColumn;
    return {
      name,
      type: storedType(String(row[1]), { strict: request.strict, isPrimary: Number(row[4]) > 0, isRowid }),
      notNull: row[2] === 1n || isRowid,
      default: row[3] === null ? null : asSingleQuoted(String(row[3])),
      generatedAs: isGenerated(row) ? (expressions.get(name) ?? 'unknown') : null,
    };
  });
}

/**
 * The declared type under which a plain table stores the same: `ANY` of a strict table converts nothing, and `INTEGER`
 * as a primary key that is not the rowid would become it.
 */
function storedType(type: string, column: { strict: boolean; isPrimary: boolean; isRowid: boolean }): string {
  if (column.strict && type.toUpperCase() === 'ANY') return '';
  return column.isPrimary && !column.isRowid && type.toUpperCase() === 'INTEGER' ? 'INT' : type;
}

const asSingleQuoted = (sql: string): string =>
  /^"(?:[^"]|"")*"$/.test(sql) ? quoteText(sql.slice(1, -1).replaceAll('""', '"')) : sql;

type KeyRequest = {
  readonly details: readonly SqlRow[];
  readonly columns: readonly SqliteColumn[];
  readonly indexes: readonly TableIndex[];
  readonly rowidColumn: string | null;
};

function chooseKey(request: KeyRequest): Pick<SqliteTable, 'key' | 'keyMayBeNull' | 'replacing' | 'notes'> {
  if (request.indexes.some((index) => index.parts.some((part) => part.name === null))) {
    return withoutKey('It has a unique index on an expression, so it is copied whole whenever it changed.');
  }
  const { parts, index } = primaryKey(request) ?? uniqueKey(request) ?? { parts: [], index: null };
  if (parts.length === 0) return withoutKey('It has no key, so it is copied whole whenever it changed.');
  const affinities = new Map(request.columns.map((column) => [column.name, affinityOf(column.type)]));
  const key = parts.map((part) => ({ ...part, affinity: affinities.get(part.name) ?? 'BLOB' }));
  const notNull = new Set(request.columns.filter((column) => column.notNull).map((column) => column.name));
  const isExact = key.every((part) => part.collation === 'BINARY' && part.affinity !== 'BLOB');
  const replacing = request.indexes.filter((other) => !(other === index && isExact)).map(asReplacing);
  return { key, keyMayBeNull: !key.every((part) => notNull.has(part.name)), replacing, notes: [] };
}

const withoutKey = (note: string) => ({ key: [], keyMayBeNull: false, replacing: [], notes: [note] });

type NamedPart = { readonly name: string; readonly collation: string; readonly descending: boolean };

const isNamed = (part: TableIndex['parts'][number]): part is NamedPart => part.name !== null;

const asReplacing = ({ parts, condition }: TableIndex): UniqueIndex => ({
  parts: parts.filter(isNamed).map(({ name, collation }) => ({ name, collation })),
  condition,
});

const primaryOrder = (indexes: readonly TableIndex[]): readonly OrderPart[] =>
  indexes.filter((index) => index.isPrimary).flatMap((index) => index.parts.filter(isNamed));

type ChosenKey = { readonly parts: readonly NamedPart[]; readonly index: TableIndex | null };

function primaryKey({ indexes, rowidColumn }: KeyRequest): ChosenKey | null {
  if (rowidColumn !== null)
    return { parts: [{ name: rowidColumn, collation: 'BINARY', descending: false }], index: null };
  const index = indexes.find((candidate) => candidate.isPrimary);
  return index === undefined ? null : { parts: index.parts.filter(isNamed), index };
}

/** The shortest unique index whose columns cannot be null and compare byte by byte. */
function uniqueKey({ indexes, columns }: KeyRequest): ChosenKey | null {
  const notNull = new Set(columns.filter((column) => column.notNull).map((column) => column.name));
  const fits = (part: NamedPart) => notNull.has(part.name) && part.collation === 'BINARY';
  const [index] = indexes
    .filter((candidate) => candidate.condition === null && candidate.parts.filter(isNamed).every(fits))
    .toSorted((a, b) => a.parts.length - b.parts.length);
  return index === undefined ? null : { parts: index.parts.filter(isNamed), index };
}

/** The table as tasks know it. */
export const toSchema = (table: SqliteTable, tracking: { identity: string; keyed: boolean }): TableSchema => ({
  table: tableName(table.name),
  dialect: 'sqlite',
  columns: table.columns.map((column) => toColumnSchema(column)),
  key: tracking.keyed ? table.key.map((part) => part.name) : [],
  identity: tracking.identity,
});

const toColumnSchema = (column: SqliteColumn): ColumnSchema => ({
  name: column.name,
  id: null,
  type: canonicalType(column.type),
  declaredType: column.type,
  nullable: !column.notNull,
  defaultExpression: column.default,
  generatedAs: column.generatedAs,
  fill: fillOf(column),
});

function fillOf(column: SqliteColumn): ColumnFill {
  if (column.generatedAs !== null) return { kind: 'unknown' };
  if (column.default === null) return { kind: 'value', text: null };
  const value = constantValue(column.default, column.type);
  const text = value === undefined ? undefined : taggedField(value);
  return text === undefined ? { kind: 'unknown' } : { kind: 'value', text };
}

/** True when a row has a null in its key: SQLite allows that in most primary keys. */
export function hasNullKey(connection: Connection, table: SqliteTable): boolean {
  if (!table.keyMayBeNull) return false;
  const isNull = table.key.map((part) => `${quoteName(part.name)} IS NULL`).join(' OR ');
  return connection.get(`SELECT 1 FROM main.${quoteName(table.name)} WHERE ${isNull} LIMIT 1`) !== undefined;
}
