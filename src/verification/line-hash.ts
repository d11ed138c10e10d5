/**
 * Hashes of a line of row text: of its key, which says in which bucket the row belongs, and of all of it, as four
 * unsigned integers of 32 bits. For one word of the line a step is a bijection of the state, so two lines that differ in
 * one word never have the same hash. It resists chance, not an adversary.
 */
export class LineHasher {
  readonly #keyCount: number;
  bucket = 0;
  low1 = 0;
  high1 = 0;
  low2 = 0;
  high2 = 0;

  /** The key ends with the `keyCount`th tab of a line; 0: the whole line is the key. */
  constructor(keyCount: number) {
    this.#keyCount = keyCount;
  }

  hash(line: string, buckets: number): void {
    this.low1 = 0x9e37_79b9 | 0;
    this.high1 = 0x243f_6a88;
    this.low2 = 0xb7e1_5162 | 0;
    this.high2 = 0x5be0_cd19;
    const keyEnd = this.#keyEnd(line);
    this.#mix(line, 0, keyEnd);
    this.bucket = scattered(this.low1 ^ this.high2) & (buckets - 1);
    this.#mix(line, keyEnd, line.length);
    this.low1 = scattered(this.low1) >>> 0;
    this.high1 = scattered(this.high1) >>> 0;
    this.low2 = scattered(this.low2) >>> 0;
    this.high2 = scattered(this.high2) >>> 0;
  }

  #keyEnd(line: string): number {
    let end = -1;
    for (let fields = this.#keyCount; fields > 0; fields--) {
      end = line.indexOf('\t', end + 1);
      if (end < 0) break;
    }
    return end < 0 ? line.length : end;
  }

  /** Two characters are a word. */
  #mix(line: string, start: number, end: number): void {
    let { low1: a, high1: b, low2: c, high2: d } = this;
    for (let i = start; i < end; i += 2) {
      const word = i + 1 < end ? line.charCodeAt(i) | (line.charCodeAt(i + 1) << 16) : line.charCodeAt(i);
      a = Math.imul(a ^ word, 0x9e37_79b1);
      b = Math.imul(b ^ word, 0x85eb_ca6b);
      c = Math.imul(c ^ word, 0xc2b2_ae35);
      d = Math.imul(d ^ word, 0x27d4_eb2f);
      a ^= d >>> 15;
      b ^= a >>> 13;
      c ^= b >>> 16;
      d ^= c >>> 14;
    }
    this.low1 = a;
    this.high1 = b;
    this.low2 = c;
    this.high2 = d;
  }
}

/** The finalizer of murmur3: a bijection after which every bit depends on every other. */
function scattered(value: number): number {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85eb_ca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2_ae35);
  return h ^ (h >>> 16);
}
