import type { Clock, Random } from '../../core/clock.ts';
import { errorReport, SpeilError } from '../../core/error.ts';
import type { SourcePosition, Verdict } from '../../core/position.ts';
import type { CopyChunk } from '../../core/row-batch.ts';
import { TableName, type TableSchema } from '../../core/table.ts';
import type {
  CatchUpTable,
  CopyOptions,
  HeldPosition,
  SourceDatabase,
  SourceSnapshot,
  SourceSurvey,
  SurveyedTable,
  TableSelection,
  TrackedTable,
  TrackingReport,
} from '../source-database.ts';
import { beginTrackingDdl, enableAlwaysDdl, judgeTracking, SETUP_DDL } from './change-tracking.ts';
import { PostgresConnection, type PostgresLocation } from './connection.ts';
import { copyTable } from './copy.ts';
import { judge, makeDurable, positionAt, readFacts, readPresent, Snapshot } from './history.ts';
import { type Catalogue, CatalogueReader, type PostgresTable, readCatalogue } from './introspect.ts';
import { missingInDatabase, missingOnTables } from './privileges.ts';
import { openPostgresSnapshot, type TrackedPostgresTable } from './snapshot.ts';
import { leaveBookmark, pruneTracking } from './tracking-retention.ts';
import { readTracking } from './tracking-state.ts';
import { applyTracking, removeTracking, setUpTracking } from './tracking-store.ts';

type Dependencies = { readonly clock: Clock; readonly random: Random };

export async function openPostgresSource(location: PostgresLocation, deps: Dependencies): Promise<SourceDatabase> {
  const control = await PostgresConnection.open(location, 'speil source');
  return new PostgresSource(location, control, deps);
}

class PostgresSource implements SourceDatabase {
  readonly display: string;
  readonly instance: string;
  readonly #location: PostgresLocation;
  readonly #deps: Dependencies;
  #control: PostgresConnection;
  #reader: PostgresConnection | null = null;
  #selection: TableSelection = { schemas: null };
  readonly #catalogueReader = new CatalogueReader();
  /** What `listTables` read, for the `enableTracking` that follows it. */
  #catalogue: Catalogue | null = null;
  #tracked: ReadonlyMap<string, TrackedPostgresTable> = new Map();

  constructor(location: PostgresLocation, control: PostgresConnection, deps: Dependencies) {
    this.display = location.display;
    this.instance = control.instance;
    this.#location = location;
    this.#control = control;
    this.#deps = deps;
  }

  async survey(selection: TableSelection): Promise<SourceSurvey> {
    this.#selection = selection;
    const control = await this.#connection();
    const catalogue = await readCatalogue(control, selection);
    const tracking = await readTracking(control);
    const missing = await missingInDatabase(control, tracking.isSetUp);
    const missingByTable = await missingOnTables(control, catalogue.tables);
    const surveyed = (table: PostgresTable): SurveyedTable => {
      const state = tracking.tables.get(table.oid);
      const step = judgeTracking(table, state, tracking.triggersNow);
      const isNew = step.kind === 'begin';
      return {
        schema: { ...table.schema, identity: isNew ? '' : (state?.trackingId ?? '') },
        estimatedRows: table.estimatedRows,
        estimatedBytes: table.estimatedBytes,
        tracked: !isNew,
        locked: catalogue.locked.includes(table),
        trackingDdl: isNew
          ? [...beginTrackingDdl(table, 0), ...table.writable.flatMap(enableAlwaysDdl)].map(forPlan)
          : [],
        missing: missingByTable.get(table.oid) ?? [],
        notes: catalogue.locked.includes(table) ? [...table.notes, LOCKED_NOTE] : table.notes,
      };
    };
    return {
      tables: catalogue.tables.map(surveyed),
      excluded: catalogue.excluded,
      missing,
      notes: tracking.isSetUp ? [] : SETUP_DDL,
    };
  }

  async listTables(selection: TableSelection): Promise<readonly TableName[]> {
    this.#selection = selection;
    this.#catalogue = await this.#catalogueReader.read(await this.#connection(), selection);
    return this.#catalogue.tables.map((table) => table.schema.table);
  }

