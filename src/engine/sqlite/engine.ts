import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Clock } from '../../core/clock.ts';
import type { Disk, DiskFile } from '../../core/disk.ts';
import { SpeilError } from '../../core/error.ts';
import type { Lineage } from '../../core/lineage.ts';
import type { Lsn } from '../../core/lsn.ts';
import type { Term } from '../../core/term.ts';
import type { Journal } from '../../journal/journal.ts';
import { openJournal } from '../../journal/open-journal.ts';
import { type Backup, type BackupOptions, backUp } from './backup.ts';
import { Capture } from './capture.ts';
import { CHECKPOINT_HOLDER, Checkpointer, REDO_BYTES_DEFAULT, WAL_BYTES_DEFAULT } from './checkpointer.ts';
import { CommitGate, type Hardened, type HardenedMark } from './commit-gate.ts';
import { isDiskFull } from './disk-full.ts';
import { lookAt } from './file-look.ts';
import { Keeper } from './keeper.ts';
import { makeCurrent, refuseOldSqlite } from './open-file.ts';
import { databasePath, type Recovered, type RecoveryProgress, recover } from './recovery.ts';
import { type DatabaseState, readState, writeState } from './state.ts';
import type { WalPosition } from './wal-index.ts';

export type EngineOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  /** Holds the database file, its state and its journal. */
  readonly folder: string;
  readonly segmentBytes?: number | undefined;
  readonly walBytes?: number | undefined;
  readonly redoBytes?: number | undefined;
  /** Resolves when no write is under way; none begins before it is disposed. */
  readonly pauseWrites: () => Promise<Disposable>;
  /** Closes every other connection to the database: its file is about to be put back to what is hardened, or it has stopped. */
  readonly detach: (why: 'undo' | 'stopped') => Promise<void>;
  /** Connections may be opened again. */
  readonly attach: () => void;
  readonly onHardened?: ((hardened: Hardened) => void) | undefined;
  readonly onProgress?: ((progress: RecoveryProgress) => void) | undefined;
  /** Told when the state changes by itself: the disk is full or has room again, or the database has stopped. */
  readonly onState?: ((state: EngineState, error: unknown) => void) | undefined;
};

/**
 * `disk-full`: reads go on, writes are refused until there is room. `stopped`: nothing goes on; what is durable is not known
 * in this process any more, and only opening the database again finds out.
 */
export type EngineState = 'running' | 'disk-full' | 'stopped';

/** Where the WAL ended when somebody looked, in this process or another. */
export type WalEnd = Pick<WalPosition, 'salt1' | 'salt2' | 'frames'>;

