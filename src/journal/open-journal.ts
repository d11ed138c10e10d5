import type { Disk, DiskFile } from '../core/disk.ts';
import { SpeilError } from '../core/error.ts';
import type { Lineage } from '../core/lineage.ts';
import { Lsn } from '../core/lsn.ts';
import type { JournalPosition } from './block.ts';
import { BlockCodec } from './block-codec.ts';
import { type Chain, sameBytes } from './chain.ts';
import { announceCut, completeCut, makeCut } from './cut.ts';
import { FileJournal, type JournalState } from './file-journal.ts';
import { Holders, highestHeld, holdersFault } from './holders.ts';
import type { Journal } from './journal.ts';
import { type Damage, damaged, isMissing, openFailure } from './journal-error.ts';
import { inspectMark, isPosition, Marks } from './marks.ts';
import { encodeEndMark, judgeSegmentBytes, RecordHeads } from './segment-format.ts';
import { isDamage, leftByTrimming, listSegments } from './segment-list.ts';
import {
  endOfBytes,
  openFile,
  type Place,
  type Segment,
  SegmentStore,
  SPARE_NAME,
  UNFINISHED_NAME,
  writeZeros,
} from './segment-store.ts';
import { damageOfTail } from './tail.ts';
import { segmentBefore, type Walked, walk } from './walk.ts';

export type OpenJournalOptions = {
  readonly disk: Disk;
  readonly folder: string;
  /** Another one is refused with `OTHER_LINEAGE`. */
  readonly lineage?: Lineage | undefined;
  /** The chain is checked from the segment on in which this commit lies; all of it without. Readers check what they read anyway. */
  readonly from?: Lsn | undefined;
  /** What the caller knows to have been hardened: a journal that ends before it is damaged. */
  readonly hardenedAtLeast?: Lsn | undefined;
  /** Of segments that are made from now on. */
  readonly segmentBytes?: number | undefined;
};

/** What was at the very end, was never acknowledged, and was cut off: a crash came before it was hardened. */
export type TornTail = {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  /** What the journal ends with. */
  readonly after: JournalPosition;
};

export type OpenedJournal = {
  readonly journal: Journal;
  readonly tornTail: TornTail | null;
  /** A truncation that a crash had interrupted, and that is complete now. */
  readonly completedCut: JournalPosition | null;
};

/**
 * Reads what is there, finishes what a crash has interrupted, and cuts off a torn tail. Throws `JOURNAL_DAMAGED` for
 * everything that a crash cannot explain, `FILE_MISSING` when there is no journal, `OTHER_LINEAGE`, `READ_ONLY`,
 * `DISK_FULL`. One process at a time: the caller sees to that.
 */
export async function openJournal(options: OpenJournalOptions): Promise<OpenedJournal> {
  const { disk, folder } = options;
  const segmentBytes = judgeSegmentBytes(options.segmentBytes);
  await using open = new AsyncDisposableStack();
  try {
    const store = new SegmentStore(disk, folder);
    const listed = await wholeSegments(disk, folder);
    const lineage = judgeLineage(listed, options);
    const left = leftByTrimming(listed);
    const found = judgeStart(listed.slice(left.length), listed);
    const marks = open.adopt(await Marks.open(disk, folder, lineage), closing);
    const holders = open.adopt(await Holders.open(disk, folder), closing);
    judgeHolders(holders, found);
    const mending = new Mending({ disk, store, marks, holders, lineage });
    const completedCut = await mending.completeCut(found);
    const segments = completedCut === null ? found : (await wholeSegments(disk, folder)).slice(left.length);
    const walked = await mending.walk(segments, options);
    await mending.makeDurable(walked);
    const tornTail = await mending.cutTornTail(segments, walked);
    const file = open.adopt(await disk.open(walked.whole.segment.path, 'write'), closing);
    const kept = segments.slice(0, segments.indexOf(walked.whole.segment) + 1);
    const { lsn, hash } = walked.chain.position;
    const position = { lsn, hash: Uint8Array.from(hash) };
    for (const segment of left) await store.remove(segment.path);
    const hasSpare = await tidySpare(disk, store, segmentBytes);
    await disk.syncFolder(folder);
    const journal = new FileJournal({
      ...{ disk, store, lineage, segmentBytes, marks, holders, file, position, hasSpare },
      segments: kept,
      end: walked.whole.offset,
    });
    open.move();
    return { journal, tornTail, completedCut };
  } catch (error) {
    throw openFailure(folder, error);
  }
}

