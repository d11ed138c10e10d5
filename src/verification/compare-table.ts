import type { ChangedSince, VerifiedRows } from '../database/verify-side.ts';
import { KEYS_AT_ONCE, type RowDigest } from '../database/verify-side.ts';
import type { BucketSums } from '../database/verify-sums.ts';
import type { TablePair } from './pair.ts';
import type { Scratch } from './scratch.ts';

/** As many rows in a bucket as are read again, on either side, when one of them differs. */
const ROWS_PER_BUCKET = 1_000;
const BUCKETS_MIN = 64;
/** Sums of this many buckets are a few megabytes in both databases and here. */
const BUCKETS_MAX = 65_536;

/** A power of two. */
export const bucketsFor = (rows: number): number =>
  Math.min(BUCKETS_MAX, Math.max(BUCKETS_MIN, 2 ** Math.ceil(Math.log2(Math.max(1, rows / ROWS_PER_BUCKET)))));

export type Counted = { readonly sourceRows: number; readonly mirrorRows: number };

export type Comparison = {
  readonly pair: TablePair;
  readonly changed: ChangedSince;
  readonly scratch: Scratch;
  readonly expectedRows: number;
  readonly onRows: (rows: number) => void;
};

/**
 * Compares all rows but those whose keys changed in the source since the mirror's position: these are left open in the
 * scratch, and the rows that differ are left in it.
 */
export async function compareAll({ pair, changed, scratch, expectedRows, onRows }: Comparison): Promise<Counted> {
  scratch.clear();
  const buckets = bucketsFor(expectedRows);
  const [source, mirror] = await both(pair.source.sums(buckets, onRows), pair.mirror.sums(buckets, onRows));
  const counted = { sourceRows: source.rows, mirrorRows: mirror.rows };
  if (changed === 'keys') await evenOut(pair, scratch, { source, mirror });
  const differing = source.differing(mirror);
  if (differing.size > 0) {
    await addAll(scratch, pair.source.digests(differing), 'source');
    await addAll(scratch, pair.mirror.digests(differing), 'mirror');
    scratch.dropEqual();
    scratch.dropPending();
  }
  scratch.leaveOpen();
  return counted;
}

/**
 * Rows of pending keys must not make buckets differ. So each side is given what the other one has of them: then both
 * sums contain both, and are equal if the rest is.
 */
async function evenOut(
  pair: TablePair,
  scratch: Scratch,
  sums: { source: BucketSums; mirror: BucketSums },
): Promise<void> {
  for await (const keys of pair.changedKeys()) {
    const found = await findBoth(pair, keys, sums.source.buckets);
    scratch.addPending(keys, [...found.source, ...found.mirror]);
    for (const { bucket, hash } of found.source) sums.mirror.add(bucket, 1, hash);
    for (const { bucket, hash } of found.mirror) sums.source.add(bucket, 1, hash);
  }
}

async function addAll(
  scratch: Scratch,
  pieces: AsyncIterable<readonly RowDigest[]>,
  side: 'source' | 'mirror',
): Promise<void> {
  for await (const rows of pieces) scratch.addRows(rows, side);
}

/** Compares those open keys that are not pending at this later position. */
export async function compareOpen({ pair, changed, scratch }: Comparison): Promise<void> {
  if (changed === 'whole') return;
  try {
    if (changed === 'keys') await notePending(pair, scratch);
    for (const keys of scratch.comparable()) {
      await compareKeys(pair, scratch, keys);
      scratch.close(keys);
    }
  } finally {
    scratch.dropEqual();
    scratch.forgetPending();
  }
}

async function notePending(pair: TablePair, scratch: Scratch): Promise<void> {
  for await (const keys of pair.changedKeys()) {
    const found = await findBoth(pair, keys, BUCKETS_MIN);
    scratch.addPending(keys, [...found.source, ...found.mirror]);
  }
}

/** Adds what both sides have under these keys; at most {@link KEYS_AT_ONCE}. */
export async function compareKeys(pair: TablePair, scratch: Scratch, keys: readonly string[]): Promise<void> {
  const found = await findBoth(pair, keys, BUCKETS_MIN);
  scratch.addRows(found.source, 'source');
  scratch.addRows(found.mirror, 'mirror');
}

async function findBoth(pair: TablePair, keys: readonly string[], buckets: number) {
  const find = (side: VerifiedRows) => side.find(keys.slice(0, KEYS_AT_ONCE), buckets);
  const [source, mirror] = await both(find(pair.source), find(pair.mirror));
  return { source, mirror };
}

/** Waits for both also when one fails, so that neither session is left in the middle of a statement. */
async function both<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second]);
  return [await first, await second];
}
