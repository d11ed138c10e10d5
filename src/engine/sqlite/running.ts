import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { DiskFile } from '../../core/disk.ts';
import { SpeilError } from '../../core/error.ts';
import { BLOCK_PAYLOAD_BYTES_MAX } from '../../journal/block.ts';
import type { Journal } from '../../journal/journal.ts';
import { Capture } from './capture.ts';
import { Checkpointer, REDO_BYTES_DEFAULT, WAL_BYTES_DEFAULT } from './checkpointer.ts';
import { CommitGate, type Hardened } from './commit-gate.ts';
import type { EngineOptions } from './engine-options.ts';
import { Keeper } from './keeper.ts';
import { databasePath, type Recovered } from './recovery.ts';
import type { DatabaseState } from './state.ts';
import { LOADED_BYTES_MAX } from './wal-frames.ts';

/** What is open while a database runs; made anew when unhardened commits had to be undone. */
export type Running = {
  readonly keeper: Keeper;
  readonly capture: Capture;
  readonly databaseFile: DiskFile;
  /** Of the database file, to read from. */
  readonly descriptor: number;
  /** Keeps whoever else closes a connection from being the last one; see {@link openGuard}. */
  readonly guard: DatabaseSync;
  readonly gate: CommitGate;
  readonly checkpointer: Checkpointer;
  /** Aborted when all of this is closed. */
  readonly ending: AbortController;
  /** What reads the file meanwhile, and ends when it is told to. */
  readonly readers: Set<Promise<unknown>>;
  isClosed: boolean;
};

export type Told = {
  readonly onHardened: (hardened: Hardened) => void;
  readonly onFailure: (error: unknown) => unknown;
};

export async function startRunning(
  options: EngineOptions,
  journal: Journal,
  identity: DatabaseState,
  { lsn, checksum }: Recovered,
  told: Told,
): Promise<Running> {
  const { disk, folder, clock, pauseWrites } = options;
  const path = databasePath(folder);
  await using opened = new AsyncDisposableStack();
  const databaseFile = await disk.open(path, 'write');
  opened.defer(() => databaseFile.close());
  const descriptor = opened.adopt(openSync(path, 'r'), closeSync);
  const keeper = opened.use(await Keeper.open(path));
  const guard = opened.adopt(openGuard(path), (it) => it.close());
  const capture = opened.adopt(Capture.open(path, { ...captureBounds(options), databaseChecksum: checksum }), (it) =>
    it[Symbol.dispose](),
  );
  const start = { position: capture.captured, lsn, checksum };
  const gate = new CommitGate({ ...told, capture, journal, clock, start, term: identity.term });
  const checkpointer = new Checkpointer(
    {
      ...{ keeper, gate, journal, disk, folder, databaseFile, pauseWrites, identity, clock },
      onFailure: told.onFailure,
      onCheckpoint: options.onCheckpoint ?? (() => {}),
      pageBytes: () => capture.pageSize,
      walBytes: options.walBytes ?? WAL_BYTES_DEFAULT,
      redoBytes: options.redoBytes ?? REDO_BYTES_DEFAULT,
    },
    start,
  );
  opened.move();
  const watch = { ending: new AbortController(), readers: new Set<Promise<unknown>>(), isClosed: false };
  return { keeper, guard, capture, databaseFile, descriptor, gate, checkpointer, ...watch };
}

/** A block has to fit into a segment of the journal. */
function captureBounds({ segmentBytes = Number.POSITIVE_INFINITY }: EngineOptions) {
  const bytesMax = Math.min(BLOCK_PAYLOAD_BYTES_MAX, segmentBytes / 2);
  return { payloadBytesMax: bytesMax, loadedBytesMax: Math.min(LOADED_BYTES_MAX, bytesMax) };
}

/**
 * Whoever closes the last connection to a database moves its WAL into the file, also what is not hardened. This one is open
 * as long as the process is, and cannot write: when the process ends unasked, in whatever order, nothing is moved.
 */
function openGuard(path: string): DatabaseSync {
  const guard = new DatabaseSync(path, { readOnly: true });
  guard.prepare('SELECT count(*) FROM sqlite_schema').get();
  return guard;
}

/**
 * SQLite's connections first: closing a descriptor of a file drops the locks that they hold on it. In good order, the WAL is
 * empty and goes with the last connection; as it is, it stays, and nothing of it gets into the file.
 */
export async function closeRunning(running: Running, how: 'in good order' | 'as it is'): Promise<void> {
  const { keeper, guard, capture, databaseFile, descriptor, gate, ending, readers } = running;
  if (running.isClosed) return;
  running.isClosed = true;
  const ended = new SpeilError('DATABASE_STOPPED', 'The database has stopped.', { recovery: 'retry' });
  ending.abort(ended);
  gate.close(ended);
  await Promise.allSettled([gate.idle(), ...readers]);
  if (how === 'in good order') guard.close();
  await keeper[Symbol.asyncDispose]();
  if (how === 'as it is') guard.close();
  capture[Symbol.dispose]();
  closeSync(descriptor);
  await databaseFile.close();
}
