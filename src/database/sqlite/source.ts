import type { Clock, Random } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import type { SourcePosition, Verdict } from '../../core/position.ts';
import type { CopyChunk } from '../../core/row-batch.ts';
import type { TableName, TableSchema } from '../../core/table.ts';
import type { DatabaseLocation } from '../location.ts';
import type {
  CatchUpTable,
  CopyOptions,
  HeldPosition,
  SourceDatabase,
  SourceSnapshot,
  SourceSurvey,
  TableSelection,
  TrackingReport,
} from '../source-database.ts';
import { CatalogReader } from './catalog.ts';
import { addBookmark, ensureCatalog, lastBookmark, readHeads, removeAll } from './change-tracking.ts';
import { Connection, fileIdentity, realPath } from './connection.ts';
import { copyTable } from './copy.ts';
import { enable } from './enable.ts';
import { type Estimate, estimate } from './estimate.ts';
import { type SqliteTable, tableName } from './introspect.ts';
import { judgeAll, positionAt } from './judge.ts';
import { isPruneDue, prune } from './retention.ts';
import { digestOf, SqliteSnapshot } from './snapshot.ts';
import { survey } from './survey.ts';

export type SqliteLocation = Extract<DatabaseLocation, { kind: 'sqlite' }>;
export type SourceDeps = { readonly clock: Clock; readonly random: Random };

/** Opens a SQLite file as a source. The file must exist. */
export const openSqliteSource = async (location: SqliteLocation, deps: SourceDeps): Promise<SourceDatabase> =>
  new SqliteSource(location, deps);

/** The connections to one file: one to write tracking and read chunks, one for snapshots. */
type OpenFile = {
  /** Tells this opening from every other in descriptions of snapshots. */
  readonly id: string;
  readonly identity: string;
  readonly path: string;
  readonly connection: Connection;
  readonly catalog: CatalogReader;
  readonly snapshots: Connection;
  readonly snapshotCatalog: CatalogReader;
};

type Description = { readonly opened: string; readonly dataVersion: string; readonly digest: string };

class SqliteSource implements SourceDatabase {
  readonly display: string;
  readonly #location: SqliteLocation;
  readonly #deps: SourceDeps;
  readonly #estimates = new Map<string, Estimate>();
  #opened: OpenFile;
  #confirmed: { readonly description: string; readonly dataVersion: string } | null = null;

  constructor(location: SqliteLocation, deps: SourceDeps) {
    this.display = location.display;
    this.#location = location;
    this.#deps = deps;
    this.#opened = openFile(location, deps.random);
  }

  get instance(): string {
    return `sqlite:${this.#opened.identity}`;
  }

  async survey(_selection: TableSelection, signal: AbortSignal): Promise<SourceSurvey> {
    signal.throwIfAborted();
    const { connection, catalog, path } = this.#file();
    return connection.read(() => survey(connection, catalog.read(), path));
  }

  async listTables(_selection: TableSelection, signal: AbortSignal): Promise<readonly TableName[]> {
    signal.throwIfAborted();
    const { connection, catalog } = this.#file();
    return connection.read(() => [...catalog.read().tables.keys()].map(tableName));
  }

