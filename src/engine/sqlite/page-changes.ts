import { SpeilError } from '../../core/error.ts';
import { isPageSize, lockPageOf } from './database-header.ts';
import type { PageBuffer } from './page-buffer.ts';
import { putVarint, VARINT_BYTES_MAX, VarintReader } from './varint.ts';

/**
 * What a journal block's payload says: the bytes in which pages differ from what they were before the block.
 *
 *     byte      1, the version of this form
 *     byte      log2 of the page size, 9 to 16
 *     varint    pages before
 *     varint    pages after
 *     then for each changed page, ascending:
 *       varint  page number less that of the page before it (of 0)
 *       varint  how many ranges, at least 1
 *       then for each range, ascending, none touching another:
 *         varint  its distance from the end of the range before it (from the page's start)
 *         varint  its length
 *         bytes   what is there now
 *
 * Pages beyond `pages before` were zeros. Values are absolute: whatever mixture of earlier and later states the pages were in,
 * they are right once every block up to the last of those states was applied. Of a block that is cut into several, the first
 * says the change of the page count and the others have it twice as it is after.
 */
export const PAGE_CHANGES_VERSION = 1;

export type PageCounts = { readonly pageSize: number; readonly before: number; readonly after: number };

/** What a page may cost beyond its own bytes: it is written as one range when several would be longer. */
const PAGE_OVERHEAD_BYTES_MAX = 4 * VARINT_BYTES_MAX;

const INITIAL_BYTES = 64 << 10;
/** Below this a loop copies faster than a call. */
const LOOP_BYTES_MAX = 48;

export class PageChangesWriter {
  #bytes = Buffer.allocUnsafe(INITIAL_BYTES);
  #at = 0;
  #page = 0;
  #pageSize = 0;

  begin(counts: PageCounts): void {
    this.#pageSize = counts.pageSize;
    this.#page = 0;
    this.#bytes[0] = PAGE_CHANGES_VERSION;
    this.#bytes[1] = Math.log2(counts.pageSize);
    this.#at = putVarint(this.#bytes, putVarint(this.#bytes, 2, counts.before), counts.after);
  }

  /** Bytes up to now. */
  get length(): number {
    return this.#at;
  }

  /** True when one page more may make it longer than `lengthMax`. */
  mayExceed(lengthMax: number): boolean {
    return this.#at + this.#pageSize + PAGE_OVERHEAD_BYTES_MAX > lengthMax;
  }

  /** The page's new image begins at byte `imageAt` of `image`; `ranges` are as `diffPage` makes them. Pages ascend. */
  add(page: number, image: PageBuffer, imageAt: number, ranges: Uint32Array, count: number): void {
    this.#reserve(this.#pageSize + PAGE_OVERHEAD_BYTES_MAX);
    const start = putVarint(this.#bytes, this.#at, page - this.#page);
    this.#page = page;
    this.#at =
      this.#putRanges(start, image.bytes, imageAt, ranges, count) ?? this.#putWhole(start, image.bytes, imageAt);
  }

  /** A copy that is the caller's own. */
  finish(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.#bytes, 0, this.#at);
  }

  /** Null when the page as a whole is shorter. */
  #putRanges(start: number, image: Buffer, imageAt: number, ranges: Uint32Array, count: number): number | null {
    const limit = start + this.#pageSize;
    const bytes = this.#bytes;
    let at = putVarint(bytes, start, count);
    let end = 0;
    for (let n = 0; n < 2 * count; n += 2) {
      const from = ranges[n] as number;
      const to = ranges[n + 1] as number;
      if (at + (to - from) + 2 * VARINT_BYTES_MAX > limit) return null;
      at = putVarint(bytes, putVarint(bytes, at, from - end), to - from);
      at = copyBytes(image, imageAt + from, imageAt + to, bytes, at);
      end = to;
    }
    return at;
  }

