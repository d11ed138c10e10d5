import type { RowDigest, RowLines, VerifiedRows } from '../database/verify-side.ts';
import { type BucketSet, BucketSums } from '../database/verify-sums.ts';
import { LineHasher } from './line-hash.ts';

/** Characters of a line that stand for a row without a key. */
const PREVIEW_CHARACTERS = 200;

/** Rows that are hashed here, because the two databases have no hash in common. */
export class StreamedRows implements VerifiedRows {
  readonly #lines: RowLines;
  readonly #keyCount: number;
  readonly #hasher: LineHasher;
  readonly #signal: AbortSignal;

  constructor(lines: RowLines, keyCount: number, signal: AbortSignal) {
    this.#lines = lines;
    this.#keyCount = keyCount;
    this.#hasher = new LineHasher(keyCount);
    this.#signal = signal;
  }

  async sums(buckets: number, onRows: (rows: number) => void): Promise<BucketSums> {
    const sums = new BucketSums(buckets);
    const hasher = this.#hasher;
    for await (const lines of this.#lines.all()) {
      for (const line of lines) {
        hasher.hash(line, buckets);
        sums.addHalves(hasher.bucket, 1, hasher.low1, hasher.high1, hasher.low2, hasher.high2);
      }
      onRows(lines.length);
      this.#signal.throwIfAborted();
    }
    return sums;
  }

  async *digests(wanted: BucketSet): AsyncGenerator<readonly RowDigest[]> {
    for await (const lines of this.#lines.all()) {
      const found: RowDigest[] = [];
      for (const line of lines) {
        this.#hasher.hash(line, wanted.buckets);
        if (wanted.has(this.#hasher.bucket)) found.push(this.#digest(line));
      }
      if (found.length > 0) yield found;
      this.#signal.throwIfAborted();
    }
  }

  async find(keys: readonly string[], buckets: number): Promise<readonly RowDigest[]> {
    const lines = await this.#lines.find(keys);
    return lines.map((line) => {
      this.#hasher.hash(line, buckets);
      return this.#digest(line);
    });
  }

  /** Of the line that was hashed last. */
  #digest(line: string): RowDigest {
    const { bucket, low1, high1, low2, high2 } = this.#hasher;
    const key = this.#keyCount === 0 ? line.slice(0, PREVIEW_CHARACTERS) : line.split('\t', this.#keyCount).join('\t');
    return { key, bucket, hash: [wide(high1, low1), wide(high2, low2)] };
  }
}

const wide = (high: number, low: number): bigint => (BigInt(high) << 32n) | BigInt(low);
