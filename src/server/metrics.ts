import { collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client';
import type { DatabaseName } from './databases/database-name.ts';
import type { Databases } from './databases/databases.ts';
import type { DatabaseStatus, DatabaseStore, StoreObserver } from './databases/served-database.ts';
import { DurationTally, type HistogramValue } from './duration-tally.ts';

/** What a database's clients did, counted where it is done. */
export class DatabaseTally {
  readonly statements = new DurationTally();
  readonly syncs = new DurationTally();
  readonly checkpoints = new DurationTally();
  readonly pauses = new DurationTally();
  failedStatements = 0;
  slowStatements = 0;
}

export interface ServerMetrics {
  /** Everything in Prometheus' text format. */
  text(): Promise<string>;
  readonly contentType: string;
  tallyOf(database: string): DatabaseTally;
  readonly observer: StoreObserver;
}

/** Asked at every scrape. */
export type Measured = { readonly databases: Databases; readonly store: DatabaseStore };

export function createServerMetrics(measured: () => Measured): ServerMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const tallies = new Map<string, DatabaseTally>();
  const tallyOf = (database: string): DatabaseTally => {
    const known = tallies.get(database) ?? new DatabaseTally();
    tallies.set(database, known);
    return known;
  };
  const forgetDropped = () => {
    const names: ReadonlySet<string> = new Set(measured().databases.names);
    for (const name of tallies.keys()) if (!names.has(name)) tallies.delete(name);
  };
  tallyMetrics(registry, tallies);
  statusMetrics(registry, measured);
  return {
    contentType: registry.contentType,
    text: () => {
      forgetDropped();
      return registry.metrics();
    },
    tallyOf,
    observer: {
      synced: (database: DatabaseName, durationMs) => tallyOf(database).syncs.add(durationMs),
      checkpointed: (database: DatabaseName, { durationMs, pausedMs }) => {
        const tally = tallyOf(database);
        tally.checkpoints.add(durationMs);
        tally.pauses.add(pausedMs);
      },
    },
  };
}

function tallyMetrics(registry: Registry, tallies: ReadonlyMap<string, DatabaseTally>): void {
  const register = (
    name: string,
    help: string,
    type: 'histogram' | 'counter',
    valuesOf: (tally: DatabaseTally, labels: { readonly database: string }) => readonly HistogramValue[],
  ) => {
    const get = async () => ({
      name,
      help,
      type,
      values: [...tallies].flatMap(([database, tally]) => valuesOf(tally, { database })),
      aggregator: 'sum',
    });
    registry.registerMetric({ name, get } as unknown as Metric);
  };
  const histogram = (name: string, help: string, of: (tally: DatabaseTally) => DurationTally) =>
    register(name, help, 'histogram', (tally, labels) => of(tally).values(name, labels));
  const counter = (name: string, help: string, of: (tally: DatabaseTally) => number) =>
    register(name, help, 'counter', (tally, labels) => [{ metricName: name, labels, value: of(tally) }]);
  histogram('speil_statement_duration_seconds', 'How long statements took.', ({ statements }) => statements);
  counter('speil_statements_failed_total', 'Statements that ended with an error.', (tally) => tally.failedStatements);
  counter('speil_statements_slow_total', 'Statements that took long and were logged.', (tally) => tally.slowStatements);
  histogram('speil_journal_sync_duration_seconds', 'How long the journal waited for its disk.', ({ syncs }) => syncs);
  histogram('speil_checkpoint_duration_seconds', 'How long checkpoints took.', ({ checkpoints }) => checkpoints);
  histogram('speil_checkpoint_pause_seconds', 'How long writers waited for checkpoints.', ({ pauses }) => pauses);
}

function statusMetrics(registry: Registry, measured: () => Measured): void {
  const each = (name: string, help: string, read: (status: DatabaseStatus) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['database'],
      registers: [registry],
      collect() {
        this.reset();
        for (const { served } of measured().databases.open) this.set({ database: served.name }, read(served.status()));
      },
    });
  each('speil_database_running', '1 when the database takes writes.', ({ state }) => (state === 'running' ? 1 : 0));
  each('speil_commits', 'Commits that are durable: the LSN.', ({ hardened }) => Number(hardened));
  each('speil_commits_unhardened', 'Commits that are not durable yet.', (s) => Number(s.appended - s.hardened));
  each('speil_commits_after_checkpoint', 'Commits that recovery would redo.', (s) => Number(s.hardened - s.checkpoint));
  each('speil_journal_bytes', 'Bytes of the journal.', ({ journalBytes }) => journalBytes);
  each('speil_database_bytes', 'Bytes of the database file.', ({ fileBytes }) => fileBytes);
  each('speil_wal_bytes', "Bytes of SQLite's WAL, which the next checkpoint takes.", ({ walBytes }) => walBytes);
  each('speil_streams', 'Streams that clients have open.', ({ streams }) => streams);
  each('speil_write_queue_length', 'Writers that wait for the write lock.', ({ waitingWriters }) => waitingWriters);
  executorMetrics(registry, measured);
}

function executorMetrics(registry: Registry, measured: () => Measured): void {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  gauge('speil_executors', "Processes that run the clients' SQL.", () => measured().store.executors().running);
  gauge('speil_executors_busy', 'Those of them that run something.', () => measured().store.executors().busy);
  gauge('speil_databases', 'Databases of this server.', () => measured().databases.names.length);
}
