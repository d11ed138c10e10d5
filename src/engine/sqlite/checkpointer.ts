import type { Clock } from '../../core/clock.ts';
import type { Disk, DiskFile } from '../../core/disk.ts';
import { SpeilError } from '../../core/error.ts';
import type { Lsn } from '../../core/lsn.ts';
import type { Journal } from '../../journal/journal.ts';
import type { CommitGate, Hardened, HardenedMark } from './commit-gate.ts';
import { isDiskFull } from './disk-full.ts';
import type { Backfilled, Keeper } from './keeper.ts';
import { type DatabaseState, writeState } from './state.ts';
import { syncOrStop } from './sync-or-stop.ts';
import type { WalPosition } from './wal-index.ts';

/** A WAL of this many bytes is moved into the database file: the pages of a busy database are written once for many commits. */
export const WAL_BYTES_DEFAULT = 32 << 20;
/** What a recovery redoes at the most, about: after so much journal the database file is made durable. */
export const REDO_BYTES_DEFAULT = 128 << 20;
/** Marks that wait for a checkpoint; past this every other one is forgotten, which only makes checkpoints end earlier. */
const MARKS_MAX = 4_096;
/** The journal is kept from here on for the checkpoint. */
export const CHECKPOINT_HOLDER = 'checkpoint';

export type CheckpointerParts = {
  readonly keeper: Keeper;
  readonly gate: CommitGate;
  readonly journal: Journal;
  readonly disk: Disk;
  readonly folder: string;
  readonly databaseFile: DiskFile;
  readonly identity: Pick<DatabaseState, 'lineage' | 'term'>;
  readonly pageBytes: () => number;
  readonly walBytes: number;
  readonly redoBytes: number;
  /** Resolves when no write is under way; none begins before it is disposed. Rejects when that takes too long. */
  readonly pauseWrites: () => Promise<Disposable>;
  readonly clock: Clock;
  readonly onCheckpoint: (took: CheckpointTook) => void;
  readonly onFailure: (error: unknown) => void;
};

/** `pausedMs`: for how long writers had to wait for it. */
export type CheckpointTook = { readonly durationMs: number; readonly pausedMs: number };

/**
 * Moves hardened commits, and no others, from the WAL into the database file: SQLite's own checkpoint, up to a snapshot that
 * a reader of ours holds and that was hardened first. Writers go on meanwhile; they pause only for the little that is left
 * when the WAL is begun anew. Separately and less often the file is synced and the state moved on, which is what bounds a
 * recovery.
 */
export class Checkpointer {
  readonly #parts: CheckpointerParts;
  #marks: HardenedMark[] = [];
  /** Everything up to here is in the database file, though perhaps not on its disk. */
  #backfilled: HardenedMark;
  /** Everything up to here is in the database file for certain. */
  #durable: HardenedMark;
  /** Payload bytes since the file was made durable, or that was last tried. */
  #redoBytes = 0;
  /** Frames of the WAL below which it is not worth trying again, since readers were in the way of its restart. */
  #restartTried = 0;
  #work: Promise<void> | null = null;
  #isClosed = false;
  #giveUpPause = () => {};

  constructor(parts: CheckpointerParts, start: HardenedMark) {
    this.#parts = parts;
    this.#backfilled = start;
    this.#durable = start;
  }

  /** Of the last durable checkpoint. */
  get lsn(): Lsn {
    return this.#durable.lsn;
  }

  /** Everything up to this commit is in the database file as other programs read it. */
  get backfilledLsn(): Lsn {
    return this.#backfilled.lsn;
  }

