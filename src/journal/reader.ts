import type { Disk, DiskFile } from '../core/disk.ts';
import { Lsn } from '../core/lsn.ts';
import type { Block, JournalPosition } from './block.ts';
import type { BlockCodec } from './block-codec.ts';
import { Chain } from './chain.ts';
import { damaged, gap, isMissing } from './journal-error.ts';
import { type Found, SegmentCursor } from './segment-cursor.ts';
import { bySegmentOrder } from './segment-format.ts';
import type { Place, Segment } from './segment-store.ts';

/** A journal as its readers see it. */
export interface BlockSource {
  readonly disk: Disk;
  readonly codec: BlockCodec;
  readonly start: JournalPosition;
  readonly hardened: JournalPosition;
  /** Where the block at {@link hardened} ends. Every segment before this one is finished. */
  readonly hardenedEnd: Place;
  /** Oldest first. */
  readonly segments: readonly Segment[];
  /** Those that are told of a truncation. */
  readonly readers: Set<BlockReader>;
  /** Throws when the journal has failed or was closed. */
  judge(): void;
  /** Resolves when more was hardened. Rejects with the signal's reason, and when the journal fails or is closed. */
  grown(signal: AbortSignal | undefined): Promise<void>;
}

export type ReadOptions = { readonly follow?: boolean; readonly signal?: AbortSignal };

export async function* readBlocks(source: BlockSource, from: Lsn, options: ReadOptions = {}): AsyncGenerator<Block> {
  await using reader = new BlockReader(source, from);
  for (;;) {
    const found = await reader.next(options);
    if (found === null) return;
    yield found.block;
  }
}

/** Goes through hardened blocks, while the journal grows, is trimmed and is cut. Reads no further than it is asked to. */
export class BlockReader implements AsyncDisposable {
  readonly #source: BlockSource;
  #at: { readonly segment: Segment; readonly file: DiskFile; readonly cursor: SegmentCursor } | null = null;
  /** The last commits handed out whole, and how many blocks of the next ones were, too. */
  #delivered: Lsn;
  #parts = 0;
  /** After a new beginning: so many blocks of the next commits were handed out before it. */
  #skip = 0;
  /** A truncation took away what was handed out already. */
  #cutTo: Lsn | null = null;
  /** A truncation took the files from under us, and nothing that was handed out. */
  #astray = false;

  constructor(source: BlockSource, from: Lsn) {
    this.#source = source;
    this.#delivered = Lsn.after(from, -1n);
    source.readers.add(this);
  }

  /** Of the block that {@link next} answered: where it ends. */
  get place(): Place | null {
    return this.#at === null ? null : { segment: this.#at.segment, offset: this.#at.cursor.offset };
  }

