import type { PageBuffer } from './page-buffer.ts';

/** Words of page 1 that hold masked bytes: all lie before this one. */
const MASKED_WORDS = 25;

/**
 * The bytes of page 1 that differ between a database in WAL mode and its copy in rollback-journal mode, as masks of
 * little-endian words: file format versions (18, 19), change counter (24..27), version-valid-for and SQLite's version (92..99).
 */
const PAGE_1_MASKS: ReadonlyMap<number, number> = new Map([
  [4, 0x0000ffff],
  [6, 0],
  [23, 0],
  [24, 0],
]);

const STEP_LOW = 0x9e3779b2 | 0;
const STEP_HIGH = 0xc2b2ae3a | 0;

/** A bijection of 32-bit integers that sends similar ones far apart (MurmurHash3's finalizer). */
function scattered(value: number): number {
  let x = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

/**
 * Rolling checksum of a whole database: the sum over every word of every page of a hash of page number, place and word, in
 * two lanes of 32 bits with different keys. A change of a page costs only the words that changed. A word of zeros counts nothing,
 * so neither do pages of zeros nor growing by them. Within a place the hash is a bijection of the word in either lane:
 * a single changed word is always found. It is nonlinear and keyed by the place, so swapped pages, swapped words and paired
 * bit flips are found but for one in 2^64.
 *
 * Not counted: page 1's bytes that a copy in rollback-journal mode has otherwise, and the lock page, which SQLite never
 * reads (whoever sums up a file leaves it out).
 */
export class DatabaseChecksum {
  #low: number;
  #high: number;
  /** The page whose keys are at hand. */
  #page = 0;
  #keyLow = 0;
  #keyHigh = 0;

  constructor(value = 0n) {
    this.#low = Number(BigInt.asIntN(32, value));
    this.#high = Number(BigInt.asIntN(32, value >> 32n));
  }

  get value(): bigint {
    return (BigInt(this.#high >>> 0) << 32n) | BigInt(this.#low >>> 0);
  }

  /** Of no pages. */
  reset(): void {
    this.#low = 0;
    this.#high = 0;
  }

  /** Counts the words `from`..`to` (excluded) of the image of a page that begins at byte `at` of the buffer. */
  add(page: number, buffer: PageBuffer, at: number, from: number, to: number): void {
    this.#count(page, buffer.words, at >> 2, from, to, 1);
  }

  subtract(page: number, buffer: PageBuffer, at: number, from: number, to: number): void {
    this.#count(page, buffer.words, at >> 2, from, to, -1);
  }

  #count(page: number, words: Int32Array, at: number, from: number, to: number, sign: 1 | -1): void {
    if (page === 1 && from < MASKED_WORDS) {
      const masked = Math.min(to, MASKED_WORDS);
      this.#sum(1, maskedStart(words, at), 0, from, masked, sign);
      this.#sum(1, words, at, masked, to, sign);
    } else this.#sum(page, words, at, from, to, sign);
  }

  #turnTo(page: number): void {
    this.#page = page;
    this.#keyLow = scattered(page) | 1;
    this.#keyHigh = scattered(page ^ 0x5bd1e995) | 1;
  }

  #sum(page: number, words: Int32Array, at: number, from: number, to: number, sign: 1 | -1): void {
    if (page !== this.#page) this.#turnTo(page);
    let keyLow = this.#keyLow + Math.imul(from, STEP_LOW);
    let keyHigh = this.#keyHigh + Math.imul(from, STEP_HIGH);
    let low = 0;
    let high = 0;
    for (let n = at + from; n < at + to; n++) {
      const word = words[n] as number;
      const mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
      const scatteredWord = mixed ^ (mixed >>> 13);
      const l = Math.imul(scatteredWord, keyLow);
      const h = Math.imul(scatteredWord, keyHigh);
      low = (low + (l ^ (l >>> 15))) | 0;
      high = (high + (h ^ (h >>> 15))) | 0;
      keyLow = (keyLow + STEP_LOW) | 0;
      keyHigh = (keyHigh + STEP_HIGH) | 0;
    }
    this.#low = (this.#low + sign * low) | 0;
    this.#high = (this.#high + sign * high) | 0;
  }
}

function maskedStart(words: Int32Array, at: number): Int32Array {
  const start = words.slice(at, at + MASKED_WORDS);
  for (const [word, mask] of PAGE_1_MASKS) start[word] = (start[word] as number) & mask;
  return start;
}