  #putWhole(start: number, image: Buffer, imageAt: number): number {
    let at = putVarint(this.#bytes, start, 1);
    at = putVarint(this.#bytes, putVarint(this.#bytes, at, 0), this.#pageSize);
    return copyBytes(image, imageAt, imageAt + this.#pageSize, this.#bytes, at);
  }

  #reserve(length: number): void {
    if (this.#at + length <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, this.#at + length));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

function copyBytes(from: Buffer, start: number, end: number, to: Buffer, at: number): number {
  const length = end - start;
  if (length > LOOP_BYTES_MAX) from.copy(to, at, start, end);
  else for (let n = 0; n < length; n++) to[at + n] = from[start + n] as number;
  return at + length;
}

/**
 * The changes of a payload, found to be well-formed in every respect. Arrays with one entry a page and one a range, so that
 * a payload of millions of ranges makes no objects; they are used again by the next `read`.
 */
export class PageChanges {
  bytes: Uint8Array = new Uint8Array();
  counts: PageCounts = { pageSize: 512, before: 0, after: 0 };
  pageTotal = 0;
  /** Page numbers, ascending. */
  pages = new Uint32Array(256);
  /** The page's first range; that of the page after it ends them. */
  firstRange = new Uint32Array(256);
  /** Of each range: byte in the page, length, byte in the payload. */
  ranges = new Uint32Array(3 * 1024);
  #rangeTotal = 0;

  /** Takes the place of what was read before. Throws `PAYLOAD_REFUSED` for what is not the form above, to the last bit. */
  read(payload: Uint8Array): this {
    const reader = new VarintReader(payload);
    this.bytes = payload;
    this.counts = readCounts(reader);
    this.pageTotal = 0;
    this.#rangeTotal = 0;
    const lockPage = lockPageOf(this.counts.pageSize);
    for (let page = 0; !reader.isAtEnd; ) {
      const step = reader.next();
      if (step < 1) throw refused('a page number cannot be read or does not ascend');
      page += step;
      if (page > this.counts.after) throw refused(`page ${page} lies beyond the ${this.counts.after} pages`);
      if (page === lockPage) throw refused(`page ${page} is the lock page`);
      this.#beginPage(page);
      this.#readRanges(reader, page);
    }
    this.firstRange[this.pageTotal] = this.#rangeTotal;
    return this;
  }

  /** Where page number `index` of the payload is one range from end to end. */
  isWhole(index: number): boolean {
    return this.ranges[3 * (this.firstRange[index] as number) + 1] === this.counts.pageSize;
  }

  #beginPage(page: number): void {
    if (this.pageTotal + 2 > this.pages.length) {
      this.pages = doubled(this.pages);
      this.firstRange = doubled(this.firstRange);
    }
    this.pages[this.pageTotal] = page;
    this.firstRange[this.pageTotal++] = this.#rangeTotal;
  }

  #readRanges(reader: VarintReader, page: number): void {
    const { pageSize } = this.counts;
    const count = reader.next();
    if (count < 1) throw refused(`page ${page} has no ranges`);
    let end = 0;
    for (let n = 0; n < count; n++) {
      const distance = reader.next();
      const length = reader.next();
      if (distance < (n === 0 ? 0 : 1) || length < 1) throw refused(`page ${page} has a range that cannot be read`);
      const start = end + distance;
      end = start + length;
      if (end > pageSize) throw refused(`page ${page} has a range up to byte ${end} of ${pageSize}`);
      this.#addRange(start, length, reader.at);
      reader.at += length;
      if (reader.at > reader.bytes.length) throw refused(`it ends within page ${page}`);
    }
  }

  #addRange(start: number, length: number, at: number): void {
    const place = 3 * this.#rangeTotal++;
    if (place + 3 > this.ranges.length) this.ranges = doubled(this.ranges);
    this.ranges[place] = start;
    this.ranges[place + 1] = length;
    this.ranges[place + 2] = at;
  }
}

function readCounts(reader: VarintReader): PageCounts {
  const version = reader.next();
  if (version !== PAGE_CHANGES_VERSION) throw refused(`version ${version} is not ${PAGE_CHANGES_VERSION}`);
  const exponent = reader.next();
  const pageSize = exponent >= 0 && exponent < 32 ? 2 ** exponent : 0;
  if (!isPageSize(pageSize)) throw refused(`a page size of 2^${exponent}`);
  const counts = { pageSize, before: reader.next(), after: reader.next() };
  if (counts.before < 0 || counts.after < 0) throw refused('the page counts cannot be read');
  return counts;
}

function doubled(numbers: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(2 * numbers.length);
  larger.set(numbers);
  return larger;
}

const refused = (why: string): SpeilError =>
  new SpeilError('PAYLOAD_REFUSED', `The payload of a journal block is damaged: ${why}.`, {
    hint: 'speil journal check names the block; fetch the journal, or the whole database, from a partner or a backup.',
  });
