import type { Disk } from '../core/disk.ts';
import { SpeilError } from '../core/error.ts';
import type { Lineage } from '../core/lineage.ts';
import { Lsn } from '../core/lsn.ts';
import type { Block, JournalPosition } from './block.ts';
import { BlockCodec } from './block-codec.ts';
import { type Chain, sameBytes } from './chain.ts';
import { HOLDERS_NAME, highestHeld, holdersFault, inspectHolders, newestOf } from './holders.ts';
import { type Damage, isMissing } from './journal-error.ts';
import { inspectMark, isPosition, MARKS_NAME, type Mark } from './marks.ts';
import { type Found, SegmentCursor } from './segment-cursor.ts';
import { END_MARK_BYTES } from './segment-format.ts';
import { isDamage, isSegment, leftByTrimming, listSegments } from './segment-list.ts';
import { endOfBytes, openFile, type Segment } from './segment-store.ts';
import { damageOfTail } from './tail.ts';
import { goesOn, isBlank } from './walk.ts';

/**
 * `damage` is what no crash explains: the journal cannot be opened, or not be read there. `torn-tail` is what a crash has
 * left at the very end, never acknowledged; opening cuts it off. `notice` does not endanger a block.
 */
export type Finding = Damage & { readonly kind: 'damage' | 'torn-tail' | 'notice' };

/** A block and where it lies. */
export type BlockFacts = {
  readonly kind: 'block';
  readonly block: Block;
  readonly file: string;
  readonly offset: number;
  /** That it takes in the file. */
  readonly bytes: number;
};

export type InspectOptions = {
  readonly disk: Disk;
  readonly folder: string;
  /** From the block that holds this commit on; all without. */
  readonly from?: Lsn | undefined;
};

export type JournalCheck = {
  readonly lineage: Lineage | null;
  readonly segments: number;
  readonly blocks: number;
  readonly bytes: number;
  /** Of the blocks that could be read. */
  readonly first: Lsn | null;
  readonly last: JournalPosition | null;
  readonly findings: readonly Finding[];
};

/** More are counted on, but not kept. A journal with so many has to be brought back anyway. */
const FINDINGS_MAX = 1000;

/** Walks through everything. The journal must not be open. Throws `FILE_MISSING`, and what the disk says. */
export async function checkJournal(options: Omit<InspectOptions, 'from'>): Promise<JournalCheck> {
  const listed = await listSegments(options.disk, options.folder).catch((): readonly (Segment | Damage)[] => []);
  const findings: Finding[] = [];
  const sums = { blocks: 0, bytes: 0 };
  let first: Lsn | null = null;
  let last: JournalPosition | null = null;
  for await (const found of inspectJournal(options)) {
    if (found.kind !== 'block') {
      if (findings.length < FINDINGS_MAX) findings.push(found);
      continue;
    }
    sums.blocks += 1;
    sums.bytes += found.bytes;
    first ??= found.block.first;
    if (!found.block.continued) last = { lsn: found.block.last, hash: found.block.hash };
  }
  const lineage = listed.find(isSegment)?.lineage ?? null;
  return { ...sums, lineage, segments: listed.length, first, last, findings };
}

/** Every block that can be read, in order, and what is wrong between them. Changes nothing. The journal must not be open. */
export async function* inspectJournal(options: InspectOptions): AsyncGenerator<BlockFacts | Finding> {
  const { disk, folder } = options;
  const listed = await listSegments(disk, folder).catch((error: unknown) => {
    throw isMissing(error) ? missing(folder) : error;
  });
  const known = listed.find(isSegment);
  if (known === undefined) yield* withoutSegments(options, listed.filter(isDamage));
  else yield* new Inspection(options, listed, known.lineage).run();
}

const missing = (folder: string): SpeilError =>
  new SpeilError('FILE_MISSING', `There is no journal in ${folder}.`, { hint: 'Check the path.' });

