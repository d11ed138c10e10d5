import type { Disk } from '../core/disk.ts';
import { Lsn } from '../core/lsn.ts';
import type { BlockCodec } from './block-codec.ts';
import { Chain, sameBytes } from './chain.ts';
import { damaged } from './journal-error.ts';
import { type Found, SegmentCursor, type Stop } from './segment-cursor.ts';
import { SEGMENT_HEADER_BYTES } from './segment-format.ts';
import { endOfBytes, openFile, type Place, type Segment } from './segment-store.ts';

/** How far a chain could be walked. */
export type Walked = {
  readonly chain: Chain;
  /** Where the last record ends. */
  readonly end: Place;
  /** Where the last block ends that completed its commits. */
  readonly whole: Place;
  /** In the segment of {@link end}: up to here the records after it testify that all was hardened. */
  readonly proven: Place;
  readonly stop: Stop;
  /** A segment that is complete and lacks its end mark, since a crash came between the next one and it. */
  readonly unmarked: Place | null;
};

export type WalkOptions = {
  /** Walking ends where these commits do. */
  readonly until?: Lsn | undefined;
  readonly visit?: ((found: Found, segment: Segment) => void) | undefined;
};

/** The segment in which the commit lies, if it is in the journal, or one before it; always one that begins with a commit. */
export function segmentBefore(segments: readonly Segment[], lsn: Lsn): number {
  return Math.max(
    segments.findLastIndex(({ first, part }) => part === 0 && first <= lsn),
    0,
  );
}

/** Whether the segment goes on where the chain stands. */
export const goesOn = (segment: Segment, chain: Chain): boolean =>
  segment.first === Lsn.after(chain.position.lsn) &&
  segment.part === (chain.group?.blocks ?? 0) &&
  sameBytes(segment.hashBefore, chain.hash);

/**
 * Walks the chain through the segments, the first of which begins with a commit, and checks every block. Ends in the last
 * one, wherever that ends; throws `JOURNAL_DAMAGED` when it breaks before.
 */
export async function walk(
  disk: Disk,
  codec: BlockCodec,
  segments: readonly Segment[],
  options: WalkOptions = {},
): Promise<Walked> {
  let walker: SegmentWalk | null = null;
  let unmarked: Place | null = null;
  for (const [index, segment] of segments.entries()) {
    walker = new SegmentWalk(segment, walker);
    await using file = await openFile(disk, segment.path);
    const cursor = new SegmentCursor(file, segment, codec, walker.chain);
    const stop = await walker.run(cursor, options);
    const next = segments[index + 1];
    if (next === undefined || stop.kind === 'bound') return walker.walked(stop, unmarked);
    if (!goesOn(next, walker.chain)) throw damageAt(segment, cursor, stop, next);
    if (stop.kind !== 'end-mark') unmarked = await unfinished(disk, segment, cursor, segments.slice(index + 1));
  }
  throw new Error('a journal without segments');
}

class SegmentWalk {
  readonly #segment: Segment;
  readonly chain: Chain;
  #whole: Place;
  #end: Place;
  #proven: Place;
  /** Where the commits of this segment end, and how many of them a record after them testifies to be hardened. */
  readonly #ends: { readonly last: Lsn; readonly end: number }[] = [];
  #proved = 0;

  constructor(segment: Segment, before: SegmentWalk | null) {
    const start = { segment, offset: SEGMENT_HEADER_BYTES };
    this.#segment = segment;
    this.chain = before?.chain ?? Chain.before(segment.first, segment.part, segment.hashBefore);
    this.#whole = segment.part === 0 ? start : (before?.whole ?? start);
    this.#end = start;
    this.#proven = start;
  }

  get whole(): Place {
    return this.#whole;
  }

  async run(cursor: SegmentCursor, { until, visit }: WalkOptions): Promise<Stop> {
    while (until === undefined || this.chain.position.lsn < until) {
      const found = await cursor.next();
      if (found === null) return cursor.stop;
      this.#pass(found, cursor.offset);
      visit?.(found, this.#segment);
    }
    return { kind: 'bound' };
  }

  #pass({ block, hardened }: Found, end: number): void {
    this.#end = { segment: this.#segment, offset: end };
    this.#prove(hardened);
    if (block.continued) return;
    this.#whole = this.#end;
    this.#ends.push({ last: block.last, end });
  }

  #prove(hardened: Lsn): void {
    for (let next = this.#ends[this.#proved]; next !== undefined && next.last <= hardened; ) {
      this.#proven = { segment: this.#segment, offset: next.end };
      this.#proved += 1;
      next = this.#ends[this.#proved];
    }
  }

  walked(stop: Stop, unmarked: Place | null): Walked {
    return { chain: this.chain, end: this.#end, whole: this.#whole, proven: this.#proven, stop, unmarked };
  }
}

/** A finished segment may lack its end mark only while nothing was written to the one after it. */
async function unfinished(
  disk: Disk,
  segment: Segment,
  cursor: SegmentCursor,
  later: readonly Segment[],
): Promise<Place> {
  const [next, ...others] = later;
  if (next === undefined || others.length > 0 || !(await isBlank(disk, next)))
    throw damaged({
      file: segment.path,
      offset: cursor.offset,
      afterLsn: cursor.chain.position.lsn,
      what: 'the end mark is missing',
    });
  return { segment, offset: cursor.offset };
}

export async function isBlank(disk: Disk, { path }: Segment): Promise<boolean> {
  await using file = await openFile(disk, path);
  return (await endOfBytes(file, SEGMENT_HEADER_BYTES)) === SEGMENT_HEADER_BYTES;
}

function damageAt(segment: Segment, { offset, chain }: SegmentCursor, stop: Stop, next: Segment): Error {
  const afterLsn = chain.position.lsn;
  if (stop.kind === 'fault') return damaged({ file: segment.path, offset, afterLsn, what: stop.what });
  if (stop.kind === 'blank')
    return damaged({ file: segment.path, offset, afterLsn, what: 'there is nothing where a block must be' });
  const what =
    next.first === Lsn.after(afterLsn)
      ? 'the segment does not follow on the one before'
      : 'a segment before it is missing';
  return damaged({ file: next.path, offset: 0, afterLsn, what });
}
