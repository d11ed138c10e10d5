import { SpeilError } from '../core/error.ts';
import { parseLocation } from '../database/parse-location.ts';
import { migrate } from './migrations.ts';

export type Row = Readonly<Record<string, unknown>>;

/** What statements go through: the database itself, or a transaction of it. Values are numbered `$1`, `$2`, … */
export interface CenterSession {
  /** One statement; answers its rows. Throws `CENTER_DATABASE_FAILED`. */
  query<R extends Row = Row>(text: string, values?: readonly unknown[]): Promise<readonly R[]>;
  /** Statements without values, separated by semicolons. */
  exec(text: string): Promise<void>;
  /** For pg-boss, which gives several statements when there are no values, and knows the driver's own errors. */
  executeSql(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
}

/**
 * The operation center's own database: PostgreSQL in the process (PGlite), or a server that several centers share. The
 * same SQL on both. Every failure is `CENTER_DATABASE_FAILED` with recovery `retry`; connections with a server are made anew.
 */
export interface CenterDatabase extends CenterSession, AsyncDisposable {
  readonly kind: 'pglite' | 'postgres';
  /** Where it is, without secrets. */
  readonly display: string;
  /** Commits what `work` did when it returns, undoes it when it throws. Inside, use the session that `work` is given. */
  transaction<T>(work: (session: CenterSession) => Promise<T>): Promise<T>;
  /** What a server's autovacuum does by itself; PGlite has none. Quick when little has changed. */
  tidyUp(): Promise<void>;
}

/** PGlite is in `<dataFolder>/database`, which one process has at a time; `address` is `postgres://…`. */
export type CenterDatabaseLocation = { readonly dataFolder: string } | { readonly address: string };

/**
 * Opens the database and brings its tables up to date. Throws `CONFLICT` when another process has the data folder,
 * `CENTER_DATABASE_FAILED` when it cannot be opened or was written by a newer Speil, `USAGE` for another kind of address.
 */
export async function openCenterDatabase(
  location: CenterDatabaseLocation,
  options: { readonly now: () => number },
): Promise<CenterDatabase> {
  await using opened = new AsyncDisposableStack();
  const database = opened.use(await openUnmigrated(location, options));
  await migrate(database);
  opened.move();
  return database;
}

async function openUnmigrated(
  location: CenterDatabaseLocation,
  options: { readonly now: () => number },
): Promise<CenterDatabase> {
  if ('dataFolder' in location) {
    const { openPGlite } = await import('./database-pglite.ts');
    return openPGlite(location.dataFolder, options);
  }
  const parsed = parseLocation(location.address);
  if (parsed.kind !== 'postgres') {
    throw new SpeilError('USAGE', `An operation center's database cannot be ${parsed.display}.`, {
      hint: 'Write --database postgres://user@host:5432/database, or leave --database away: then it is in the data folder.',
    });
  }
  const { openPostgres } = await import('./database-postgres.ts');
  return openPostgres(parsed);
}
