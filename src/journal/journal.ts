import type { Lsn } from '../core/lsn.ts';
import type { Block, BlockDraft, JournalPosition } from './block.ts';

/**
 * The durable record of a database's commits: a folder of preallocated segment files that hold one chain of blocks.
 * One writer; any number of readers beside it. To append is to write, to harden is to make durable; two words, since
 * several blocks may share one `fdatasync`.
 *
 * A journal whose `sync` failed once has failed for good: every later call rejects with `JOURNAL_FAILED`, and only opening
 * it anew, which reads what is really there, ends that.
 */
export interface Journal extends AsyncDisposable {
  /** The last block written. */
  readonly appended: JournalPosition;
  /** The last block that is durable. Never behind what `harden` answered. */
  readonly hardened: JournalPosition;
  /** The commit before the oldest block that is still here; reading may begin anywhere from the next one on. */
  readonly start: JournalPosition;

  /**
   * Writes the next block. Its `first` must follow the last commit (or equal that of the continued block before).
   * Rejects with `DISK_FULL` when there is no room, and then nothing was appended and later attempts may succeed.
   */
  append(draft: BlockDraft): Promise<Block>;
  /** Makes durable all that was appended before the call; answers up to where. Rejects with `JOURNAL_FAILED`. */
  harden(): Promise<JournalPosition>;
  /** Bytes that can be appended for certain before the disk has to give more. Grows when room for the next segment is made. */
  readonly roomBytes: number;
  /** Makes room for at least one more segment ahead. Rejects with `DISK_FULL`, without harm. */
  makeRoom(): Promise<void>;

  /**
   * Hardened blocks from the one that holds commit `from` on, oldest first. Ends at the last hardened one, or with `follow`
   * waits for more until the signal ends it. Only whole groups of continued blocks are handed out.
   * Rejects with `JOURNAL_GAP` when `from` lies before `start`, and with `JOURNAL_DAMAGED` where the chain breaks.
   */
  read(from: Lsn, options?: { readonly follow?: boolean; readonly signal?: AbortSignal }): AsyncIterable<Block>;
  /** The position of the block that ends with `lsn`; null when there is none (any more). */
  positionAt(lsn: Lsn): Promise<JournalPosition | null>;

  /** Keeps every block after `lsn` for `holder`, also over restarts, until it is moved on or released. */
  hold(holder: string, lsn: Lsn): Promise<void>;
  release(holder: string): Promise<void>;
  readonly holders: ReadonlyMap<string, Lsn>;
  /** Of its segments on the disk, the room that is made ahead included. */
  readonly bytes: number;
  /** Removes segments in which nobody holds anything. Answers how many bytes that freed. */
  trim(): Promise<number>;

  /** Cuts off everything after the block that ends with `position.lsn`, which must be there with that hash. */
  truncateAfter(position: JournalPosition): Promise<void>;
}
