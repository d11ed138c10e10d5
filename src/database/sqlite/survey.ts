import { dirname } from 'node:path';
import type { MissingPrivilege, SourceSurvey, SurveyedTable } from '../source-database.ts';
import type { Catalog } from './catalog.ts';
import { isKeyed, trackingDdl } from './change-tracking.ts';
import { type Connection, isWritable } from './connection.ts';
import { isTracked } from './enable.ts';
import { estimate } from './estimate.ts';
import { hasNullKey, type SqliteTable, toSchema } from './introspect.ts';

/** What is there and what tracking would do to it. Inside a read transaction. */
export function survey(connection: Connection, catalog: Catalog, path: string): SourceSurvey {
  let nextNumber = Math.max(0, ...[...catalog.tracked.tables.values()].map(({ n }) => n)) + 1;
  const tables = [...catalog.tables.values()].map((table) => {
    const surveyed = surveyTable(connection, catalog, table, nextNumber);
    if (!surveyed.tracked) nextNumber++;
    return surveyed;
  });
  return { tables, excluded: catalog.excluded, missing: missingAccess(path), notes: journalNotes(connection) };
}

function surveyTable(connection: Connection, catalog: Catalog, table: SqliteTable, n: number): SurveyedTable {
  const tracked = isTracked(connection, catalog, table);
  const keyed = isKeyed(connection, table);
  const identity = tracked ? (catalog.tracked.tables.get(table.name)?.id ?? '') : '';
  return {
    schema: toSchema(table, { identity, keyed }),
    ...estimate(connection, table),
    tracked,
    trackingDdl: tracked ? [] : trackingDdl(n, table, keyed),
    missing: [],
    notes: [...table.notes, ...nullKeyNotes(connection, table)],
  };
}

const nullKeyNotes = (connection: Connection, table: SqliteTable): readonly string[] =>
  hasNullKey(connection, table)
    ? ['A row has a null in its primary key, so the table is copied whole whenever it changed.']
    : [];

/** What of the file and its folder this process may not write. */
export function missingAccess(path: string): readonly MissingPrivilege[] {
  return [path, dirname(path)]
    .filter((place) => !isWritable(place))
    .map((place) => ({ what: `write ${place}`, grant: `chmod u+w '${place}'`, required: true }));
}

function journalNotes(connection: Connection): readonly string[] {
  if (connection.value('PRAGMA journal_mode') === 'wal') return [];
  return ['Writers wait while a cycle reads its snapshot. They need not with `PRAGMA journal_mode=WAL`.'];
}