async function* withoutSegments({ disk, folder }: InspectOptions, wrong: readonly Damage[]): AsyncGenerator<Finding> {
  for (const damage of wrong) yield { kind: 'damage', ...damage };
  if (wrong.length > 0) return;
  if ((await inspectMark(disk, folder, 'hardened', null)) === 'none') throw missing(folder);
  yield { kind: 'damage', file: folder, offset: 0, afterLsn: Lsn.zero, what: 'no segment is left' };
}

type Inspected = BlockFacts | Finding;

class Inspection {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #from: Lsn;
  readonly #segments: readonly (Segment | Damage)[];
  readonly #codec: BlockCodec;
  readonly #left: readonly Segment[];
  readonly #oldest: Segment | null;
  /** The chain so far; null where it is broken, and the next header is taken at its word. */
  #chain: Chain | null = null;
  #mark: Mark = 'none';
  #held: Lsn | null = null;
  #cut: Lsn | null = null;
  #over = false;

  constructor(
    { disk, folder, from = Lsn.zero }: InspectOptions,
    listed: readonly (Segment | Damage)[],
    lineage: Lineage,
  ) {
    this.#disk = disk;
    this.#folder = folder;
    this.#from = from;
    this.#left = leftByTrimming(listed);
    this.#oldest = listed.slice(this.#left.length).find(isSegment) ?? null;
    this.#segments = listed.slice(Math.max(wantedFrom(listed, from), this.#left.length));
    this.#codec = new BlockCodec(lineage);
  }

  async *run(): AsyncGenerator<Inspected> {
    yield* this.#marks();
    yield* this.#holders();
    for (const { path } of this.#left)
      yield { kind: this.#segments.length === 0 ? 'damage' : 'notice', ...atStart(path, LEFT_BY_TRIMMING) };
    for (const [index, segment] of this.#segments.entries()) {
      const isCut = this.#isCut();
      if (isDamage(segment)) yield* this.#broken(segment);
      else if (!isCut) yield* this.#segment(segment, this.#segments.slice(index + 1));
    }
  }

  *#broken(damage: Damage): Generator<Finding> {
    this.#chain = null;
    yield { kind: 'damage', ...damage };
  }

  /** Beyond an announced cut there may be anything. */
  #isCut(): boolean {
    this.#over ||= this.#cut !== null && this.#chain !== null && this.#chain.position.lsn >= this.#cut;
    return this.#over;
  }

