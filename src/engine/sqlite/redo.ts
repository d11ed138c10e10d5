import type { DiskFile } from '../../core/disk.ts';
import { SpeilError } from '../../core/error.ts';
import { DatabaseChecksum } from './database-checksum.ts';
import {
  CHANGE_COUNTER_AT,
  DATABASE_HEADER_BYTES,
  READ_VERSION_AT,
  VERSION_VALID_FOR_AT,
  WRITE_VERSION_AT,
} from './database-header.ts';
import { PageChanges, type PageCounts } from './page-changes.ts';
import { RedoCache } from './redo-cache.ts';

/** Keeps readers of the file away while its pages are written. */
export interface WriteGate {
  enter(): Promise<void>;
  leave(): Promise<void>;
}

export type RedoOptions = {
  /** Memory for page images; the default is {@link REDO_CACHE_BYTES}. */
  readonly cacheBytes?: number;
  /**
   * The file is read by SQLite connections: page 1 says that it has a rollback journal, whatever the source's says, and each flush
   * counts as a change, so that connections which are open drop what they remember.
   */
  readonly asReadMirror?: boolean;
  /** Entered before the first page is written, left when the file is as it was after a whole commit. */
  readonly gate?: WriteGate;
  /** Of the database as the file has it now; it is then kept up, for the price of reading pages before they are written over. */
  readonly databaseChecksum?: bigint;
};

/** Pages that change in a thousand blocks are written once as long as they fit. */
export const REDO_CACHE_BYTES = 64 << 20;
const CACHED_PAGES_MIN = 64;
/** Pages that are read at once. */
const BATCH_PAGES_MAX = 256;
/** The cache must have room for a batch beside the pages that are dirty. */
const BATCH_SHARE_OF_CACHE = 1 / 8;
/** Neighbouring pages that are written with one call, and calls that are under way at once. */
const PIECES_PER_WRITE_MAX = 128;
const WRITES_AT_ONCE = 8;

/**
 * Redoes payloads of journal blocks in a database file, oldest first. Pages are collected in memory and written when there is no
 * more room for them, and by `flush`. Nothing is synced: that is the caller's, by `DiskFile.sync`.
 *
 * Redo converges: each byte of the file may be as it was after any of the blocks, or before the first, and the file is right all
 * the same after the last.
 *
 * One call at a time. A failure of the disk is final: what the file holds is then one of those mixtures.
 */
export class RedoFile {
  readonly #file: DiskFile;
  readonly #options: RedoOptions;
  readonly #changes = new PageChanges();
  readonly #checksum: DatabaseChecksum | null;
  #cache: RedoCache | null = null;
  #pageSize = 0;
  #pageCount: number | null = null;
  /** The pages after it are zeros unless the cache has them, whatever the file holds there. */
  #zerosAfter = Number.POSITIVE_INFINITY;
  #changeCounter: number | null = null;
  #isInGate = false;
  #failure: unknown = null;
  #isBusy = false;

  constructor(file: DiskFile, options: RedoOptions = {}) {
    this.#file = file;
    this.#options = options;
    this.#checksum = options.databaseChecksum === undefined ? null : new DatabaseChecksum(options.databaseChecksum);
  }

  /** Null before the first payload. */
  get pageCount(): number | null {
    return this.#pageCount;
  }

  /** Null when it is not kept. */
  get databaseChecksum(): bigint | null {
    return this.#checksum?.value ?? null;
  }