  /** The journal tells that everything after `lsn` is gone. */
  cut(lsn: Lsn): void {
    if (this.#delivered > lsn || (this.#parts > 0 && this.#delivered >= lsn)) this.#cutTo = lsn;
    this.#astray = true;
  }

  async next({ follow = false, signal }: ReadOptions): Promise<Found | null> {
    for (;;) {
      this.#judge(signal);
      const cursor = await this.#cursor();
      const found = await this.#found(cursor);
      this.#judge(signal);
      if (this.#astray) continue;
      if (found !== null) {
        if (!this.#isKnown(found.block)) return this.#deliver(found);
        continue;
      }
      if (cursor.stop.kind === 'end-mark') await this.#nextSegment(cursor);
      else if (cursor.stop.kind !== 'bound') throw this.#damage(cursor, faultOf(cursor));
      else if (!follow) return null;
      else await this.#source.grown(signal);
    }
  }

  #judge(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    this.#source.judge();
    if (this.#cutTo !== null)
      throw gap(`The journal was cut after LSN ${this.#cutTo}, and more than that was read already.`);
  }

  async #found(cursor: SegmentCursor): Promise<Found | null> {
    try {
      return await cursor.next();
    } catch (error) {
      const what = `it cannot be read (${error instanceof Error ? error.message : String(error)})`;
      throw this.#damage(cursor, what);
    }
  }

  #isKnown({ last }: Block): boolean {
    if (last <= this.#delivered) return true;
    if (this.#skip === 0) return false;
    this.#skip -= 1;
    return true;
  }

  #deliver(found: Found): Found {
    const { continued, last } = found.block;
    this.#parts = continued ? this.#parts + 1 : 0;
    if (!continued) this.#delivered = last;
    return found;
  }

  /** At the next block, and up to where it may read now. */
  async #cursor(): Promise<SegmentCursor> {
    while (this.#at === null || this.#astray) await this.#begin();
    const at = this.#at;
    const end = this.#source.hardenedEnd;
    at.cursor.bound = at.segment === end.segment ? end.offset : at.segment.bytes;
    return at.cursor;
  }

  async #begin(): Promise<void> {
    this.#astray = false;
    this.#skip = this.#parts;
    const { start, hardened, hardenedEnd, segments } = this.#source;
    const next = Lsn.after(this.#delivered);
    if (next <= start.lsn)
      throw gap(`LSN ${next} is not in the journal any more; it starts after ${start.lsn}.`, SEED_HINT);
    if (next > Lsn.after(hardened.lsn)) throw gap(`LSN ${next} is not in the journal; it ends with ${hardened.lsn}.`);
    if (next > hardened.lsn) return this.#open(hardenedEnd.segment, hardenedEnd.offset, new Chain(hardened));
    const segment = segments.findLast(({ first, part }) => part === 0 && first <= next);
    if (segment === undefined) throw new Error('a journal without a start');
    return this.#open(segment);
  }

  async #nextSegment({ chain }: SegmentCursor): Promise<void> {
    const here = this.#at?.segment;
    const next = this.#source.segments.find((one) => here !== undefined && bySegmentOrder(one, here) > 0);
    const { first, part, hashBefore } = next ?? {};
    if (next === undefined || first !== Lsn.after(chain.position.lsn) || part !== (chain.group?.blocks ?? 0))
      throw this.#overtaken();
    if (hashBefore === undefined || Buffer.compare(hashBefore, chain.hash) !== 0)
      throw damaged({ file: next.path, offset: 0, afterLsn: chain.position.lsn, what: OTHER_CHAIN });
    await this.#open(next, undefined, chain);
  }

  async #open(segment: Segment, offset?: number, chain?: Chain): Promise<void> {
    await this.#leave();
    const file = await this.#file(segment);
    if (file === null) return;
    const cursor = new SegmentCursor(file, segment, this.#source.codec, chain);
    if (offset !== undefined) cursor.offset = offset;
    this.#at = { segment, file, cursor };
  }

  /** Null when a truncation came in between. */
  async #file(segment: Segment): Promise<DiskFile | null> {
    try {
      return await this.#source.disk.open(segment.path, 'read');
    } catch (error) {
      if (this.#astray) return null;
      if (isMissing(error) && !this.#source.segments.includes(segment)) throw this.#overtaken();
      throw error;
    }
  }

  #overtaken(): Error {
    return gap(`The journal after LSN ${this.#delivered} was removed while it was read.`, SEED_HINT);
  }

  #damage({ offset, chain }: SegmentCursor, what: string): Error {
    return damaged({ file: this.#at?.segment.path ?? '', offset, afterLsn: chain.position.lsn, what });
  }

  async #leave(): Promise<void> {
    const at = this.#at;
    this.#at = null;
    await at?.file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#source.readers.delete(this);
    await this.#leave();
  }
}

const faultOf = ({ stop }: SegmentCursor): string =>
  stop.kind === 'fault' ? stop.what : 'there is nothing where a block must be';

const SEED_HINT = 'Who needs it is seeded anew; `hold` keeps blocks for those who come back.';
const OTHER_CHAIN = 'the segment does not follow on the one before';