  async *#marks(): AsyncGenerator<Finding> {
    const path = `${this.#folder}/${MARKS_NAME}`;
    const { lineage } = this.#codec;
    if (!(await this.#disk.list(this.#folder)).includes(MARKS_NAME))
      yield { kind: 'damage', ...atStart(path, 'the file is missing') };
    this.#mark = await inspectMark(this.#disk, this.#folder, 'hardened', lineage);
    const cut = await inspectMark(this.#disk, this.#folder, 'cut', lineage);
    if (this.#mark === 'unreadable')
      yield { kind: 'notice', ...atStart(path, 'the mark of what was hardened is unreadable') };
    if (cut === 'unreadable') yield { kind: 'notice', ...atStart(path, 'the mark of a truncation is unreadable') };
    if (!isPosition(cut)) return;
    this.#cut = cut.lsn;
    yield {
      kind: 'notice',
      ...atStart(path, `a truncation after LSN ${cut.lsn} was interrupted; opening completes it`),
    };
  }

  async *#segment(segment: Segment, later: readonly (Segment | Damage)[]): AsyncGenerator<Inspected> {
    const isOurs = segment.lineage === this.#codec.lineage;
    if (!isOurs) yield* this.#broken(atStart(segment.path, `the segment is of lineage ${segment.lineage}`));
    else if (this.#chain !== null && !goesOn(segment, this.#chain))
      yield* this.#broken(at(segment.path, 0, this.#chain, 'the segment does not follow on the one before'));
    await using file = await openFile(this.#disk, segment.path);
    const cursor = new SegmentCursor(file, segment, this.#codec, this.#chain ?? undefined);
    this.#chain = cursor.chain;
    let whole = cursor.offset;
    while (!this.#isCut()) {
      const found = await cursor.next();
      if (found === null) break;
      yield* this.#block(segment, found, cursor.chain);
      if (!found.block.continued) whole = cursor.offset;
    }
    if (this.#over) return;
    const end = await endOfBytes(file, cursor.offset);
    if (later.length === 0) yield* this.#tail(segment, cursor, { whole, end });
    else yield* this.#end(segment, cursor, { end, later });
  }

  *#block({ path }: Segment, { block, offset, bytes }: Found, chain: Chain): Generator<Inspected> {
    if (block.last >= this.#from) yield { kind: 'block', block, file: path, offset, bytes };
    if (!block.continued && this.#contradicts(block)) yield { kind: 'damage', ...at(path, offset, chain, OTHER_BLOCK) };
  }

  #contradicts({ last, hash }: Block): boolean {
    return isPosition(this.#mark) && this.#mark.lsn === last && !sameBytes(this.#mark.hash, hash);
  }

  /** Of a segment that is not the last. */
  async *#end(
    segment: Segment,
    cursor: SegmentCursor,
    { end, later }: { readonly end: number; readonly later: readonly (Segment | Damage)[] },
  ): AsyncGenerator<Finding> {
    const { chain, stop, offset } = cursor;
    const [next, ...others] = later;
    if (stop.kind === 'end-mark') {
      if (end <= offset + END_MARK_BYTES) return;
      yield { kind: 'notice', ...at(segment.path, offset, chain, 'there are bytes after the end mark') };
    } else if (next !== undefined && !isDamage(next) && goesOn(next, chain)) {
      const explained = others.length === 0 && (await isBlank(this.#disk, next));
      const what = 'the end mark is missing';
      yield { kind: explained ? 'notice' : 'damage', ...at(segment.path, offset, chain, what) };
    } else {
      yield* this.#broken(at(segment.path, offset, chain, stop.kind === 'fault' ? stop.what : NOTHING_HERE));
    }
  }

  /** Of the last segment. */
  async *#tail(
    segment: Segment,
    { chain, stop, offset }: SegmentCursor,
    { whole, end }: { readonly whole: number; readonly end: number },
  ): AsyncGenerator<Finding> {
    const tail = { position: chain.position, stop, end: { segment, offset } };
    const what = await damageOfTail(this.#disk, tail, { mark: this.#mark, others: [this.#held] });
    if (what !== null) yield { kind: 'damage', ...at(segment.path, offset, chain, what) };
    else if (end > whole || chain.group !== null)
      yield { kind: 'torn-tail', ...at(segment.path, whole, chain, 'what follows was never hardened') };
  }

  async *#holders(): AsyncGenerator<Finding> {
    const copies = await inspectHolders(this.#disk, this.#folder);
    const path = `${this.#folder}/${HOLDERS_NAME}`;
    const whole = copies.filter((copy) => copy !== null);
    const held = newestOf(copies)?.holders ?? new Map();
    this.#held = highestHeld(held);
    const fault = this.#oldest === null ? null : holdersFault(held, this.#oldest);
    if (fault !== null) yield { kind: 'damage', ...fault };
    if (copies.length === 0) yield { kind: 'damage', ...atStart(path, 'the file is missing') };
    else if (whole.length === 0) yield { kind: 'damage', ...atStart(path, 'neither copy of the holders can be read') };
    else if (whole.length < copies.length)
      yield { kind: 'notice', ...atStart(path, 'one copy of the holders is unreadable') };
  }
}

const OTHER_BLOCK = 'the block that was hardened last is another one';
const NOTHING_HERE = 'there is nothing where a block must be';

const LEFT_BY_TRIMMING = 'the segment begins with a part of a commit whose other parts were trimmed';

const atStart = (file: string, what: string): Damage => ({ file, offset: 0, afterLsn: Lsn.zero, what });

const at = (file: string, offset: number, { position }: Chain, what: string): Damage => ({
  ...{ file, offset, what },
  afterLsn: position.lsn,
});

function wantedFrom(listed: readonly (Segment | Damage)[], from: Lsn): number {
  const index = listed.findLastIndex((segment) => isSegment(segment) && segment.part === 0 && segment.first <= from);
  return Math.max(index, 0);
}
