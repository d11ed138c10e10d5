import { createHash } from 'node:crypto';
import type { KeyPart, SqliteTable, UniqueIndex } from './introspect.ts';
import { quoteName } from './sql-text.ts';

/** A trigger of change tracking: its name and the SQL that makes it, as `sqlite_schema` keeps it. */
export type Trigger = { readonly name: string; readonly sql: string };

export const sideTable = (n: number): string => `speil_change_${n}`;
const triggerPrefix = (n: number): string => `speil_${n}_`;
/** The number of the tracked table that a trigger belongs to; null for triggers that are not ours. */
export const trackedNumber = (trigger: string): number | null =>
  Number(/^speil_(\d+)_/.exec(trigger)?.[1] ?? 0) || null;
/** The columns of a side table that hold the key. They have no type, so that values stay as they are. */
export const sideKey = (index: number): string => `k${index + 1}`;

/** SQL that makes the side table of a tracked table, with a first row so that there always is a last one. */
export function sideTableSql(n: number, table: SqliteTable, keyed: boolean): readonly string[] {
  const keys = keyed ? table.key.map((_, index) => `, ${sideKey(index)}`).join('') : '';
  return [
    `CREATE TABLE ${sideTable(n)}(lsn INTEGER PRIMARY KEY, tag INTEGER NOT NULL${keys})`,
    `INSERT INTO ${sideTable(n)}(lsn, tag) VALUES (1, random())`,
  ];
}

/** Every trigger that a table needs so that no change of it is missed. */
export const triggersOf = (n: number, table: SqliteTable, keyed: boolean): readonly Trigger[] =>
  keyed ? keyedTriggers(n, table) : keylessTriggers(n, table);

/** Without a key it only counts that something changed. */
function keylessTriggers(n: number, table: SqliteTable): readonly Trigger[] {
  const count = `UPDATE ${sideTable(n)} SET lsn = lsn + 1, tag = random()`;
  return [
    trigger(n, table, { suffix: 'i', when: 'AFTER INSERT', body: count }),
    trigger(n, table, { suffix: 'u', when: 'AFTER UPDATE', body: count }),
    trigger(n, table, { suffix: 'd', when: 'AFTER DELETE', body: count }),
  ];
}

function keyedTriggers(n: number, table: SqliteTable): readonly Trigger[] {
  const log = (row: string) => `${insertInto(n, table)} SELECT random(), ${keyOf(table, row)}`;
  const logMoved = `${log('OLD')} WHERE ${table.key.map(keyMoved).join(' OR ')}`;
  return [
    trigger(n, table, { suffix: 'i', when: 'AFTER INSERT', body: log('NEW') }),
    trigger(n, table, { suffix: 'u', when: 'AFTER UPDATE', body: `${logMoved}; ${log('NEW')}` }),
    trigger(n, table, { suffix: 'd', when: 'AFTER DELETE', body: log('OLD') }),
    ...table.replacing.flatMap((index) => replaceTriggers(n, table, index)),
    ...rowidTriggers(n, table),
  ];
}

const keyOf = (table: SqliteTable, row: string): string =>
  table.key.map((part) => `${row}.${quoteName(part.name)}`).join(', ');

const insertInto = (n: number, table: SqliteTable): string =>
  `INSERT INTO ${sideTable(n)}(tag, ${table.key.map((_, index) => sideKey(index)).join(', ')})`;

/** Two keys that SQLite takes for equal may still be two to a mirror: `a` and `A` under NOCASE, 1 and 1.0 without a type. */
function keyMoved({ name, affinity }: KeyPart): string {
  const column = quoteName(name);
  const differs = `OLD.${column} COLLATE BINARY IS NOT NEW.${column}`;
  return affinity === 'BLOB' ? `${differs} OR typeof(OLD.${column}) <> typeof(NEW.${column})` : differs;
}

/**
 * A row that REPLACE removes fires no delete trigger, unless recursive triggers are on. So rows that a new row would
 * replace are logged before. A row that is logged and then not replaced does no harm.
 */
function replaceTriggers(n: number, table: SqliteTable, index: UniqueIndex): readonly Trigger[] {
  const id = createHash('sha256').update(JSON.stringify(index)).digest('hex').slice(0, 8);
  const conflicts = index.parts.map((part) => conflict(table, part));
  const condition = index.condition === null ? [] : [`(${index.condition})`];
  const body = logRows(n, table, [...conflicts, ...condition]);
  const isMoved = index.parts.map(
    (part) => `OLD.${quoteName(part.name)} COLLATE BINARY IS NOT NEW.${quoteName(part.name)}`,
  );
  const guard = index.condition === null ? ` WHEN ${isMoved.join(' OR ')}` : '';
  return [
    trigger(n, table, { suffix: `ri_${id}`, when: 'BEFORE INSERT', body }),
    trigger(n, table, { suffix: `ru_${id}`, when: 'BEFORE UPDATE', guard, body }),
  ];
}

/** REPLACE also puts the default where a null may not be. */
function conflict(table: SqliteTable, part: UniqueIndex['parts'][number]): string {
  const column = table.columns.find((candidate) => candidate.name === part.name);
  const name = quoteName(part.name);
  const value = column?.notNull && column.default !== null ? `ifnull(NEW.${name}, (${column.default}))` : `NEW.${name}`;
  return `t.${name} = ${value} COLLATE ${part.collation}`;
}

const logRows = (n: number, table: SqliteTable, conditions: readonly string[]): string =>
  `${insertInto(n, table)} SELECT random(), ${keyOf(table, 't')} FROM ${quoteName(table.name)} AS t WHERE ${conditions.join(' AND ')}`;

/** Rows can also be replaced by giving another one their rowid. */
function rowidTriggers(n: number, table: SqliteTable): readonly Trigger[] {
  const { rowid } = table;
  if (table.withoutRowid || table.rowidColumn !== null || rowid === null) return [];
  const body = logRows(n, table, [`t.${rowid} = NEW.${rowid}`]);
  const guard = ` WHEN OLD.${rowid} <> NEW.${rowid}`;
  return [
    trigger(n, table, { suffix: 'ri_rowid', when: 'BEFORE INSERT', body }),
    trigger(n, table, { suffix: 'ru_rowid', when: 'BEFORE UPDATE', guard, body }),
  ];
}

type TriggerText = { readonly suffix: string; readonly when: string; readonly guard?: string; readonly body: string };

function trigger(n: number, table: SqliteTable, { suffix, when, guard = '', body }: TriggerText): Trigger {
  const name = `${triggerPrefix(n)}${suffix}`;
  return {
    name,
    sql: `CREATE TRIGGER ${quoteName(name)} ${when} ON ${quoteName(table.name)}${guard} BEGIN ${body}; END`,
  };
}
