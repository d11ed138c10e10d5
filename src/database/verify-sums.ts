/**
 * The rows of a table, gathered by a hash of their key: for each bucket the number of rows and two independent sums,
 * modulo 2^64, of two hashes of the whole row. Sums and not exclusive-ors, so that a row that is there twice counts twice.
 */
export class BucketSums {
  /** A power of two. */
  readonly buckets: number;
  readonly #counts: Float64Array;
  /** Four to a bucket: low and high half of the first sum, then of the second. */
  readonly #halves: Uint32Array;

  constructor(buckets: number) {
    this.buckets = buckets;
    this.#counts = new Float64Array(buckets);
    this.#halves = new Uint32Array(4 * buckets);
  }

  /** Rows in all buckets. */
  get rows(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  /** Adds `count` rows whose hashes add up to these sums. */
  add(bucket: number, count: number, sums: RowHash): void {
    const [first, second] = sums;
    this.addHalves(
      bucket,
      count,
      Number(first & LOW),
      Number((first >> 32n) & LOW),
      Number(second & LOW),
      Number((second >> 32n) & LOW),
    );
  }

  /** The same with the halves of the sums as unsigned integers: no bigint is made for a row. */
  addHalves(bucket: number, count: number, low1: number, high1: number, low2: number, high2: number): void {
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count;
    this.#addSum(4 * bucket, low1, high1);
    this.#addSum(4 * bucket + 2, low2, high2);
  }

  #addSum(at: number, low: number, high: number): void {
    const sum = (this.#halves[at] ?? 0) + low;
    this.#halves[at] = sum;
    this.#halves[at + 1] = (this.#halves[at + 1] ?? 0) + high + (sum >= 2 ** 32 ? 1 : 0);
  }

  /** The buckets whose rows are not the same on both sides. */
  differing(other: BucketSums): BucketSet {
    const found = new BucketSet(this.buckets);
    for (let bucket = 0; bucket < this.buckets; bucket++) {
      if (!this.#isEqual(other, bucket)) found.add(bucket);
    }
    return found;
  }

  #isEqual(other: BucketSums, bucket: number): boolean {
    if (this.#counts[bucket] !== other.#counts[bucket]) return false;
    for (let at = 4 * bucket; at < 4 * bucket + 4; at++) {
      if (this.#halves[at] !== other.#halves[at]) return false;
    }
    return true;
  }
}

const LOW = 0xffff_ffffn;

/** Two independent hashes of a row, 64 bits each; or sums of them. Only the low 64 bits count. */
export type RowHash = readonly [bigint, bigint];

/** Some of the buckets, a bit for each. */
export class BucketSet {
  readonly buckets: number;
  /** Bucket n is bit n % 8 of byte n / 8, counted from the lowest: PostgreSQL's `get_bit`. */
  readonly bits: Uint8Array;
  #size = 0;

  constructor(buckets: number) {
    this.buckets = buckets;
    this.bits = new Uint8Array(Math.ceil(buckets / 8));
  }

  get size(): number {
    return this.#size;
  }

  add(bucket: number): void {
    if (this.has(bucket)) return;
    this.bits[bucket >> 3] = (this.bits[bucket >> 3] ?? 0) | (1 << (bucket & 7));
    this.#size++;
  }

  has(bucket: number): boolean {
    return ((this.bits[bucket >> 3] ?? 0) & (1 << (bucket & 7))) !== 0;
  }
}