  async enableTracking(tables: readonly TableName[]): Promise<TrackingReport> {
    const control = await this.#connection();
    const wanted = new Set(tables.map(TableName.toText));
    const catalogue = this.#catalogue ?? (await this.#catalogueReader.read(control, this.#selection));
    this.#catalogue = null;
    const chosen = catalogue.tables.filter((table) => wanted.has(TableName.toText(table.schema.table)));
    await setUpTracking(control, this.#deps.random);
    const locked = chosen.filter((table) => catalogue.locked.includes(table));
    const free = chosen.filter((table) => !locked.includes(table));
    const outcome = await applyTracking(control, free, this.#deps.random);
    this.#tracked = new Map(outcome.tracked.map((entry) => [TableName.toText(entry.table.schema.table), entry]));
    return {
      tables: outcome.tracked.map(toReport),
      refused: [...outcome.refused, ...locked.map(asLocked)].map(({ table, error }) => ({
        table: table.schema.table,
        error: errorReport(error),
      })),
      notes: outcome.notes,
    };
  }

  async judge(held: readonly HeldPosition[]): Promise<readonly Verdict[]> {
    const positions = held.map(({ position }) => position);
    const facts = await readFacts(await this.#connection(), positions);
    return held.map(({ table, position }) => judge(position, table, facts));
  }

  async leaveBookmark(): Promise<void> {
    await leaveBookmark(await this.#connection(), this.#deps);
  }

  async copyStart(table: TableSchema): Promise<SourcePosition> {
    const control = await this.#connection();
    const present = await readPresent(control);
    await makeDurable(control);
    return positionAt(present, table.identity);
  }

  async *copy(table: TableSchema, options: CopyOptions): AsyncGenerator<CopyChunk> {
    for await (const chunk of copyTable(await this.#readerConnection(), this.#find(table.table).table, options)) {
      await makeDurable(await this.#connection());
      yield chunk;
    }
  }

  async openSnapshot(tables: readonly CatchUpTable[], signal: AbortSignal): Promise<SourceSnapshot> {
    const found = tables.map((table) => ({ ...table, tracked: this.#find(table.schema.table) }));
    await using opened = new AsyncDisposableStack();
    const snapshot = opened.use(await openPostgresSnapshot(await this.#readerConnection(), found, signal));
    await makeDurable(await this.#connection());
    opened.move();
    return snapshot;
  }

  async isUnchangedSince(lastSnapshot: string): Promise<boolean> {
    const control = await this.#connection();
    const { now } = await control.one<{ now: string }>('SELECT pg_current_snapshot()::text AS now');
    const then = Snapshot.parse(lastSnapshot);
    return Snapshot.parse(now).xmax === then.xmax && then.running.length === 0;
  }

  async prune(): Promise<void> {
    await pruneTracking(await this.#connection());
  }

  async untrack(): Promise<readonly string[]> {
    return removeTracking(await this.#connection());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#control[Symbol.asyncDispose](), this.#reader?.[Symbol.asyncDispose]()]);
  }

  #find(name: TableName): TrackedPostgresTable {
    const tracked = this.#tracked.get(TableName.toText(name));
    if (tracked !== undefined) return tracked;
    throw new SpeilError('INTERNAL', `${TableName.toText(name)} is not tracked: enableTracking comes first`);
  }

  async #connection(): Promise<PostgresConnection> {
    if (!this.#control.isUsable) this.#control = await PostgresConnection.open(this.#location, 'speil source');
    return this.#control;
  }

  async #readerConnection(): Promise<PostgresConnection> {
    if (this.#reader !== null && !this.#reader.isUsable) await this.#reader[Symbol.asyncDispose]();
    if (!this.#reader?.isUsable) this.#reader = await PostgresConnection.open(this.#location, 'speil reader');
    return this.#reader;
  }
}

const LOCKED_NOTE = 'another session holds it exclusively: its size and defaults could not be read';

const asLocked = (table: PostgresTable) => ({
  table,
  error: new SpeilError(
    'LOCK_TIMEOUT',
    `${TableName.toText(table.schema.table)} is held exclusively by another session`,
    {
      hint: 'See pg_locks and pg_stat_activity. The next cycle tries again.',
      recovery: 'retry',
    },
  ),
});

const toReport = ({ table, trackingId, isNew }: TrackedPostgresTable): TrackedTable => ({
  schema: { ...table.schema, identity: trackingId },
  estimatedRows: table.estimatedRows,
  estimatedBytes: table.estimatedBytes,
  newlyTracked: isNew,
});

/** A plan names the number that the table will get by a letter. */
const forPlan = (sql: string): string => sql.replaceAll('_0', '_<n>').replace(/\s+/g, ' ');
