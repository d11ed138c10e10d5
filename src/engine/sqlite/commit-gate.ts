import type { Clock } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import { Lsn } from '../../core/lsn.ts';
import type { Term } from '../../core/term.ts';
import type { Journal } from '../../journal/journal.ts';
import type { Capture, CapturedPiece } from './capture.ts';
import { isReached, type WalPosition } from './wal-index.ts';

/** A place in the WAL, and which commit of the journal it is: everything up to it is hardened. */
export type HardenedMark = { readonly position: WalPosition; readonly lsn: Lsn; readonly checksum: bigint };

/** What became of the commits that one `fdatasync` hardened. */
export type Hardened = Written & { readonly mark: HardenedMark; readonly durationMs: number };

type Written = { readonly commits: number; readonly blocks: number; readonly payloadBytes: number };

const NOTHING: Written = { commits: 0, blocks: 0, payloadBytes: 0 };

export type CommitGateParts = {
  readonly capture: Capture;
  readonly journal: Journal;
  readonly term: Term;
  readonly clock: Clock;
  readonly start: HardenedMark;
  readonly onHardened: (hardened: Hardened) => void;
  /** Called once; answers what those are told who wait, now and later. */
  readonly onFailure: (error: unknown) => unknown;
};

type Waiter = {
  readonly position: WalPosition;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
};

/**
 * Lets nothing out that could still vanish. Whoever has an answer for a client asks here, with the end of the WAL that the
 * answer may have seen; all that was committed up to there is then captured, appended to the journal and hardened, for
 * everybody at once. One flush runs at a time; what is committed meanwhile shares the next one (group commit).
 *
 * After a failure nobody is let wait any more: everybody is told the same error.
 */
export class CommitGate {
  readonly #parts: CommitGateParts;
  #hardened: HardenedMark;
  #waiters: Waiter[] = [];
  #flushing: Promise<void> | null = null;
  #failure: { readonly error: unknown } | null = null;

  constructor(parts: CommitGateParts) {
    this.#parts = parts;
    this.#hardened = parts.start;
  }

  get hardened(): HardenedMark {
    return this.#hardened;
  }

  /** Where the WAL ends now; after a failure, where it ended when all was hardened. */
  position(): WalPosition {
    try {
      if (this.#failure === null) return this.#parts.capture.position();
    } catch (error) {
      this.#fail(error);
    }
    return this.#hardened.position;
  }

  /**
   * True when all that was committed at the position is hardened, which a failure does not change. But then nothing is known of
   * another WAL than the one that the last hardened commit is in.
   */
  isSettled(position: WalPosition): boolean {
    const hardened = this.#hardened.position;
    return (this.#failure === null || position.generation === hardened.generation) && isReached(position, hardened);
  }

  settle(position: WalPosition): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure.error);
    if (isReached(position, this.#hardened.position)) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiters.push({ position, resolve, reject });
    this.#flushing ??= this.#flushAll();
    return promise;
  }

  /** Resolves when no flush is under way. */
  async idle(): Promise<void> {
    await this.#flushing;
  }

  /** From now on nothing is let out; whoever waits is told `error`. */
  close(error: unknown): void {
    this.#failure ??= { error };
    this.#release();
  }

  async #flushAll(): Promise<void> {
    try {
      while (this.#waiters.length > 0) {
        await this.#flush();
        this.#release();
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#flushing = null;
    }
  }

  #fail(error: unknown): void {
    const told = this.#parts.onFailure(error);
    this.#failure ??= { error: told };
    this.#release();
  }

  /** One group of commits: what there is now, or the next one alone when it is large. */
  async #flush(): Promise<void> {
    const { capture, journal, clock, onHardened } = this.#parts;
    const startedMs = clock.monotonicMs();
    const piece = capture.take();
    if (piece === null) throw new SpeilError('INTERNAL', 'A commit was waited for that is not in the WAL.');
    const written = piece === 'large' ? await this.#appendLarge() : await this.#append(piece, NOTHING);
    const { lsn } = await journal.harden();
    this.#hardened = { position: capture.captured, lsn, checksum: capture.databaseChecksum };
    onHardened({ mark: this.#hardened, ...written, durationMs: clock.monotonicMs() - startedMs });
  }

  async #appendLarge(): Promise<Written> {
    let written = NOTHING;
    for await (const piece of this.#parts.capture.takeLarge()) written = await this.#append(piece, written);
    return written;
  }

  async #append(piece: CapturedPiece, { blocks, payloadBytes }: Written): Promise<Written> {
    const { term, clock, journal } = this.#parts;
    const { commits, continued, payload, databaseChecksum } = piece;
    const before = this.#hardened.lsn;
    await journal.append({
      ...{ term, continued, payload, databaseChecksum },
      first: Lsn.after(before),
      last: Lsn.after(before, BigInt(commits)),
      sealedAtMs: clock.now(),
    });
    return { commits, blocks: blocks + 1, payloadBytes: payloadBytes + payload.byteLength };
  }

  #release(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (this.#failure !== null) waiter.reject(this.#failure.error);
      else if (isReached(waiter.position, this.#hardened.position)) waiter.resolve();
      else this.#waiters.push(waiter);
    }
  }
}
