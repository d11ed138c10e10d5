import type { Disk, DiskFile } from '../core/disk.ts';
import { SpeilError } from '../core/error.ts';
import type { Lineage } from '../core/lineage.ts';
import { Lsn } from '../core/lsn.ts';
import { BLOCK_PAYLOAD_BYTES_MAX, type Block, type BlockDraft, type JournalPosition } from './block.ts';
import { BlockCodec } from './block-codec.ts';
import { Chain } from './chain.ts';
import { announceCut, completeCut, makeCut } from './cut.ts';
import { Growth } from './growth.ts';
import type { Holders } from './holders.ts';
import type { Journal } from './journal.ts';
import { failed, full, gap, isFull } from './journal-error.ts';
import type { Marks } from './marks.ts';
import { BlockReader, type BlockSource, type ReadOptions, readBlocks } from './reader.ts';
import { Retention } from './retention.ts';
import { recordBytes, SEGMENT_HEADER_BYTES, segmentRoom } from './segment-format.ts';
import type { Place, Segment, SegmentStore } from './segment-store.ts';
import { SegmentWriter } from './segment-writer.ts';
import { SharedSync } from './shared-sync.ts';
import { Turns } from './turns.ts';

/** A journal as it was found or made: what {@link FileJournal} goes on from. */
export type JournalState = {
  readonly disk: Disk;
  readonly store: SegmentStore;
  readonly lineage: Lineage;
  readonly segmentBytes: number;
  /** Oldest first, at least one. */
  readonly segments: readonly Segment[];
  /** The last segment, for writing. */
  readonly file: DiskFile;
  readonly marks: Marks;
  readonly holders: Holders;
  /** The last block, which is whole and durable, and where it ends. */
  readonly position: JournalPosition;
  readonly end: number;
  readonly hasSpare: boolean;
};

type Sync = {
  readonly file: DiskFile;
  readonly end: number;
  readonly position: JournalPosition;
  readonly place: Place;
};

const DONE: Promise<void> = Promise.resolve();

/** The journal in a folder of segment files. */
export class FileJournal implements Journal, BlockSource {
  readonly disk: Disk;
  readonly codec: BlockCodec;
  readonly readers = new Set<BlockReader>();
  readonly #store: SegmentStore;
  readonly #marks: Marks;
  readonly #holders: Holders;
  readonly #segmentBytes: number;
  readonly #segments: Segment[];
  readonly #turns = new Turns();
  readonly #growth = new Growth();
  readonly #syncs = new SharedSync(() => this.#hardenAll());
  readonly #retention: Retention;

  #writer: SegmentWriter;
  #chain: Chain;
  /** Where the last block of the chain ends, and the last one that completed its commits. They move together with the chain. */
  #end: number;
  #whole: Place;
  /** Up to here the writer's segment was synced. */
  #synced: number;

  #hardened: JournalPosition;
  #hardenedEnd: Place;
  #hasSpare: boolean;
  #making: Promise<void> | null = null;
  #refusal: SpeilError | null = null;

  constructor(state: JournalState) {
    const segment = present(state.segments.at(-1));
    this.disk = state.disk;
    this.codec = new BlockCodec(state.lineage);
    this.#store = state.store;
    this.#marks = state.marks;
    this.#holders = state.holders;
    this.#segmentBytes = state.segmentBytes;
    this.#segments = [...state.segments];
    this.#retention = new Retention(state.store, state.holders, this.#segments);
    this.#writer = new SegmentWriter(segment, state.file, state.end);
    this.#chain = new Chain(state.position);
    this.#end = state.end;
    this.#synced = state.end;
    this.#whole = { segment, offset: state.end };
    this.#hardened = state.position;
    this.#hardenedEnd = this.#whole;
    this.#hasSpare = state.hasSpare;
  }

  get appended(): JournalPosition {
    return this.#chain.position;
  }

  get hardened(): JournalPosition {
    return this.#hardened;
  }