const closing = (file: { close(): Promise<void> }): Promise<void> => file.close();

async function wholeSegments(disk: Disk, folder: string): Promise<readonly Segment[]> {
  const segments = await listSegments(disk, folder).catch((error: unknown) => {
    throw isMissing(error) ? missing(folder) : error;
  });
  if (segments.length > 0) return segments.map(whole);
  if ((await inspectMark(disk, folder, 'hardened', null)) === 'none') throw missing(folder);
  throw damaged({ file: folder, offset: 0, afterLsn: Lsn.zero, what: 'no segment is left' });
}

function whole(segment: Segment | Damage): Segment {
  if (isDamage(segment)) throw damaged(segment);
  return segment;
}

const missing = (folder: string): SpeilError =>
  new SpeilError('FILE_MISSING', `There is no journal in ${folder}.`, { hint: 'Check the path.' });

function judgeLineage(segments: readonly Segment[], { folder, lineage: wanted }: OpenJournalOptions): Lineage {
  const [{ lineage } = { lineage: undefined }] = segments;
  if (lineage === undefined) throw missing(folder);
  const other = segments.find((segment) => segment.lineage !== lineage);
  if (other !== undefined)
    throw damaged({
      file: other.path,
      offset: 0,
      afterLsn: Lsn.zero,
      what: `the segment is of lineage ${other.lineage}`,
    });
  if (wanted === undefined || wanted === lineage) return lineage;
  throw new SpeilError('OTHER_LINEAGE', `The journal in ${folder} is of lineage ${lineage}, not ${wanted}.`, {
    hint: 'It belongs to another database. Nothing was changed.',
  });
}

function judgeStart(segments: readonly Segment[], [oldest]: readonly Segment[]): readonly Segment[] {
  if (segments.length > 0 || oldest === undefined) return segments;
  throw damaged({ file: oldest.path, offset: 0, afterLsn: Lsn.zero, what: 'a segment before it is missing' });
}

type Mended = Pick<JournalState, 'disk' | 'store' | 'marks' | 'holders' | 'lineage'>;

/** What an opening puts right before a journal can be used. */
class Mending {
  readonly #disk: Disk;
  readonly #store: SegmentStore;
  readonly #marks: Marks;
  readonly #holders: Holders;
  readonly #codec: BlockCodec;

  constructor({ disk, store, marks, holders, lineage }: Mended) {
    this.#disk = disk;
    this.#store = store;
    this.#marks = marks;
    this.#holders = holders;
    this.#codec = new BlockCodec(lineage);
  }