  async enableTracking(tables: readonly TableName[], signal: AbortSignal): Promise<TrackingReport> {
    signal.throwIfAborted();
    const { connection, catalog } = this.#file();
    const { started, refused } = await enable({ ...this.#deps, connection, reader: catalog, tables, signal });
    const names = new Set(tables.map(({ name }) => name));
    for (const { table } of refused) names.delete(table.name);
    return connection.read(() => ({ ...this.#report(names, started), refused }));
  }

  #report(names: ReadonlySet<string>, started: ReadonlySet<string>): Pick<TrackingReport, 'tables' | 'notes'> {
    const { catalog } = this.#file();
    const now = catalog.read();
    const found = [...now.tables.values()].flatMap((table) => {
      const tracking = now.tracked.tables.get(table.name);
      return names.has(table.name) && tracking !== undefined ? [{ table, tracking }] : [];
    });
    const tables = found.map(({ table, tracking }) => ({
      schema: catalog.schemaOf(table, tracking),
      newlyTracked: started.has(table.name),
      ...this.#estimate(table, started.has(table.name)),
    }));
    return { tables, notes: found.flatMap(({ table }) => table.notes.map((note) => `${table.name}: ${note}`)) };
  }

  #estimate(table: SqliteTable, anew: boolean): Estimate {
    const known = anew ? undefined : this.#estimates.get(table.name);
    const made = known ?? estimate(this.#opened.connection, table);
    this.#estimates.set(table.name, made);
    return made;
  }

  async judge(held: readonly HeldPosition[], signal: AbortSignal): Promise<readonly Verdict[]> {
    signal.throwIfAborted();
    const { connection, path } = this.#file();
    return connection.read(() => judgeAll(connection, held, path));
  }

  async leaveBookmark(): Promise<void> {
    const { connection } = this.#file();
    const { clock, random } = this.#deps;
    await connection.write(clock, () => {
      ensureCatalog(connection, random);
      addBookmark(connection, random.uuid(), Math.floor(clock.now()));
    });
  }

  async copyStart(schema: TableSchema, signal: AbortSignal): Promise<SourcePosition> {
    signal.throwIfAborted();
    const { connection, catalog, path } = this.#file();
    return connection.read(() => {
      const now = catalog.read();
      const { tracking } = catalog.require(now, schema);
      const head = readHeads(connection, { ...now.tracked, tables: new Map([[tracking.table, tracking]]) }).get(
        tracking.n,
      );
      if (head === undefined) throw new Error(`no changes of ${schema.table.name} are kept`);
      return positionAt(now.tracked, { tracking, head, path, bookmark: lastBookmark(connection) });
    });
  }

  copy(schema: TableSchema, options: CopyOptions): AsyncIterable<CopyChunk> {
    return copyTable(() => this.#file(), schema, options);
  }

  async openSnapshot(tables: readonly CatchUpTable[], signal: AbortSignal): Promise<SourceSnapshot> {
    signal.throwIfAborted();
    const file = this.#file();
    const dataVersion = dataVersionOf(file.connection);
    const describe = (digest: string) => JSON.stringify({ opened: file.id, dataVersion, digest } satisfies Description);
    const { snapshots: connection, snapshotCatalog: reader, path } = file;
    return new SqliteSnapshot({ connection, reader, path, tables, signal, describe });
  }

  async isUnchangedSince(lastSnapshot: string, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    const { id, connection, catalog } = this.#file();
    const last = JSON.parse(lastSnapshot) as Description;
    if (last.opened !== id) return false;
    const dataVersion = dataVersionOf(connection);
    if (last.dataVersion === dataVersion || this.#isConfirmed(lastSnapshot, dataVersion)) return true;
    const digest = connection.read(() => {
      const now = catalog.read();
      return digestOf(now, readHeads(connection, now.tracked));
    });
    if (digest !== last.digest) return false;
    this.#confirmed = { description: lastSnapshot, dataVersion };
    return true;
  }

  #isConfirmed(description: string, dataVersion: string): boolean {
    return this.#confirmed?.description === description && this.#confirmed.dataVersion === dataVersion;
  }

  async prune(signal: AbortSignal): Promise<void> {
    const { connection } = this.#file();
    const now = this.#deps.clock.now();
    if (!connection.read(() => isPruneDue(connection, now))) return;
    await connection.write(this.#deps.clock, () => prune(connection, now), signal);
  }

  async untrack(signal: AbortSignal): Promise<readonly string[]> {
    const { connection } = this.#file();
    return connection.write(this.#deps.clock, () => removeAll(connection), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeFile(this.#opened);
  }

  /** The file that lies under the path now: another one may have been put there since. */
  #file(): OpenFile {
    const identity = fileIdentity(this.#opened.path);
    if (identity === this.#opened.identity) return this.#opened;
    if (identity === '') throw fileGone(this.display);
    closeFile(this.#opened);
    this.#opened = openFile(this.#location, this.#deps.random);
    return this.#opened;
  }
}

function openFile(location: SqliteLocation, random: Random): OpenFile {
  const path = realPath(location.path);
  const options = { display: location.display, access: 'read-write' } as const;
  const connection = new Connection(path, options);
  const snapshots = new Connection(path, options);
  return {
    id: random.uuid(),
    identity: fileIdentity(path),
    path,
    connection,
    catalog: new CatalogReader(connection),
    snapshots,
    snapshotCatalog: new CatalogReader(snapshots),
  };
}

function closeFile(file: OpenFile): void {
  file.snapshots[Symbol.dispose]();
  file.connection[Symbol.dispose]();
}

const dataVersionOf = (connection: Connection): string => String(connection.value('PRAGMA data_version'));

const fileGone = (display: string): SpeilError =>
  new SpeilError('FILE_MISSING', `${display}: the file is no longer there.`, {
    recovery: 'retry',
    hint: 'Put the file back.',
  });