  get hardenedEnd(): Place {
    return this.#hardenedEnd;
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  get start(): JournalPosition {
    const { first, hashBefore } = present(this.#segments[0]);
    return { lsn: Lsn.after(first, -1n), hash: hashBefore };
  }

  get holders(): ReadonlyMap<string, Lsn> {
    return this.#holders.held;
  }

  get bytes(): number {
    const spare = this.#hasSpare ? this.#segmentBytes : 0;
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, spare);
  }

  get roomBytes(): number {
    const { rest } = this.#writer;
    return this.#hasSpare ? Math.max(rest, segmentRoom(this.#segmentBytes)) : rest;
  }

  judge(): void {
    if (this.#refusal !== null) throw this.#refusal;
  }

  grown(signal: AbortSignal | undefined): Promise<void> {
    return this.#growth.wait(signal);
  }

  append(draft: BlockDraft): Promise<Block> {
    return this.#turns.take(() => this.#append(draft));
  }

  async #append(draft: BlockDraft): Promise<Block> {
    this.#judgeDraft(draft);
    if (recordBytes(draft.payload.length) > this.#writer.rest) await this.#rollOver();
    const previousHash = this.#chain.hash;
    const hash = await this.#write(draft, previousHash);
    this.#chain.advance(draft, hash);
    this.#end = this.#writer.end;
    if (!draft.continued) this.#whole = { segment: this.#writer.segment, offset: this.#end };
    return { ...draft, lineage: this.codec.lineage, previousHash, hash };
  }

  #judgeDraft(draft: BlockDraft): void {
    this.judge();
    const most = Math.min(BLOCK_PAYLOAD_BYTES_MAX, segmentRoom(this.#segmentBytes) - recordBytes(0));
    if (draft.payload.length > most)
      throw new RangeError(`a payload of ${draft.payload.length} bytes; a block takes ${most}`);
    const fault = this.#chain.fault(draft);
    if (fault !== null) throw gap(`The block does not follow on what the journal holds: ${fault}.`);
  }

  async #write(draft: BlockDraft, previousHash: Uint8Array): Promise<Uint8Array> {
    try {
      return await this.#writer.append(this.codec, draft, previousHash, this.#hardened.lsn);
    } catch (error) {
      throw this.#problem(error);
    }
  }

  /** Goes on in the next segment. Everything in this one is durable before, so no hole can be in front of a segment. */
  async #rollOver(): Promise<void> {
    await this.harden();
    await this.makeRoom();
    const { segment, file } = await this.#useSpare();
    try {
      await this.#writer.finish({ lsn: this.#chain.position.lsn, hash: this.#chain.hash });
    } catch (error) {
      await file.close();
      throw this.#fail(error);
    }
    this.#segments.push(segment);
    this.#goOnIn(new SegmentWriter(segment, file, SEGMENT_HEADER_BYTES));
    if (this.#chain.group !== null) return;
    this.#whole = { segment, offset: SEGMENT_HEADER_BYTES };
    this.#hardenedEnd = this.#whole;
  }

  /** It counts as the spare until it has its name: another one made meanwhile would be given that name instead. */
  async #useSpare(): Promise<{ segment: Segment; file: DiskFile }> {
    const { position, hash, group } = this.#chain;
    try {
      return await this.#store.useSpare({
        lineage: this.codec.lineage,
        first: Lsn.after(position.lsn),
        part: group?.blocks ?? 0,
        hashBefore: hash,
        bytes: this.#segmentBytes,
      });
    } catch (error) {
      throw this.#problem(error);
    } finally {
      this.#hasSpare = false;
    }
  }

  #goOnIn(writer: SegmentWriter): void {
    this.#writer = writer;
    this.#end = writer.end;
    this.#synced = writer.end;
  }

  harden(): Promise<JournalPosition> {
    if (this.#refusal !== null) return Promise.reject(this.#refusal);
    return this.#syncs.request();
  }

  #hardenAll(): Promise<JournalPosition> {
    if (this.#synced === this.#end) return Promise.resolve(this.#hardened);
    const { position } = this.#chain;
    return this.#sync({ file: this.#writer.file, end: this.#end, position, place: this.#whole });
  }

  async #sync({ file, end, position, place }: Sync): Promise<JournalPosition> {
    try {
      await file.sync();
      await this.#marks.write('hardened', position);
    } catch (error) {
      throw this.#fail(error);
    }
    this.#synced = end;
    this.#hardened = position;
    this.#hardenedEnd = place;
    this.#growth.announce();
    return position;
  }

  makeRoom(): Promise<void> {
    if (this.#refusal !== null) return Promise.reject(this.#refusal);
    if (this.#hasSpare) return DONE;
    this.#making ??= this.#makeSpare();
    return this.#making;
  }

  async #makeSpare(): Promise<void> {
    try {
      await this.#store.makeSpare(this.#segmentBytes);
      this.#hasSpare = true;
    } catch (error) {
      throw this.#problem(error);
    } finally {
      this.#making = null;
    }
  }

  read(from: Lsn, options?: ReadOptions): AsyncIterable<Block> {
    return readBlocks(this, from, options);
  }

  async positionAt(lsn: Lsn): Promise<JournalPosition | null> {
    this.judge();
    return (await this.#find(lsn))?.position ?? null;
  }

  async #find(lsn: Lsn): Promise<{ readonly position: JournalPosition; readonly place: Place } | null> {
    const { start } = this;
    if (lsn === this.#hardened.lsn) return { position: this.#hardened, place: this.#hardenedEnd };
    if (lsn < start.lsn || lsn > this.#hardened.lsn) return null;
    if (lsn === start.lsn)
      return { position: start, place: { segment: present(this.#segments[0]), offset: SEGMENT_HEADER_BYTES } };
    await using reader = new BlockReader(this, lsn);
    for (;;) {
      const { block } = (await reader.next({})) ?? {};
      if (block === undefined) return null;
      if (block.continued) continue;
      const { place } = reader;
      return block.last === lsn && place !== null
        ? { position: { lsn, hash: Uint8Array.from(block.hash) }, place }
        : null;
    }
  }

  hold(holder: string, lsn: Lsn): Promise<void> {
    return this.#turns.take(() => this.#hold(holder, lsn));
  }

  async #hold(holder: string, lsn: Lsn): Promise<void> {
    this.judge();
    const { start, hardened } = this;
    if (lsn < start.lsn) throw gap(`Nothing after LSN ${lsn} can be kept: the journal starts after ${start.lsn}.`);
    if (lsn > hardened.lsn)
      throw gap(`Nothing after LSN ${lsn} can be kept: the journal is hardened up to ${hardened.lsn}.`);
    this.#holders.judge(holder);
    await this.#surely(this.#retention.hold(holder, lsn));
  }

  release(holder: string): Promise<void> {
    return this.#turns.take(async () => {
      this.judge();
      await this.#surely(this.#retention.release(holder));
    });
  }

  trim(): Promise<number> {
    return this.#turns.take(async () => {
      this.judge();
      return await this.#surely(this.#retention.trim(this.#hardened.lsn));
    });
  }

  truncateAfter(position: JournalPosition): Promise<void> {
    return this.#turns.take(() => this.#truncateAfter(position));
  }

  async #truncateAfter({ lsn, hash }: JournalPosition): Promise<void> {
    this.judge();
    await (lsn > this.#hardened.lsn ? this.harden() : this.#syncs.idle());
    const found = await this.#find(lsn);
    if (found === null || Buffer.compare(found.position.hash, hash) !== 0)
      throw gap(`The journal has no block that ends with LSN ${lsn} and that hash.`);
    const { position, place } = found;
    if (place.segment === this.#writer.segment && place.offset === this.#end) return;
    try {
      await announceCut(this.#marks, position);
      await this.#syncs.idle();
      const { file: old } = this.#writer;
      const segments = this.#forgetAfter(position, place);
      await old.close();
      const file = await makeCut(this.disk, this.#store, segments, place);
      this.#goOnIn(new SegmentWriter(place.segment, file, place.offset));
      await completeCut(this.#marks, this.#holders, position);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Before anything is gone, so that no reader looks for it. Answers the segments that there were. */
  #forgetAfter(position: JournalPosition, place: Place): readonly Segment[] {
    const segments = [...this.#segments];
    this.#segments.splice(segments.indexOf(place.segment) + 1);
    this.#chain = new Chain(position);
    this.#synced = this.#end;
    this.#whole = place;
    this.#hardened = position;
    this.#hardenedEnd = place;
    for (const reader of this.readers) reader.cut(position.lsn);
    return segments;
  }

  /** What must not fail takes no room. */
  async #surely<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Only a full disk can be gone on after. */
  #problem(error: unknown): SpeilError {
    return isFull(error) ? full(this.#store.folder, error) : this.#fail(error);
  }

  #fail(error: unknown): SpeilError {
    this.#refusal ??= isJournalFailure(error) ? error : failed(this.#store.folder, error);
    this.#growth.end(this.#refusal);
    return this.#refusal;
  }

  /** Waits for what is under way. What was appended and not hardened stays as it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turns.idle();
    await Promise.allSettled([this.#making, this.#syncs.idle()]);
    const hasFailed = this.#refusal !== null;
    this.#refusal ??= closed(this.#store.folder);
    this.#growth.end(this.#refusal);
    if (!hasFailed) await this.#marks.sync();
    await Promise.all([this.#writer.file.close(), this.#marks.close(), this.#holders.close()]);
  }
}

const isJournalFailure = (error: unknown): error is SpeilError =>
  error instanceof SpeilError && error.code === 'JOURNAL_FAILED';

const closed = (folder: string): SpeilError => new SpeilError('INTERRUPTED', `The journal in ${folder} was closed.`);

function present<T>(segment: T | undefined): T {
  if (segment === undefined) throw new Error('a journal without segments');
  return segment;
}
