/**
 * Hashes of a line of row text, made in one pass: of its key, which says in which bucket the row belongs, and of all of
 * it, as four unsigned integers of 32 bits. For one character the step is a bijection of the state, so two lines that
 * differ in one character never have the same hash. It resists chance, not an adversary.
 */
export class LineHasher {
  readonly #keyCount: number;
  bucket = 0;
  low1 = 0;
  high1 = 0;
  low2 = 0;
  high2 = 0;

  /** Keys end with the `keyCount`th tab of a line; 0: the whole line is the key. */
  constructor(keyCount: number) {
    this.#keyCount = keyCount;
  }

  hash(line: string, buckets: number): void {
    let a = 0x9e37_79b9 | 0;
    let b = 0x243f_6a88;
    let c = 0xb7e1_5162 | 0;
    let d = 0x5be0_cd19;
    let tabs = this.#keyCount;
    this.bucket = -1;
    for (let i = 0; i < line.length; i++) {
      const character = line.charCodeAt(i);
      if (character === TAB && --tabs === 0) this.bucket = mixed(a ^ d) & (buckets - 1);
      a = Math.imul(a ^ character, 0x9e37_79b1);
      b = Math.imul(b ^ character, 0x85eb_ca6b);
      c = Math.imul(c ^ character, 0xc2b2_ae35);
      d = Math.imul(d ^ character, 0x27d4_eb2f);
      a ^= d >>> 15;
      b ^= a >>> 13;
      c ^= b >>> 16;
      d ^= c >>> 14;
    }
    if (this.bucket < 0) this.bucket = mixed(a ^ d) & (buckets - 1);
    this.low1 = mixed(a) >>> 0;
    this.high1 = mixed(b) >>> 0;
    this.low2 = mixed(c) >>> 0;
    this.high2 = mixed(d) >>> 0;
  }
}

const TAB = 9;

/** The finalizer of murmur3: a bijection after which every bit depends on every other. */
function mixed(value: number): number {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85eb_ca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2_ae35);
  return h ^ (h >>> 16);
}
