import { join } from 'node:path';
import { SpeilError } from '../../core/error.ts';
import type { Lineage } from '../../core/lineage.ts';
import type { Lsn } from '../../core/lsn.ts';
import type { Term } from '../../core/term.ts';
import type { Journal } from '../../journal/journal.ts';
import { openJournal } from '../../journal/open-journal.ts';
import { SEGMENT_BYTES } from '../../journal/segment-format.ts';
import { type Backup, type BackupOptions, backUp } from './backup.ts';
import { CHECKPOINT_HOLDER } from './checkpointer.ts';
import type { Hardened, HardenedMark } from './commit-gate.ts';
import { isDiskFull } from './disk-full.ts';
import type { EngineOptions, EngineState } from './engine-options.ts';
import { lookAt } from './file-look.ts';
import { makeCurrent, refuseOldSqlite } from './open-file.ts';
import { databasePath, type Recovered, recover } from './recovery.ts';
import { closeRunning, type Running, startRunning } from './running.ts';
import { type DatabaseState, readState, writeState } from './state.ts';
import type { WalPosition } from './wal-index.ts';

/** Where the WAL ended when somebody looked, in this process or another. */
export type WalEnd = Pick<WalPosition, 'salt1' | 'salt2' | 'frames'>;

/** Room in the journal, in segments, below which more is made, ahead of need. */
const ROOM_SEGMENTS_MIN = 0.5;
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
  #undoing: Promise<void> | null = null;
  #isEnding = false;
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
    try {
      const reached = await makeCurrent({ ...options, journal, state });
      await writeState(disk, folder, { ...state, checkpoint: reached.lsn, checksum: reached.checksum, stopped: null });
      await journal.hold(CHECKPOINT_HOLDER, reached.lsn);
      for (const holder of journal.holders.keys()) if (holder.startsWith(BACKUP_HOLDER)) await journal.release(holder);
      return await SqliteEngine.#start(options, journal, state, reached);
    } catch (error) {
      await journal[Symbol.asyncDispose]();
      throw error;
    }
  }

  static async #start(options: EngineOptions, journal: Journal, state: DatabaseState, reached: Recovered) {
    const told: { engine: SqliteEngine | null } = { engine: null };
    const running = await startRunning(options, journal, state, reached, {
      onHardened: (hardened) => {
        if (told.engine !== null) told.engine.#noteHardened(hardened);
      },
      onFailure: (error) => (told.engine === null ? error : told.engine.#fail(error)),
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
    return this.#state !== 'stopped' && this.#running.gate.isSettled(this.#place(end));
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
    if (this.#isShortOfRoom || this.#state === 'disk-full') this.#seekRoom();
    if (this.#state === 'disk-full') throw diskFull(this.#failure);
  }

  get #isShortOfRoom(): boolean {
    return this.#journal.roomBytes < ROOM_SEGMENTS_MIN * (this.#options.segmentBytes ?? SEGMENT_BYTES);
  }

  /** Makes the database file durable up to what is hardened now. */
  async checkpoint(): Promise<void> {
    try {
      await this.#running.checkpointer.checkpoint();
    } catch (error) {
      throw isDiskFull(error) ? error : this.#halt(error);
    }
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
    this.#isEnding = true;
    await this.#undoing;
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
    if (this.#isShortOfRoom) this.#seekRoom();
    this.#options.onHardened?.(hardened);
  }

  /** Answers what clients are told. */
  #fail(error: unknown): SpeilError {
    if (!isDiskFull(error)) return this.#halt(error);
    if (this.#state !== 'disk-full') this.#enter('disk-full', error);
    if (this.#isEnding) return diskFull(error);
    this.#undoing ??= this.#undo()
      .catch((cause) => void this.#halt(cause))
      .finally(() => {
        this.#undoing = null;
      });
    return diskFull(error);
  }

  #halt(error: unknown): SpeilError {
    const told = stopped(error);
    if (this.#state === 'stopped') return told;
    this.#enter('stopped', error);
    this.#running.gate.close(told);
    void this.#options.detach('stopped').catch(() => {});
    return told;
  }

  /** What could not be hardened never was: the file goes back to the last hardened commit, as after a crash. */
  async #undo(): Promise<void> {
    const makingRoom = this.#makingRoom;
    this.#running.gate.close(diskFull(this.#failure));
    await this.#options.detach('undo');
    await this.#running.checkpointer.close();
    await closeRunning(this.#running, 'as it is');
    await makingRoom;
    await this.#journal.truncateAfter(this.#journal.hardened);
    this.#running = await this.#startAgain();
    this.#options.attach();
  }

  /** Others may take the room that the WAL gave back: then it waits until there is some. */
  async #startAgain(): Promise<Running> {
    const { disk, folder, clock } = this.#options;
    for (;;) {
      try {
        const state = (await readState(disk, folder)) ?? this.#databaseState;
        const reached = await recover({ disk, folder, journal: this.#journal, state });
        return await startRunning(this.#options, this.#journal, this.#databaseState, reached, {
          onHardened: (hardened) => this.#noteHardened(hardened),
          onFailure: (cause) => this.#fail(cause),
        });
      } catch (error) {
        if (!isDiskFull(error) || this.#isEnding) throw error;
        await clock.sleep(ROOM_RETRY_MS);
      }
    }
  }

  #seekRoom(): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#makingRoom !== null || nowMs - this.#roomSoughtMs < ROOM_RETRY_MS) return;
    this.#roomSoughtMs = nowMs;
    this.#makingRoom = Promise.resolve(this.#undoing)
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
