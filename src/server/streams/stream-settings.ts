import { availableParallelism } from 'node:os';
import type { CacheSizes } from '../executor/connections.ts';

/** Bounds of the streams of a database. */
export type StreamSettings = {
  readonly streamsMax: number;
  /** Streams that have a connection of their own (a transaction, temporary tables, a cursor). */
  readonly ownConnectionsMax: number;
  readonly readersMax: number;
  /** Programs that wait to write, and as many that wait to read. */
  readonly waitingMax: number;
  /** How long a program waits for its turn before it is answered `SQLITE_BUSY`. */
  readonly waitMsMax: number;
  /** How long a transaction that holds the write ticket may be left alone between two requests. */
  readonly writeIdleMsMax: number;
  /** The same for other transactions and for cursors, which keep the WAL from beginning again. */
  readonly readIdleMsMax: number;
  /** How long a program that reads may run; null: as long as it takes. */
  readonly readMsMax: number | null;
  readonly writeMsMax: number | null;
  /** How long an executor that is not needed stays. */
  readonly executorIdleMsMax: number;
  readonly cache: CacheSizes;
};

export const STREAM_SETTINGS: StreamSettings = {
  streamsMax: 10_000,
  ownConnectionsMax: 1_000,
  readersMax: Math.max(4, 2 * availableParallelism()),
  waitingMax: 10_000,
  waitMsMax: 30_000,
  writeIdleMsMax: 5_000,
  readIdleMsMax: 60_000,
  readMsMax: 300_000,
  writeMsMax: null,
  executorIdleMsMax: 60_000,
  cache: { sharedKiB: 65_536, ownKiB: 2_048 },
};

/** What is told of programs as they end: for metrics. All are called synchronously. */
export type StreamObserver = {
  /** `waitMs`: until it was sent to an executor; `runMs`: from then until it was answered and settled. */
  onProgram?(report: { readonly isWrite: boolean; readonly waitMs: number; readonly runMs: number }): void;
  onCancelled?(): void;
  /** An executor ended that had not been told to. `diagnosis`: its last words. */
  onExecutorLost?(report: { readonly role: 'writer' | 'pool'; readonly diagnosis: string }): void;
};
