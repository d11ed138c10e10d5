import { closeSync, fstatSync, openSync } from 'node:fs';
import { SpeilError } from '../../core/error.ts';
import { BLOCK_PAYLOAD_BYTES_MAX } from '../../journal/block.ts';
import { ChangeCollector } from './change-collector.ts';
import { changedPages } from './changed-pages.ts';
import { DatabaseChecksum } from './database-checksum.ts';
import { DATABASE_HEADER_BYTES, type DatabaseHeader, parseDatabaseHeader } from './database-header.ts';
import { nextTurn } from './next-turn.ts';
import { allocatePageBuffer } from './page-buffer.ts';
import type { PageCounts } from './page-changes.ts';
import { PageImages } from './page-images.ts';
import { PageMap } from './page-map.ts';
import { readUpTo } from './read-exactly.ts';
import { WalFrames } from './wal-frames.ts';
import { WalIndex, type WalIndexHeader, type WalPosition } from './wal-index.ts';

/** Commits, or a part of one, as a journal block takes them. */
export type CapturedPiece = {
  /** How many commits it is, of a continued one together with those that follow. */
  readonly commits: number;
  /** More of the same commit follows. */
  readonly continued: boolean;
  /** In the form of `page-changes.ts`; at most `BLOCK_PAYLOAD_BYTES_MAX` long. */
  readonly payload: Uint8Array;
  /** Of the whole database after these commits; of a continued piece without meaning. */
  readonly databaseChecksum: bigint;
  readonly pageSize: number;
  /** Pages of the database after these commits. */
  readonly pageCount: number;
  /** Where the WAL stands after these commits. */
  readonly position: WalPosition;
};

/** A commit that drops more pages than this, or adds them unwritten, is `large`: each has to be read for the checksum. */
const UNWRITTEN_PAGES_MAX = 1024;

/**
 * Unwritten pages that no transaction adds: it would have filled and emptied as much. In a damaged database SQLite takes
 * any number for the next page's.
 */
const UNWRITTEN_PAGES_BELIEVED = 1 << 24;

/** Pages or frame headers that are looked at before everything else that waits has its turn: about a millisecond. */
const LOOKS_PER_TURN = 200;

export type CaptureOptions = {
  /** Of the database as it is when it is opened. */
  readonly databaseChecksum: bigint;
  /** Memory for frames of the WAL. What does not fit is a large commit. */
  readonly loadedBytesMax?: number;
  /** Memory for images of pages that changed lately. */
  readonly keptBytes?: number;
  /** A large commit is cut into pieces whose payloads are no longer. */
  readonly payloadBytesMax?: number;
};

/**
 * Follows the commits of a database in WAL mode whose connections are open elsewhere, by the -shm and -wal files. It takes no
 * lock and makes no difference to SQLite, and relies on this of whoever opened it:
 *
 * - a connection stays open as long as it lives, so that -wal and -shm stay the files that they are;
 * - what is checkpointed was captured before. If not, the next look throws `COMMITS_MISSED`.
 *
 * It holds descriptors of the three files until it is disposed of. Closing one drops every POSIX lock that the process has on that
 * file: dispose of it only when no SQLite connection of the same process is open on the database.
 */
export class Capture implements Disposable {
  readonly pageSize: number;
  readonly #descriptors: readonly number[];
  readonly #index: WalIndex;
  readonly #frames: WalFrames;
  readonly #map = new PageMap();
  readonly #images: PageImages;
  readonly #newest = new PageMap();
  readonly #collector: ChangeCollector;
  readonly #payloadBytesMax: number;
  #checksum: bigint;
  #pageCount: number;
  #changes: number;
  #captured: WalPosition;
  #position: WalPosition;
  #isTakingLarge = false;

  private constructor(descriptors: readonly [number, number, number], options: CaptureOptions) {
    const [database, wal, shm] = descriptors;
    this.#descriptors = descriptors;
    this.#index = new WalIndex(shm);
    const header = this.#index.read();
    const file = readHeader(database);
    this.pageSize = file.pageSize;
    this.#frames = new WalFrames(wal, this.pageSize, options.loadedBytesMax);
    this.#payloadBytesMax = options.payloadBytesMax ?? BLOCK_PAYLOAD_BYTES_MAX;
    this.#images = new PageImages({ map: this.#map, frames: this.#frames, database }, options.keptBytes);
    this.#collector = new ChangeCollector(this.#images, this.pageSize);
    this.#checksum = options.databaseChecksum;
    this.#pageCount = header.frames > 0 ? header.pageCount : file.pageCount;
    this.#changes = header.changes;
    const { salt1, salt2, frames } = header;
    this.#captured = { generation: 0, salt1, salt2, frames };
    this.#position = this.#captured;
    for (let frame = 1; frame <= frames; frame++) this.#map.set(this.#frames.readHeader(frame, header).page, frame);
  }

