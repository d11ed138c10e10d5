import { SpeilError } from '../../core/error.ts';
import type { ChangeChunk } from '../../core/row-batch.ts';
import type { Fields } from '../row-text.ts';
import type { Tracking } from './change-tracking.ts';
import type { Connection, SqlRow } from './connection.ts';
import { hasNullKey, type KeyPart, type SqliteTable } from './introspect.ts';
import { type Cursor, type RowQuery, RowReader } from './row-reader.ts';
import { quoteName } from './sql-text.ts';
import { sideKey, sideTable } from './triggers.ts';

export type ChangesRequest = {
  readonly table: SqliteTable;
  readonly tracking: Tracking;
  /** Changes above this are wanted. */
  readonly since: bigint;
  readonly chunkBytes: number;
};

/** The net changes of a table, each key once, oldest first. Inside a read transaction. */
export function* netChanges(connection: Connection, request: ChangesRequest): Generator<ChangeChunk, void, undefined> {
  const net = collect(connection, request);
  refuseNullKeys(connection, request.table, net);
  const reader = new RowReader(connection, netQuery(request.table, net));
  let cursor: Cursor | null = null;
  for (let done = false; !done; ) {
    const chunk = reader.read(cursor, request.chunkBytes);
    ({ cursor, done } = chunk);
    yield { rows: chunk.rows, rowCount: chunk.rowCount, truncateFirst: false, done };
  }
  connection.exec(`DROP TABLE ${net}`);
}

/** Writes the last change of each key into a table that only this connection sees; answers its name. */
function collect(connection: Connection, { table, tracking, since }: ChangesRequest): string {
  const net = `temp.speil_net_${tracking.n}`;
  const keys = table.key.map((_, index) => sideKey(index));
  const groups = [
    ...keys,
    ...table.key.flatMap((part, index) => (part.affinity === 'BLOB' ? [`typeof(${keys[index]})`] : [])),
  ];
  connection.exec(`DROP TABLE IF EXISTS ${net}`);
  connection.exec(`CREATE TABLE ${net}(lsn INTEGER PRIMARY KEY, ${keys.join(', ')})`);
  connection.run(
    `INSERT INTO ${net} SELECT max(lsn), ${keys.join(', ')} FROM main.${sideTable(tracking.n)} WHERE lsn > ? GROUP BY ${groups.join(', ')} ORDER BY 1`,
    since,
  );
  return net;
}

function refuseNullKeys(connection: Connection, table: SqliteTable, net: string): void {
  if (!hasNullKey(connection, table)) return;
  const isNull = table.key.map((_, index) => `${sideKey(index)} IS NULL`).join(' OR ');
  if (connection.get(`SELECT 1 FROM ${net} WHERE ${isNull} LIMIT 1`) === undefined) return;
  throw new SpeilError('SCHEMA_CHANGED', `${table.name} now has a row whose primary key is null.`, {
    recovery: 'repopulate',
    hint: `Declare the key of ${quoteName(table.name)} NOT NULL, or let the next cycle copy the table whole.`,
  });
}

/** The changed keys, each beside its row where there is one. The key's own form counts, not what SQLite compares as equal. */
function netQuery(table: SqliteTable, net: string): RowQuery {
  const keyAt = new Map(table.key.map((part, index) => [part.name, index]));
  const fields = table.columns.map(({ name }) => {
    const index = keyAt.get(name);
    return index === undefined ? `t.${quoteName(name)}` : `c.${sideKey(index)}`;
  });
  const isThere = `t.${quoteName(table.key[0]?.name ?? '')} IS NOT NULL`;
  return {
    fields,
    lead: ['c.lsn', isThere],
    from: `${net} AS c LEFT JOIN main.${quoteName(table.name)} AS t ON ${table.key.map(sameKey).join(' AND ')}`,
    where: table.key.map((_, index) => `c.${sideKey(index)} IS NOT NULL`),
    order: [{ sql: 'c.lsn', descending: false }],
    toRow: ([, there]: SqlRow, row: Fields): Fields => [there === 1n ? 'U' : 'D', ...row],
    cursorOf: ([lsn]) => [`i${lsn}`],
  };
}

function sameKey(part: KeyPart, index: number): string {
  const column = `t.${quoteName(part.name)}`;
  const key = `c.${sideKey(index)}`;
  const byIndex = `${column} = ${key}`;
  const exact = part.collation === 'BINARY' ? [] : [`${column} COLLATE BINARY = ${key}`];
  const sameKind = part.affinity === 'BLOB' ? [`typeof(${column}) = typeof(${key})`] : [];
  return [byIndex, ...exact, ...sameKind].join(' AND ');
}
