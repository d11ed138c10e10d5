import type { Random } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import type { Connection } from './connection.ts';
import { hasNullKey, type SqliteTable } from './introspect.ts';
import { quoteName } from './sql-text.ts';
import { sideTable, sideTableSql, type Trigger, trackedNumber, triggersOf } from './triggers.ts';

/** A row of `speil_tracked`. */
export type Tracking = {
  readonly n: number;
  readonly table: string;
  /** Made anew whenever tracking of the table begins anew. */
  readonly id: string;
  readonly keyed: boolean;
};

/** What change tracking holds in a source: nothing here says how far any mirror is. */
export type Tracked = { readonly history: string | null; readonly tables: ReadonlyMap<string, Tracking> };

/** The newest row of a side table. */
export type Head = { readonly lsn: bigint; readonly tag: bigint };

const CATALOG = [
  'CREATE TABLE IF NOT EXISTS speil_history(id TEXT NOT NULL)',
  'CREATE TABLE IF NOT EXISTS speil_tracked(n INTEGER PRIMARY KEY, table_name TEXT NOT NULL, tracking_id TEXT NOT NULL, keyed INTEGER NOT NULL)',
  'CREATE TABLE IF NOT EXISTS speil_bookmark(n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, left_at INTEGER NOT NULL)',
  'CREATE TABLE IF NOT EXISTS speil_clock(n INTEGER NOT NULL, lsn INTEGER NOT NULL, at INTEGER NOT NULL)',
] as const;
const CATALOG_TABLES = ['speil_clock', 'speil_bookmark', 'speil_tracked', 'speil_history'] as const;

/** SQLite takes at most 500 SELECTs in one statement. */
const HEADS_AT_ONCE = 250;

const tableExists = (connection: Connection, name: string): boolean =>
  connection.get(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?`, name) !== undefined;

export const hasCatalog = (connection: Connection): boolean => tableExists(connection, 'speil_tracked');

export function readTracked(connection: Connection): Tracked {
  if (!hasCatalog(connection)) return { history: null, tables: new Map() };
  const history = connection.value('SELECT id FROM speil_history LIMIT 1');
  const rows = connection.all('SELECT n, table_name, tracking_id, keyed FROM speil_tracked ORDER BY n');
  const tables = rows.map(([n, table, id, keyed]): [string, Tracking] => [
    String(table),
    { n: Number(n), table: String(table), id: String(id), keyed: keyed === 1n },
  ]);
  return { history: history === null ? null : String(history), tables: new Map(tables) };
}

/** Makes the catalog when it is not there. Inside a write transaction. */
export function ensureCatalog(connection: Connection, random: Random): void {
  if (!hasCatalog(connection)) refuseForeign(connection);
  for (const sql of CATALOG) connection.exec(sql);
  connection.run('INSERT INTO speil_history SELECT ? WHERE NOT EXISTS (SELECT 1 FROM speil_history)', random.uuid());
}

function refuseForeign(connection: Connection): void {
  const taken = CATALOG_TABLES.find((name) => tableExists(connection, name));
  if (taken === undefined) return;
  throw new SpeilError('NAME_TAKEN', `${connection.display} has a table ${taken} that Speil did not make.`, {
    hint: 'Change tracking needs that name: rename the table.',
  });
}

/** The SQL of the triggers that are there, by the number of their table and their name. */
export type Triggers = ReadonlyMap<number, ReadonlyMap<string, string>>;

export function readTriggers(connection: Connection): Triggers {
  const found = new Map<number, Map<string, string>>();
  for (const [name, sql] of connection.all(`SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'`)) {
    const n = trackedNumber(String(name));
    if (n !== null) found.set(n, (found.get(n) ?? new Map<string, string>()).set(String(name), String(sql)));
  }
  return found;
}

const namesOf = (triggers: Triggers, n: number): readonly string[] => [...(triggers.get(n)?.keys() ?? [])];

/** A table is tracked by its key unless there is none or a row has a null in it. */
export const isKeyed = (connection: Connection, table: SqliteTable): boolean =>
  table.key.length > 0 && !hasNullKey(connection, table);

/** True when every change since tracking began must have been seen. */
export function isComplete(tracking: Tracking, table: SqliteTable, triggers: Triggers): boolean {
  const there = triggers.get(tracking.n);
  return expectedTriggers(tracking, table).every(({ name, sql }) => there?.get(name) === sql);
}

/** Triggers for indexes that are gone: they do no harm but cost time. */
export function superfluous(tracking: Tracking, table: SqliteTable, triggers: Triggers): readonly string[] {
  const expected = new Set(expectedTriggers(tracking, table).map((trigger) => trigger.name));
  return namesOf(triggers, tracking.n).filter((name) => !expected.has(name));
}