  /** Ends a truncation that was begun; null when none was. */
  async completeCut(segments: readonly Segment[]): Promise<JournalPosition | null> {
    const cut = await this.#marks.read('cut');
    if (!isPosition(cut)) return null;
    const walked = await walk(this.#disk, this.#codec, from(segments, cut.lsn), { until: cut.lsn });
    const { position } = walked.chain;
    if (position.lsn !== cut.lsn || !sameBytes(position.hash, cut.hash))
      throw damageAfter(walked, `the journal was to be cut after LSN ${cut.lsn}, which is not there`);
    await this.#cut(segments, position, walked.whole);
    return position;
  }

  async #cut(segments: readonly Segment[], position: JournalPosition, place: Place): Promise<void> {
    await announceCut(this.#marks, position);
    await (await makeCut(this.#disk, this.#store, segments, place)).close();
    await completeCut(this.#marks, this.#holders, position);
  }

  /** Checks the chain, and that everything is there that was hardened for certain. */
  async walk(segments: readonly Segment[], options: OpenJournalOptions): Promise<Walked> {
    const mark = await this.#marks.read('hardened');
    const walked = await walk(this.#disk, this.#codec, from(segments, options.from ?? Lsn.zero), {
      visit: ({ block }, segment) => {
        if (isPosition(mark) && block.last === mark.lsn && !block.continued && !sameBytes(block.hash, mark.hash))
          throw damaged({ file: segment.path, offset: 0, afterLsn: mark.lsn, what: OTHER_HISTORY });
      },
    });
    const tail = { position: walked.chain.position, end: walked.end, stop: walked.stop };
    const what = await damageOfTail(this.#disk, tail, {
      mark,
      others: [options.hardenedAtLeast ?? null, highestHeld(this.#holders.held)],
    });
    if (what !== null) throw damageAfter(walked, what);
    return walked;
  }

  /** Cuts off what was never acknowledged: blocks without an end, commits without their last block, noise. */
  async cutTornTail(segments: readonly Segment[], walked: Walked): Promise<TornTail | null> {
    const { whole, end } = walked;
    const { position } = walked.chain;
    await using file = await openFile(this.#disk, end.segment.path);
    const bytesEnd = await endOfBytes(file, end.offset);
    const bytes =
      whole.segment === end.segment ? bytesEnd - whole.offset : whole.segment.bytes - whole.offset + bytesEnd;
    if (bytes === 0) return null;
    await this.#cut(segments, position, whole);
    return { file: whole.segment.path, offset: whole.offset, bytes, after: position };
  }

  /**
   * Makes certain that what was read is on the disk. A system that failed a sync shows blocks that were never written, and
   * syncs nothing: so those to which nothing testifies are written again.
   */
  async makeDurable({ chain, whole, proven, unmarked }: Walked): Promise<void> {
    if (unmarked !== null && unmarked.segment !== whole.segment) await this.#writeEndMark(unmarked, chain);
    const mark = await this.#marks.read('hardened');
    if (isPosition(mark) && mark.lsn === chain.position.lsn) return;
    const file = await this.#disk.open(whole.segment.path, 'write');
    try {
      if (proven.segment === whole.segment) await writeAgain(file, proven.offset, whole.offset);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#marks.write('hardened', chain.position);
  }

  async #writeEndMark({ segment, offset }: Place, { position, hash }: Chain): Promise<void> {
    const file = await this.#disk.open(segment.path, 'write');
    try {
      await writeZeros(file, offset, await endOfBytes(file, offset));
      const last = { lsn: position.lsn, hash };
      await file.write([encodeEndMark(new RecordHeads(segment.seed), offset, last)], offset);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

const OTHER_HISTORY = 'the block with the LSN that was hardened last is another one';

const from = (segments: readonly Segment[], lsn: Lsn): readonly Segment[] =>
  segments.slice(segmentBefore(segments, lsn));

const damageAfter = ({ chain, end }: Walked, what: string): SpeilError =>
  damaged({ file: end.segment.path, offset: end.offset, afterLsn: chain.position.lsn, what });

const WRITE_AGAIN_BYTES = 1 << 20;

async function writeAgain(file: DiskFile, start: number, end: number): Promise<void> {
  for (let at = start; at < end; at += WRITE_AGAIN_BYTES) {
    const bytes = Buffer.allocUnsafeSlow(Math.min(WRITE_AGAIN_BYTES, end - at));
    await file.read(bytes, at);
    await file.write([bytes], at);
  }
}

function judgeHolders(holders: Holders, [oldest]: readonly Segment[]): void {
  const fault = oldest === undefined ? null : holdersFault(holders.held, oldest);
  if (fault !== null) throw damaged(fault);
}

/** Answers whether there is room for the next segment; takes away what was not finished or has another length. */
async function tidySpare(disk: Disk, store: SegmentStore, segmentBytes: number): Promise<boolean> {
  await disk.remove(store.path(UNFINISHED_NAME));
  const path = store.path(SPARE_NAME);
  if (!(await disk.list(store.folder)).includes(SPARE_NAME)) return false;
  if ((await lengthOf(disk, path)) === segmentBytes) return true;
  await disk.remove(path);
  return false;
}

async function lengthOf(disk: Disk, path: string): Promise<number> {
  await using file = await openFile(disk, path);
  return await file.length();
}