  /** To be told of every flush; begins work in the background when there is enough of it. */
  noteHardened({ mark, payloadBytes }: Hardened): void {
    this.#marks.push(mark);
    if (this.#marks.length > MARKS_MAX) this.#marks = this.#marks.filter((_, index) => index % 2 === 1);
    this.#redoBytes += payloadBytes;
    if (this.#isClosed || !this.#isDue(mark.position)) return;
    this.#work ??= this.#run();
  }

  /** Makes the file durable up to what is in it, now. */
  async checkpoint(): Promise<void> {
    await this.#work;
    await this.#backfill();
    await this.#makeDurable();
  }

  /** Ends the work in the background; nothing else may use the WAL any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#giveUpPause();
    await this.#work;
  }

  /**
   * The rest, once nobody else has the database open: afterwards the file alone is the database. Rejects with `CONFLICT` when
   * another program's reader keeps some of it in the WAL.
   */
  async finish(): Promise<HardenedMark> {
    await this.#parts.keeper.unpin();
    if (!(await this.#parts.keeper.empty()).complete) throw stillRead(this.#parts.folder);
    this.#backfilled = this.#parts.gate.hardened;
    await syncOrStop(this.#parts.databaseFile);
    return this.#backfilled;
  }

  #isDue({ frames }: WalPosition): boolean {
    if (frames < this.#restartTried) this.#restartTried = 0;
    const grown = (frames - this.#restartTried) * this.#parts.pageBytes();
    return grown >= this.#parts.walBytes || this.#redoBytes >= this.#parts.redoBytes;
  }

  async #run(): Promise<void> {
    const { clock, onCheckpoint } = this.#parts;
    const startedMs = clock.monotonicMs();
    try {
      await this.#backfill();
      const pausedMs = await this.#restartWal();
      onCheckpoint({ durationMs: clock.monotonicMs() - startedMs, pausedMs });
      if (this.#redoBytes >= this.#parts.redoBytes) await this.#makeDurable();
    } catch (error) {
      if (!isDiskFull(error)) this.#parts.onFailure(error);
    } finally {
      this.#work = null;
    }
  }

  async #backfill(): Promise<void> {
    const { keeper, gate } = this.#parts;
    await keeper.pin();
    try {
      const before = gate.position();
      await gate.settle(before);
      this.#noteBackfilled(await keeper.backfill(), before);
    } finally {
      await keeper.unpin();
    }
  }

  async #restartWal(): Promise<number> {
    const { keeper, gate, clock } = this.#parts;
    using pause = await this.#pause();
    if (pause === null) return 0;
    const pausedAtMs = clock.monotonicMs();
    this.#restartTried = gate.position().frames;
    const position = gate.position();
    await gate.settle(position);
    this.#noteBackfilled(await keeper.restart(), position);
    return clock.monotonicMs() - pausedAtMs;
  }

  /**
   * Null when it takes too long, or when all of this is closed meanwhile: writers that are held up until unhardened commits are
   * undone may count as under way.
   */
  #pause(): Promise<Disposable | null> {
    if (this.#isClosed) return Promise.resolve(null);
    const { promise, resolve } = Promise.withResolvers<Disposable | null>();
    this.#giveUpPause = () => resolve(null);
    this.#parts.pauseWrites().then(
      (pause) => {
        if (this.#isClosed) pause[Symbol.dispose]();
        resolve(this.#isClosed ? null : pause);
      },
      () => resolve(null),
    );
    return promise;
  }

  /** `frames` counts from the beginning of the WAL that `during` is in; another one has been begun since: it says nothing. */
  #noteBackfilled({ frames }: Backfilled, during: WalPosition): void {
    const now = this.#parts.gate.position();
    if (now.salt1 !== during.salt1 || now.salt2 !== during.salt2) return;
    const isIn = ({ position }: HardenedMark) => position.salt1 !== during.salt1 || position.frames <= frames;
    const last = this.#marks.findLastIndex(isIn);
    const mark = this.#marks[last];
    if (mark === undefined) return;
    this.#backfilled = mark;
    this.#marks.splice(0, last + 1);
  }

  async #makeDurable(): Promise<void> {
    const { databaseFile, disk, folder, identity, journal } = this.#parts;
    const mark = this.#backfilled;
    this.#redoBytes = 0;
    if (mark.lsn === this.#durable.lsn) return;
    await syncOrStop(databaseFile);
    await writeState(disk, folder, { ...identity, checkpoint: mark.lsn, checksum: mark.checksum, stopped: null });
    this.#durable = mark;
    await journal.hold(CHECKPOINT_HOLDER, mark.lsn);
    await journal.trim();
  }
}

const stillRead = (folder: string): SpeilError =>
  new SpeilError('CONFLICT', `Another program is reading the database in ${folder}: its file could not be completed.`, {
    hint: 'Nothing is lost: the next start of the server redoes what the file lacks. Until then the -wal file belongs to it.',
  });