/** What is open while a database runs; made anew when unhardened commits had to be undone. */
type Running = {
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

/** Room in the journal below which more is made, ahead of need. */
const ROOM_BYTES_MIN = 16 << 20;
const BACKUP_HOLDER = 'backup-';
/** How often room is looked for while the disk is full. */
const ROOM_RETRY_MS = 500;

/**
 * One database under a journal: its file is SQLite's, written to by whoever has a connection in WAL mode, and nothing that
 * was committed is let out before it is hardened ({@link CommitGate}). The connections that run clients' SQL are not its own.
 */
export class SqliteEngine implements AsyncDisposable {
  readonly #options: EngineOptions;
  readonly #journal: Journal;
  readonly #databaseState: DatabaseState;
  #running: Running;
  #state: EngineState = 'running';
  #failure: unknown = null;
  #changing: Promise<void> = Promise.resolve();
  #backups = 0;
  #roomSoughtMs = Number.NEGATIVE_INFINITY;
  #makingRoom: Promise<void> | null = null;

  private constructor(options: EngineOptions, journal: Journal, state: DatabaseState, running: Running) {
    this.#options = options;
    this.#journal = journal;
    this.#databaseState = state;
    this.#running = running;
  }

  /**
   * Opens the database in a folder, after any end that it had. Rejects with `NOT_FOUND`, `TOO_OLD`, `FILE_CHANGED`,
   * `DATABASE_DAMAGED`, `JOURNAL_DAMAGED`.
   */
  static async open(options: EngineOptions): Promise<SqliteEngine> {
    refuseOldSqlite();
    const { disk, folder } = options;
    const state = await readState(disk, folder);
    if (state === null) throw new SpeilError('NOT_FOUND', `There is no database in ${folder}.`);
    const { journal } = await openJournal({
      ...{ disk, folder: join(folder, 'journal'), lineage: state.lineage, segmentBytes: options.segmentBytes },
      ...{ from: state.checkpoint, hardenedAtLeast: state.checkpoint },
    });
    const reached = await makeCurrent({ ...options, journal, state });
    await writeState(disk, folder, { ...state, checkpoint: reached.lsn, checksum: reached.checksum, stopped: null });
    await journal.hold(CHECKPOINT_HOLDER, reached.lsn);
    for (const holder of journal.holders.keys()) if (holder.startsWith(BACKUP_HOLDER)) await journal.release(holder);
    return SqliteEngine.#start(options, journal, state, reached);
  }

  static async #start(options: EngineOptions, journal: Journal, state: DatabaseState, reached: Recovered) {
    const told: { engine: SqliteEngine | null } = { engine: null };
    const running = await startRunning(options, journal, state, reached, {
      onHardened: (hardened) => told.engine !== null && told.engine.#noteHardened(hardened),
      onFailure: (error) => told.engine !== null && told.engine.#fail(error),
    });
    told.engine = new SqliteEngine(options, journal, state, running);
    return told.engine;
  }

  get file(): string {
    return databasePath(this.#options.folder);
  }

  get lineage(): Lineage {
    return this.#databaseState.lineage;
  }

  get term(): Term {
    return this.#databaseState.term;
  }

  get state(): EngineState {
    return this.#state;
  }

  /** Why it is not running; null when it is. */
  get failure(): unknown {
    return this.#failure;
  }

  get hardened(): HardenedMark {
    return this.#running.gate.hardened;
  }

  get journal(): Journal {
    return this.#journal;
  }

  get checkpointLsn(): Lsn {
    return this.#running.checkpointer.lsn;
  }

  /** Where the WAL ends now: what anybody has read until now was committed up to here. */
  position(): WalPosition {
    return this.#running.gate.position();
  }

  /** True when nothing is left to wait for of what was committed up to `end`. */
  isSettled(end: WalEnd): boolean {
    return this.#running.gate.isSettled(this.#place(end));
  }

  /**
   * Resolves when all that was committed up to `end` is hardened. Rejects with `DATABASE_STOPPED`, or with `DISK_FULL` when it
   * was undone.
   */
  settle(end: WalEnd): Promise<void> {
    return this.#running.gate.settle(this.#place(end));
  }

  /** An end in another run of the WAL than the present one is in an earlier one: all of that was hardened before it ended. */
  #place({ salt1, salt2, frames }: WalEnd): WalPosition {
    const now = this.#running.gate.position();
    const isNow = now.salt1 === salt1 && now.salt2 === salt2;
    return isNow ? { ...now, frames } : { ...now, generation: now.generation - 1, frames };
  }

  /** Throws `DISK_FULL` or `DATABASE_STOPPED` when a write could not be hardened. */
  admitWrite(): void {
    if (this.#state === 'stopped') throw stopped(this.#failure);
    if (this.#journal.roomBytes < ROOM_BYTES_MIN) this.#seekRoom();
    if (this.#state === 'disk-full') throw diskFull(this.#failure);
  }

  /** Makes the database file durable up to what is hardened now. */
  checkpoint(): Promise<void> {
    return this.#running.checkpointer.checkpoint();
  }

  /**
   * Writes a plain SQLite file while writing goes on; answers the commit that it is at. Rejects with `DATABASE_DAMAGED`, and with
   * the signal's reason.
   */
  async backup(target: string, options: BackupOptions): Promise<Backup> {
    const { gate, descriptor, checkpointer, ending, readers } = this.#running;
    const holder = `${BACKUP_HOLDER}${++this.#backups}`;
    const from = checkpointer.backfilledLsn;
    const signal = AbortSignal.any([options.signal, ending.signal]);
    await this.#journal.hold(holder, from);
    const done = backUp(target, {
      ...options,
      disk: this.#options.disk,
      journal: this.#journal,
      gate,
      descriptor,
      from,
      signal,
    });
    readers.add(done);
    try {
      return await done;
    } finally {
      readers.delete(done);
      await this.#journal.release(holder);
    }
  }

  /** Stops in good order: the file alone is the database then. Every other connection must be closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#changing;
    await this.#makingRoom;
    try {
      if (this.#state !== 'stopped') await this.#stop();
    } finally {
      await closeRunning(this.#running, 'as it is');
      await this.#journal[Symbol.asyncDispose]();
    }
  }

  async #stop(): Promise<void> {
    const { gate, checkpointer } = this.#running;
    await checkpointer.close();
    await gate.settle(gate.position());
    const { lsn, checksum } = await checkpointer.finish();
    await closeRunning(this.#running, 'in good order');
    const { disk, folder } = this.#options;
    const stopped = lookAt(this.file);
    await writeState(disk, folder, { ...this.#databaseState, checkpoint: lsn, checksum, stopped });
  }

  #noteHardened(hardened: Hardened): void {
    this.#running.checkpointer.noteHardened(hardened);
    if (this.#journal.roomBytes < ROOM_BYTES_MIN) this.#seekRoom();
    this.#options.onHardened?.(hardened);
  }

  #fail(error: unknown): void {
    if (this.#state !== 'running') return;
    if (isDiskFull(error)) this.#changing = this.#undo(error).catch((cause) => this.#halt(cause));
    else this.#halt(error);
  }

  #halt(error: unknown): void {
    this.#enter('stopped', error);
    this.#running.gate.close(stopped(error));
    void this.#options.detach('stopped').catch(() => {});
  }

  /** What could not be hardened never was: the file goes back to the last hardened commit, as after a crash. */
  async #undo(error: unknown): Promise<void> {
    this.#enter('disk-full', error);
    this.#running.gate.close(diskFull(error));
    await this.#options.detach('undo');
    await this.#running.checkpointer.close();
    await closeRunning(this.#running, 'as it is');
    await this.#journal.truncateAfter(this.#journal.hardened);
    const { disk, folder } = this.#options;
    const state = (await readState(disk, folder)) ?? this.#databaseState;
    const reached = await recover({ disk, folder, journal: this.#journal, state });
    this.#running = await startRunning(this.#options, this.#journal, this.#databaseState, reached, {
      onHardened: (hardened) => this.#noteHardened(hardened),
      onFailure: (cause) => this.#fail(cause),
    });
    this.#options.attach();
  }

  #seekRoom(): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#makingRoom !== null || nowMs - this.#roomSoughtMs < ROOM_RETRY_MS) return;
    this.#roomSoughtMs = nowMs;
    this.#makingRoom = this.#changing
      .then(() => this.#journal.makeRoom())
      .then(
        () => this.#state === 'disk-full' && this.#enter('running', null),
        (error: unknown) => this.#noteNoRoom(error),
      )
      .then(() => {
        this.#makingRoom = null;
      });
  }

  #noteNoRoom(error: unknown): void {
    if (!isDiskFull(error)) this.#halt(error);
    else if (this.#state === 'running') this.#enter('disk-full', error);
  }

  #enter(state: EngineState, error: unknown): void {
    if (this.#state === 'stopped') return;
    this.#state = state;
    this.#failure = error;
    this.#options.onState?.(state, error);
  }
}

type Told = {
  readonly onHardened: (hardened: Hardened) => void;
  readonly onFailure: (error: unknown) => void;
};

async function startRunning(
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
  const keeper = await Keeper.open(path);
  const guard = opened.adopt(openGuard(path), (it) => it.close());
  const capture = opened.adopt(Capture.open(path, { databaseChecksum: checksum }), (it) => it[Symbol.dispose]());
  opened.use(keeper);
  const start = { position: capture.captured, lsn, checksum };
  const gate = new CommitGate({ ...told, capture, journal, clock, start, term: identity.term });
  const checkpointer = new Checkpointer(
    {
      ...{ keeper, gate, journal, disk, folder, databaseFile, pauseWrites, identity, onFailure: told.onFailure },
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
async function closeRunning(running: Running, how: 'in good order' | 'as it is'): Promise<void> {
  const { keeper, guard, capture, databaseFile, descriptor, gate, ending, readers } = running;
  if (running.isClosed) return;
  running.isClosed = true;
  ending.abort(stopped(null));
  gate.close(stopped(null));
  await Promise.allSettled([gate.idle(), ...readers]);
  if (how === 'in good order') guard.close();
  await keeper[Symbol.asyncDispose]();
  if (how === 'as it is') guard.close();
  capture[Symbol.dispose]();
  closeSync(descriptor);
  await databaseFile.close();
}

const diskFull = (cause: unknown): SpeilError =>
  new SpeilError(
    'DISK_FULL',
    'The disk of the server is full: what was written last was undone, and nothing can be written.',
    {
      recovery: 'retry',
      hint: 'Make room on the disk that holds --data; writing goes on by itself then.',
      cause,
    },
  );

const stopped = (cause: unknown): SpeilError =>
  new SpeilError('DATABASE_STOPPED', `The database has stopped${cause instanceof Error ? `: ${cause.message}` : '.'}`, {
    recovery: 'retry',
    hint: 'See the log of the server for why; start the server again to recover the database.',
    cause,
  });
