import { SpeilError } from '../../core/error.ts';
import type { Connection } from './connection.ts';
import { quoteName } from './sql-text.ts';

type OwnedObject = { readonly kind: string; readonly name: string; readonly sql: string };

/** What the mirror's owner put on a table: indexes and triggers. Views go by the table's name and need no care. */
const ownedBy = (connection: Connection, table: string): readonly OwnedObject[] =>
  connection
    .all(
      `SELECT type, name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND tbl_name = ? AND sql IS NOT NULL`,
      table,
    )
    .map(([kind, name, sql]) => ({ kind: String(kind), name: String(name), sql: String(sql) }));

/** Puts `shadow` in the place of `live`, with all that the owner put on it; answers what could not be kept, in words. */
export function swapTables(connection: Connection, live: string, shadow: string): readonly string[] {
  const owned = ownedBy(connection, live);
  connection.exec(`DROP TABLE IF EXISTS main.${quoteName(live)}`);
  connection.exec(`ALTER TABLE main.${quoteName(shadow)} RENAME TO ${quoteName(live)}`);
  return owned.flatMap((object) => restore(connection, object));
}

function restore(connection: Connection, { kind, name, sql }: OwnedObject): readonly string[] {
  try {
    connection.exec(sql);
    return [];
  } catch (error) {
    if (!connection.inTransaction || !isRefusal(error)) throw error;
    return [
      `The ${kind} ${name} could not be kept: ${error.cause instanceof Error ? error.cause.message : error.message}.`,
    ];
  }
}

/** True when SQLite refused the statement; false for a full disk and the like. */
const isRefusal = (error: unknown): error is SpeilError =>
  error instanceof SpeilError && ['INTERNAL', 'KEY_VIOLATED', 'VALUE_REFUSED'].includes(error.code);