  /**
   * Redoes one payload. `continued` says that more of the same commits follows: until then the gate, once entered, is not left.
   * Throws `PAYLOAD_REFUSED`, and then nothing of it was applied, when it is damaged or does not follow on the one before.
   */
  apply(payload: Uint8Array, { continued = false } = {}): Promise<void> {
    return this.#alone(async () => {
      this.#changes.read(payload);
      this.#requireNext(this.#changes.counts);
      await this.#final(() => this.#applyChanges(continued));
    });
  }

  /** Writes what was not written yet. */
  flush(): Promise<void> {
    return this.#alone(() => this.#final(() => this.#flush()));
  }

  async #alone(work: () => Promise<void>): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    if (this.#isBusy) throw new Error('redo is under way');
    this.#isBusy = true;
    try {
      await work();
    } finally {
      this.#isBusy = false;
    }
  }

  async #final(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  #requireNext({ pageSize, before }: PageCounts): void {
    const expected = pageSize === this.#pageSize || this.#pageSize === 0 ? this.#pageCount : 0;
    if (expected === null || before === expected) return;
    throw new SpeilError(
      'PAYLOAD_REFUSED',
      `The payload of a journal block begins with ${before} pages, not ${expected}.`,
      {
        hint: 'A block is missing before it: speil journal check says which.',
      },
    );
  }

  async #applyChanges(continued: boolean): Promise<void> {
    const { counts, pageTotal } = this.#changes;
    const cache = this.#cacheFor(counts.pageSize);
    await this.#resize(cache, counts);
    const batch = Math.min(BATCH_PAGES_MAX, Math.floor(cache.slots * BATCH_SHARE_OF_CACHE));
    for (let first = 0; first < pageTotal; first += batch) {
      if (cache.mustWrite) await this.#writeBack(cache);
      await this.#applyBatch(cache, first, Math.min(first + batch, pageTotal));
    }
    if (!continued && this.#isInGate) await this.#flush();
  }

  #cacheFor(pageSize: number): RedoCache {
    if (this.#cache !== null && pageSize === this.#pageSize) return this.#cache;
    if (this.#cache !== null) this.#beginAnew();
    const { cacheBytes = REDO_CACHE_BYTES } = this.#options;
    this.#pageSize = pageSize;
    this.#cache = new RedoCache(Math.max(CACHED_PAGES_MIN, Math.floor(cacheBytes / pageSize)), pageSize);
    return this.#cache;
  }

  /** Pages of another size: nothing that was there stays. */
  #beginAnew(): void {
    this.#pageCount = 0;
    this.#zerosAfter = 0;
    if (this.#checksum !== null) this.#checksum.reset();
  }

  async #resize(cache: RedoCache, { before, after }: PageCounts): Promise<void> {
    if (this.#checksum !== null) {
      for (let page = after + 1; page <= before; page++)
        this.#checksum.subtract(page, cache.buffer, await this.#load(cache, page), 0, this.#pageSize >> 2);
    }
    if (after < before) cache.forgetAfter(after);
    if (this.#pageCount === null || after !== before) this.#zerosAfter = Math.min(this.#zerosAfter, before, after);
    this.#pageCount = after;
  }

  async #load(cache: RedoCache, page: number): Promise<number> {
    const found = cache.find(page);
    if (found >= 0) return found;
    const at = cache.claim(page);
    await this.#read(cache, page, at);
    return at;
  }

  /** Every page of a payload changes: marked dirty, it keeps its place while it is read. */
  async #applyBatch(cache: RedoCache, first: number, end: number): Promise<void> {
    const reads: Promise<void>[] = [];
    for (let index = first; index < end; index++) {
      const page = this.#changes.pages[index] as number;
      let at = cache.find(page);
      if (at < 0) {
        at = cache.claim(page);
        if (this.#checksum !== null || !this.#changes.isWhole(index)) reads.push(this.#read(cache, page, at));
      }
      cache.markDirty(at);
    }
    if (reads.length > 0) await Promise.all(reads);
    for (let index = first; index < end; index++) this.#applyPage(cache, index);
  }

  #applyPage(cache: RedoCache, index: number): void {
    const { bytes, firstRange, pages, ranges } = this.#changes;
    const page = pages[index] as number;
    const at = cache.find(page);
    for (let n = 3 * (firstRange[index] as number); n < 3 * (firstRange[index + 1] as number); n += 3) {
      const start = ranges[n] as number;
      const length = ranges[n + 1] as number;
      const [from, to] = [start >> 2, (start + length + 3) >> 2];
      this.#checksum?.subtract(page, cache.buffer, at, from, to);
      copyBytes(bytes, ranges[n + 2] as number, length, cache.buffer.bytes, at + start);
      this.#checksum?.add(page, cache.buffer, at, from, to);
    }
  }

  async #read(cache: RedoCache, page: number, at: number): Promise<void> {
    const image = cache.buffer.bytes.subarray(at, at + this.#pageSize);
    const isThere = page <= this.#zerosAfter;
    const count = isThere ? await this.#file.read(image, (page - 1) * this.#pageSize) : 0;
    if (count < image.length) image.fill(0, count);
  }

  async #flush(): Promise<void> {
    const cache = this.#cache;
    if (cache !== null && (cache.dirty > 0 || this.#zerosAfter !== Number.POSITIVE_INFINITY))
      await this.#writeBack(cache);
    if (!this.#isInGate) return;
    this.#isInGate = false;
    await this.#options.gate?.leave();
  }

  async #countChange(cache: RedoCache): Promise<void> {
    if (this.#changeCounter === null) {
      const header = Buffer.alloc(DATABASE_HEADER_BYTES);
      await this.#file.read(header, 0);
      this.#changeCounter = header.readUInt32BE(CHANGE_COUNTER_AT);
    }
    this.#changeCounter = (this.#changeCounter + 1) >>> 0;
    cache.markDirty(await this.#load(cache, 1));
  }

  async #writeBack(cache: RedoCache): Promise<void> {
    await this.#enterGate();
    if (this.#options.asReadMirror) await this.#countChange(cache);
    const length = await this.#file.length();
    if (length > this.#zerosAfter * this.#pageSize) await this.#file.truncate(this.#zerosAfter * this.#pageSize);
    await this.#writePages(cache, cache.dirtyPages());
    const needed = (this.#pageCount ?? 0) * this.#pageSize;
    if ((await this.#file.length()) !== needed) await this.#file.truncate(needed);
    cache.markClean();
    this.#zerosAfter = Number.POSITIVE_INFINITY;
  }

  async #enterGate(): Promise<void> {
    if (this.#isInGate || this.#options.gate === undefined) return;
    await this.#options.gate.enter();
    this.#isInGate = true;
  }

  async #writePages(cache: RedoCache, pages: Uint32Array): Promise<void> {
    let writes: Promise<void>[] = [];
    for (let first = 0; first < pages.length; ) {
      let end = first + 1;
      while (end < pages.length && end - first < PIECES_PER_WRITE_MAX && pages[end] === (pages[end - 1] as number) + 1)
        end++;
      const pieces = Array.from(pages.subarray(first, end), (page) => this.#imageToWrite(cache, page));
      writes.push(this.#file.write(pieces, ((pages[first] as number) - 1) * this.#pageSize));
      first = end;
      if (writes.length < WRITES_AT_ONCE && first < pages.length) continue;
      await Promise.all(writes);
      writes = [];
    }
  }

  #imageToWrite(cache: RedoCache, page: number): Buffer {
    const at = cache.find(page);
    const image = cache.buffer.bytes.subarray(at, at + this.#pageSize);
    return page === 1 && this.#options.asReadMirror ? this.#asReadMirror(image) : image;
  }

  #asReadMirror(image: Buffer): Buffer {
    const patched = Buffer.from(image);
    patched[WRITE_VERSION_AT] = 1;
    patched[READ_VERSION_AT] = 1;
    patched.writeUInt32BE(this.#changeCounter ?? 0, CHANGE_COUNTER_AT);
    patched.writeUInt32BE(this.#changeCounter ?? 0, VERSION_VALID_FOR_AT);
    return patched;
  }
}

/** Below this a loop copies faster than a call. */
const LOOP_BYTES_MAX = 48;

function copyBytes(from: Uint8Array, start: number, length: number, to: Buffer, at: number): void {
  if (length > LOOP_BYTES_MAX) to.set(from.subarray(start, start + length), at);
  else for (let n = 0; n < length; n++) to[at + n] = from[start + n] as number;
}
