import type { Lsn } from '../core/lsn.ts';
import type { Block, BlockDraft, JournalPosition } from './block.ts';

/**
 * The durable record of a database's commits: a folder of preallocated segment files that hold one chain of blocks
 * (docs/journal-format.md). One writer; any number of readers beside it. To append is to write, to harden is to make durable;
 * two words, since several blocks may share one `fdatasync`. Every position here is that of whole commits: blocks that are
 * `continued` count from when the last one of theirs is there.
 *
 * A journal whose `sync` failed once has failed for good: every later call rejects with `JOURNAL_FAILED`, and only opening
 * it anew, which reads what is really there, ends that. Of what the disk can say, only that it is full is survived:
 * `DISK_FULL` changes nothing, and the same call may succeed later. A journal that was closed rejects with `INTERRUPTED`.
 */
export interface Journal extends AsyncDisposable {
  /** The last block written. */
  readonly appended: JournalPosition;
  /** The last block that is durable. Never behind what `harden` answered. */
  readonly hardened: JournalPosition;
  /** The commit before the oldest block that is still here; reading may begin anywhere from the next one on. */
  readonly start: JournalPosition;

  /**
   * Writes the next block. Its `first` must follow the last commit (or equal that of the continued block before), or it is
   * refused with `JOURNAL_GAP`. Rejects with `DISK_FULL` when there is no room, and then nothing was appended and later
   * attempts may succeed; commits of which only some blocks could be appended are dropped by `truncateAfter(appended)`,
   * which takes no room. Goes on in the next segment by itself, and makes that when nobody has called {@link makeRoom}.
   */
  append(draft: BlockDraft): Promise<Block>;
  /** Makes durable all that was appended before the call; answers up to where. Rejects with `JOURNAL_FAILED`. */
  harden(): Promise<JournalPosition>;
  /**
   * Bytes of blocks (`recordBytes` of each) that can be appended for certain before the disk has to give more. A new segment
   * once {@link makeRoom} has made one, the rest of this one without.
   */
  readonly roomBytes: number;
  /** Makes room for one more segment ahead; does nothing when there is. Rejects with `DISK_FULL`, without harm. */
  makeRoom(): Promise<void>;

  /**
   * Hardened blocks from the one that holds commit `from` on, oldest first. Ends at the last hardened one, or with `follow`
   * waits for more. Rejects with the signal's reason as soon as that is aborted. Only whole groups of continued blocks are
   * handed out. Payloads are views of larger buffers that are never written again: who keeps one for long copies it.
   * Rejects with `JOURNAL_GAP` when `from` lies before `start` or beyond the end, and when what comes next was trimmed, or
   * what was handed out already was cut off, meanwhile; with `JOURNAL_DAMAGED` where the chain breaks.
   */
  read(from: Lsn, options?: { readonly follow?: boolean; readonly signal?: AbortSignal }): AsyncIterable<Block>;
  /** The position of the hardened block that ends with `lsn`; null when there is none (any more). Reads up to a segment. */
  positionAt(lsn: Lsn): Promise<JournalPosition | null>;

  /**
   * Keeps every block after `lsn` for `holder`, also over restarts, until it is moved on or released. `lsn` lies between
   * `start` and `hardened`, or `JOURNAL_GAP`. To move on is cheap: it is written down by the next {@link trim}, so that
   * after a crash a holder may hold more than it last said, and never less.
   */
  hold(holder: string, lsn: Lsn): Promise<void>;
  release(holder: string): Promise<void>;
  readonly holders: ReadonlyMap<string, Lsn>;
  /** Of its segments on the disk, the room that is made ahead included. */
  readonly bytes: number;
  /** Removes segments in which nobody holds anything; readers do not hold. Answers how many bytes that freed. */
  trim(): Promise<number>;

  /**
   * Cuts off everything after the block that ends with `position.lsn`, which must be there with that hash (`JOURNAL_GAP`).
   * What is before it is hardened then. Holders beyond it are moved back. A crash in between leaves the journal whole or cut.
   */
  truncateAfter(position: JournalPosition): Promise<void>;
}