const expectations = new WeakMap<SqliteTable, { readonly id: string; readonly triggers: readonly Trigger[] }>();

/** The triggers of a table, made once as long as neither it nor its tracking changes. */
function expectedTriggers({ id, n, keyed }: Tracking, table: SqliteTable): readonly Trigger[] {
  const known = expectations.get(table);
  if (known?.id === id) return known.triggers;
  const triggers = triggersOf(n, table, keyed);
  expectations.set(table, { id, triggers });
  return triggers;
}

/** SQL that makes a table tracked. */
export const trackingDdl = (n: number, table: SqliteTable, keyed: boolean): readonly string[] => [
  ...sideTableSql(n, table, keyed),
  ...triggersOf(n, table, keyed).map((trigger) => trigger.sql),
];

/** Begins tracking of a table anew. Inside a write transaction. */
export function startTracking(connection: Connection, table: SqliteTable, random: Random): Tracking {
  let n = Number(connection.value('SELECT ifnull(max(n), 0) + 1 FROM speil_tracked'));
  while (tableExists(connection, sideTable(n))) n++;
  const tracking = { n, table: table.name, id: random.uuid(), keyed: isKeyed(connection, table) };
  for (const sql of trackingDdl(n, table, tracking.keyed)) connection.exec(sql);
  connection.run(
    'INSERT INTO speil_tracked VALUES (?, ?, ?, ?)',
    BigInt(n),
    table.name,
    tracking.id,
    tracking.keyed ? 1n : 0n,
  );
  return tracking;
}

/** Ends tracking of a table, whatever became of it; answers what was removed. Inside a write transaction. */
export function stopTracking(connection: Connection, tracking: Tracking): readonly string[] {
  const names = namesOf(readTriggers(connection), tracking.n);
  for (const name of names) connection.exec(`DROP TRIGGER ${quoteName(name)}`);
  connection.exec(`DROP TABLE IF EXISTS ${sideTable(tracking.n)}`);
  connection.run('DELETE FROM speil_tracked WHERE n = ?', BigInt(tracking.n));
  connection.run('DELETE FROM speil_clock WHERE n = ?', BigInt(tracking.n));
  return [...names.map((name) => `trigger ${name}`), `table ${sideTable(tracking.n)}`];
}

/** Removes everything of ours; answers what. Inside a write transaction. */
export function removeAll(connection: Connection): readonly string[] {
  if (!hasCatalog(connection)) return [];
  const removed = [...readTracked(connection).tables.values()].flatMap((tracking) =>
    stopTracking(connection, tracking),
  );
  for (const table of CATALOG_TABLES) connection.exec(`DROP TABLE IF EXISTS ${table}`);
  return [...removed, ...CATALOG_TABLES.map((table) => `table ${table}`)];
}

/** The newest change of each tracked table, by its number. */
export function readHeads(connection: Connection, tracked: Tracked): ReadonlyMap<number, Head> {
  const numbers = [...tracked.tables.values()].map((tracking) => tracking.n);
  const heads = new Map<number, Head>();
  for (let at = 0; at < numbers.length; at += HEADS_AT_ONCE) {
    const sql = numbers
      .slice(at, at + HEADS_AT_ONCE)
      .map(headSql)
      .join(' UNION ALL ');
    for (const [n, lsn, tag] of connection.all(sql))
      heads.set(Number(n), { lsn: BigInt(lsn as bigint), tag: BigInt(tag as bigint) });
  }
  return heads;
}

const headSql = (n: number): string =>
  `SELECT * FROM (SELECT ${n}, lsn, tag FROM ${sideTable(n)} ORDER BY lsn DESC LIMIT 1)`;

/** The tag of a change; null when it is not kept. */
export const readTag = (connection: Connection, tracking: Tracking, lsn: bigint): bigint | null =>
  connection.value(`SELECT tag FROM ${sideTable(tracking.n)} WHERE lsn = ?`, lsn) as bigint | null;

/** The oldest change that is kept. */
export const readOldest = (connection: Connection, tracking: Tracking): bigint =>
  connection.value(`SELECT min(lsn) FROM ${sideTable(tracking.n)}`) as bigint;

export function lastBookmark(connection: Connection): string | null {
  const id = hasCatalog(connection) ? connection.value('SELECT id FROM speil_bookmark ORDER BY n DESC LIMIT 1') : null;
  return id === null ? null : String(id);
}

export const knowsBookmark = (connection: Connection, id: string): boolean =>
  hasCatalog(connection) && connection.get('SELECT 1 FROM speil_bookmark WHERE id = ?', id) !== undefined;

/** Inside a write transaction. */
export function addBookmark(connection: Connection, id: string, now: number): void {
  connection.run('INSERT INTO speil_bookmark(id, left_at) VALUES (?, ?)', id, BigInt(now));
}
