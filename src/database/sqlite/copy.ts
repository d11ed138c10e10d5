import { SpeilError } from '../../core/error.ts';
import type { CopyChunk } from '../../core/row-batch.ts';
import type { TableName, TableSchema } from '../../core/table.ts';
import type { CopyOptions } from '../source-database.ts';
import type { CatalogReader } from './catalog.ts';
import type { Connection } from './connection.ts';
import type { SqliteTable } from './introspect.ts';
import { nextTurn } from './next-turn.ts';
import { type Cursor, type RowChunk, RowReader, tableQuery } from './row-reader.ts';
import { quoteName } from './sql-text.ts';
import { boundOfTagged, parameter, placeholder } from './values.ts';

/** Where a copy stands. */
type Progress = { readonly after: Cursor | null; readonly schemaVersion: string };

/** What a mirror gives back, which may be somebody else's. */
function parseProgress(text: string, { name }: TableName): Progress {
  try {
    const { after, schemaVersion } = JSON.parse(text) as Progress;
    if (typeof schemaVersion === 'string' && (after === null || isCursor(after))) return { after, schemaVersion };
  } catch {
    // Said below.
  }
  throw new SpeilError('SCHEMA_CHANGED', `how far the copy of ${name} is, is unreadable.`, {
    recovery: 'repopulate',
    hint: 'Nothing to do: the copy begins anew.',
  });
}

/** Throws for fields without a tag. */
const isCursor = (after: unknown): boolean =>
  Array.isArray(after) && after.every((field) => field === '' || boundOfTagged(String(field)) !== null);

/** All rows of a table, each chunk in a read transaction of its own. `open` gives the connection to the file of now. */
export async function* copyTable(
  open: () => { readonly connection: Connection; readonly catalog: CatalogReader },
  schema: TableSchema,
  options: CopyOptions,
): AsyncGenerator<CopyChunk, void, undefined> {
  let progress = options.progress === null ? null : parseProgress(options.progress, schema.table);
  for (let done = false; !done; ) {
    options.signal.throwIfAborted();
    const source = open();
    const step = source.connection.read(() => copyStep(source, { schema, progress, chunkBytes: options.chunkBytes }));
    ({ progress, done } = step);
    yield { rows: step.rows, rowCount: step.rowCount, progress: JSON.stringify(progress), done };
    await nextTurn();
  }
}

type StepRequest = { readonly schema: TableSchema; readonly progress: Progress | null; readonly chunkBytes: number };
type Step = Omit<RowChunk, 'cursor'> & { readonly progress: Progress };

function copyStep(
  { connection, catalog }: { readonly connection: Connection; readonly catalog: CatalogReader },
  { schema, progress, chunkBytes }: StepRequest,
): Step {
  const now = catalog.read();
  const { table, tracking } = catalog.require(now, schema);
  const schemaVersion = String(now.schemaVersion);
  const after = progress?.after ?? null;
  if (after !== null && progress?.schemaVersion !== schemaVersion) requireInPlace(connection, table, after);
  const reader = new RowReader(connection, tableQuery(table, tracking.keyed));
  const { rows, rowCount, done, cursor } = reader.read(after, chunkBytes);
  return { rows, rowCount, done, progress: { after: cursor, schemaVersion } };
}

/**
 * VACUUM may number the rows of a table anew when no column is its rowid. It keeps their order and moves the schema's
 * version, so a row that is still under its number vouches for all before it.
 */
function requireInPlace(connection: Connection, table: SqliteTable, [rowid, ...key]: Cursor): void {
  if (table.rowid === null || table.rowidColumn !== null || rowid === undefined) return;
  if (key.length > 0 && isAt(connection, table, { rowid, key })) return;
  throw new SpeilError('SCHEMA_CHANGED', `${table.name} may have been renumbered by VACUUM since its copy was begun.`, {
    recovery: 'repopulate',
    hint: 'Nothing to do: the copy begins anew.',
  });
}

function isAt(connection: Connection, table: SqliteTable, at: { rowid: string; key: Cursor }): boolean {
  const encoding = String(connection.value('PRAGMA encoding'));
  const bound = [at.rowid, ...at.key].map(boundOfTagged);
  const columns = [table.rowid ?? '', ...table.key.map((part) => quoteName(part.name))];
  const conditions = bound.map((value, index) => `${columns[index]} = ${placeholder(value)}`);
  const sql = `SELECT 1 FROM main.${quoteName(table.name)} WHERE ${conditions.join(' AND ')}`;
  return connection.get(sql, ...bound.map((value) => parameter(value, encoding))) !== undefined;
}