  /**
   * Everything that is committed when it opens counts as captured. Throws `FILE_MISSING` when no connection has the database
   * open in WAL mode.
   */
  static open(path: string, options: CaptureOptions): Capture {
    const opened: number[] = [];
    try {
      for (const suffix of ['', '-wal', '-shm']) opened.push(openSync(path + suffix, 'r'));
      return new Capture(opened as [number, number, number], options);
    } catch (error) {
      for (const descriptor of opened) closeSync(descriptor);
      throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? notOpen(path, error) : error;
    }
  }

  /** Everything up to here was handed out. */
  get captured(): WalPosition {
    return this.#captured;
  }

  /** Of the database as captured. */
  get databaseChecksum(): bigint {
    return this.#checksum;
  }

  /** Of the database as captured. */
  get pageCount(): number {
    return this.#pageCount;
  }

  /** Where the WAL stands now: everything that anybody has read from the database until now was committed up to here. */
  position(): WalPosition {
    const { frames } = this.#look();
    if (frames === this.#captured.frames) return this.#captured;
    if (frames !== this.#position.frames || this.#position.generation !== this.#captured.generation)
      this.#position = { ...this.#captured, frames };
    return this.#position;
  }

  /**
   * The commits since the last take, or as many of them as fit into one piece; null when there are none. `large` when already
   * the first of them does not fit: then it has to be taken by {@link takeLarge}.
   */
  take(): CapturedPiece | 'large' | null {
    if (this.#isTakingLarge) throw new Error('a large commit is being taken');
    const header = this.#look();
    const first = this.#captured.frames + 1;
    const pending = header.frames - this.#captured.frames;
    if (pending === 0) return null;
    const loaded = Math.min(pending, this.#frames.loadedMax);
    this.#frames.load(first, loaded, header);
    const count = this.#framesUpToLastCommit(loaded);
    if (count === 0) return 'large';
    const pageCount = this.#frames.commitOf(count - 1);
    return Math.max(this.#pageCount - pageCount, pageCount - this.#pageCount - count) > UNWRITTEN_PAGES_MAX
      ? 'large'
      : this.#takeLoaded(first, count, pageCount, header);
  }

  /**
   * The next commit, of any size, in pieces; memory is bounded by the number of its pages (some 30 bytes each), not by their
   * size. All of them have to be pulled, or the commit remains to be taken.
   */
  async *takeLarge(): AsyncGenerator<CapturedPiece, void, void> {
    if (this.#isTakingLarge) throw new Error('a large commit is being taken');
    this.#isTakingLarge = true;
    try {
      yield* this.#takeCommit(this.#look());
    } finally {
      this.#isTakingLarge = false;
    }
  }

  [Symbol.dispose](): void {
    for (const descriptor of this.#descriptors) closeSync(descriptor);
  }

  #look(): WalIndexHeader {
    const header = this.#index.read();
    const { salt1, salt2, frames } = this.#captured;
    if (header.salt1 !== salt1 || header.salt2 !== salt2) this.#restart(header);
    else if (header.frames < frames) throw missed(`its index went back from frame ${frames} to ${header.frames}`);
    return header;
  }

  /** The WAL begins anew. Right only if nothing was committed between what is captured and what it begins with. */
  #restart(header: WalIndexHeader): void {
    const commits = this.#frames.countCommits(header.frames, header);
    if ((header.changes - commits - this.#changes) | 0)
      throw missed('it was emptied after commits that were not captured yet');
    const { salt1, salt2 } = header;
    this.#map.clear();
    this.#captured = { generation: this.#captured.generation + 1, salt1, salt2, frames: 0 };
  }

  #framesUpToLastCommit(loaded: number): number {
    let count = loaded;
    while (count > 0 && this.#frames.commitOf(count - 1) === 0) count--;
    return count;
  }

  #takeLoaded(first: number, count: number, pageCount: number, header: WalIndexHeader): CapturedPiece {
    const group = this.#loadedGroup(first, count, pageCount);
    const { counts, newest } = group;
    const checksum = new DatabaseChecksum(this.#checksum);
    this.#collector.begin(counts, checksum);
    try {
      for (let page = counts.after + 1; page <= counts.before; page++) this.#collector.drop(page);
      for (const page of changedPages(newest, counts)) this.#collectLoaded(page, newest.get(page), first);
    } catch (error) {
      this.#images.clear();
      throw error;
    }
    this.#advance(group, checksum, header);
    return this.#pieceOf(group, this.#collector, false);
  }

  #collectLoaded(page: number, frame: number, first: number): void {
    if (frame === 0) {
      this.#collector.addUnwritten(page);
      return;
    }
    const at = this.#frames.imageAt(frame - first);
    this.#collector.add(page, this.#frames.loaded, at);
    this.#images.keep(page, this.#frames.loaded, at);
  }

  #loadedGroup(first: number, count: number, pageCount: number): Group {
    this.#newest.clear();
    let commits = 0;
    for (let index = 0; index < count; index++) {
      this.#newest.set(this.#frames.pageOf(index), first + index);
      if (this.#frames.commitOf(index) !== 0) commits++;
    }
    return { newest: this.#newest, commits, last: first + count - 1, counts: this.#countsTo(pageCount) };
  }

  async *#takeCommit(header: WalIndexHeader): AsyncGenerator<CapturedPiece, void, void> {
    const group = await this.#readCommit(header);
    const { counts, newest } = group;
    if (counts.after - counts.before - newest.size > UNWRITTEN_PAGES_BELIEVED) throw beyondBelief(counts);
    const checksum = new DatabaseChecksum(this.#checksum);
    const collector = new ChangeCollector(this.#images, this.pageSize);
    const image = allocatePageBuffer(this.pageSize);
    const turns = new Turns();
    collector.begin(counts, checksum);
    for (const page of changedPages(newest, counts)) {
      if (turns.isOver()) await nextTurn();
      if (collector.mayExceed(this.#payloadBytesMax)) {
        yield this.#pieceOf(group, collector, true);
        collector.goOn(counts);
      }
      const frame = newest.get(page);
      if (frame === 0) collector.addUnwritten(page);
      else {
        this.#frames.readImage(frame, image, 0);
        collector.add(page, image, 0);
      }
    }
    for (let page = counts.after + 1; page <= counts.before; page++) {
      if (turns.isOver()) await nextTurn();
      collector.drop(page);
    }
    this.#images.clear();
    this.#advance(group, checksum, header);
    yield this.#pieceOf(group, collector, false);
  }

  async #readCommit(header: WalIndexHeader): Promise<Group> {
    const newest = new PageMap();
    const turns = new Turns();
    for (let frame = this.#captured.frames + 1; frame <= header.frames; frame++) {
      if (turns.isOver()) await nextTurn();
      const { page, commit } = this.#frames.readHeader(frame, header);
      newest.set(page, frame);
      if (commit !== 0) return { newest, commits: 1, last: frame, counts: this.#countsTo(commit) };
    }
    throw missed(`its index names ${header.frames} frames, which end with no commit`);
  }

  #countsTo(after: number): PageCounts {
    return { pageSize: this.pageSize, before: this.#pageCount, after };
  }

  #advance(group: Group, checksum: DatabaseChecksum, header: WalIndexHeader): void {
    const { newest, last, counts } = group;
    this.#map.absorb(newest);
    this.#checksum = checksum.value;
    this.#pageCount = counts.after;
    this.#changes = last === header.frames ? header.changes : (this.#changes + group.commits) >>> 0;
    this.#captured = { ...this.#captured, frames: last };
  }

  #pieceOf(group: Group, collector: ChangeCollector, continued: boolean): CapturedPiece {
    return {
      commits: group.commits,
      continued,
      payload: collector.finish(),
      databaseChecksum: this.#checksum,
      pageSize: this.pageSize,
      pageCount: group.counts.after,
      position: continued ? { ...this.#captured, frames: group.last } : this.#captured,
    };
  }
}

/** Commits that are taken together. */
type Group = {
  /** The newest frame of every page that they wrote. */
  readonly newest: PageMap;
  readonly commits: number;
  readonly last: number;
  readonly counts: PageCounts;
};

class Turns {
  #looks = 0;

  isOver(): boolean {
    return ++this.#looks % LOOKS_PER_TURN === 0;
  }
}

function readHeader(database: number): DatabaseHeader {
  const bytes = Buffer.alloc(DATABASE_HEADER_BYTES);
  const count = readUpTo(database, bytes, 0, bytes.length, 0);
  return parseDatabaseHeader(bytes.subarray(0, count), fstatSync(database).size);
}

const missed = (why: string): SpeilError =>
  new SpeilError('COMMITS_MISSED', `The WAL was changed by somebody else: ${why}.`, {
    hint: 'Stop the server and the program that opened its file, then start the server again.',
  });

const beyondBelief = ({ before, after }: PageCounts): SpeilError =>
  new SpeilError('DATABASE_DAMAGED', `A commit made the database ${after} pages long; before it had ${before}.`, {
    hint: 'Start the server again, which drops that commit, and see what is wrong: PRAGMA integrity_check.',
  });

const notOpen = (path: string, cause: unknown): SpeilError =>
  new SpeilError('FILE_MISSING', `${path} is not there, or is not open in WAL mode.`, {
    cause,
    hint: 'Check the path.',
  });
