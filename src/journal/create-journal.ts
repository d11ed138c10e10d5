import type { Disk } from '../core/disk.ts';
import { SpeilError } from '../core/error.ts';
import type { Lineage } from '../core/lineage.ts';
import { Lsn } from '../core/lsn.ts';
import type { JournalPosition } from './block.ts';
import { HASH_BYTES } from './block-codec.ts';
import { FileJournal } from './file-journal.ts';
import { Holders } from './holders.ts';
import type { Journal } from './journal.ts';
import { openFailure } from './journal-error.ts';
import { inspectMark, Marks } from './marks.ts';
import { judgeSegmentBytes, parseSegmentName, SEGMENT_HEADER_BYTES } from './segment-format.ts';
import { SegmentStore } from './segment-store.ts';

export type CreateJournalOptions = {
  readonly disk: Disk;
  /** Made when it is not there. Nothing else lives in it. */
  readonly folder: string;
  readonly lineage: Lineage;
  /** Where the history before it ended; of a mirror that was seeded, what it was seeded with. */
  readonly start?: JournalPosition | undefined;
  readonly segmentBytes?: number | undefined;
};

const NOTHING_BEFORE: JournalPosition = { lsn: Lsn.zero, hash: new Uint8Array(HASH_BYTES) };

/** Throws `CONFLICT` when there is one in the folder, `DISK_FULL`, `READ_ONLY`. A crash leaves a journal or none. */
export async function createJournal(options: CreateJournalOptions): Promise<Journal> {
  const { disk, folder, lineage, start = NOTHING_BEFORE } = options;
  const segmentBytes = judgeSegmentBytes(options.segmentBytes);
  await using open = new AsyncDisposableStack();
  try {
    const store = new SegmentStore(disk, folder);
    await disk.makeFolder(folder);
    const isUsed = (await inspectMark(disk, folder, 'hardened', null)) !== 'none';
    await clearRemains(store, await disk.list(folder), isUsed);
    const holders = open.adopt(await Holders.create(disk, folder), closing);
    const marks = open.adopt(await Marks.create(disk, folder, lineage), closing);
    await store.makeSpare(segmentBytes);
    const header = { lineage, first: Lsn.after(start.lsn), part: 0, hashBefore: start.hash, bytes: segmentBytes };
    const { segment, file } = await store.useSpare(header);
    open.adopt(file, closing);
    await marks.write('hardened', start);
    const journal = new FileJournal({
      ...{ disk, store, lineage, segmentBytes, marks, holders, file },
      segments: [segment],
      position: start,
      end: SEGMENT_HEADER_BYTES,
      hasSpare: false,
    });
    open.move();
    return journal;
  } catch (error) {
    throw openFailure(folder, error);
  }
}

/** What an interrupted creation has left is taken away; a journal, or what is left of one, is not touched. */
async function clearRemains(store: SegmentStore, names: readonly string[], isUsed: boolean): Promise<void> {
  if (isUsed || names.some((name) => parseSegmentName(name) !== null)) {
    throw new SpeilError('CONFLICT', `There is a journal in ${store.folder} already, or what is left of one.`, {
      hint: 'Name another folder, or move this one away.',
    });
  }
  for (const name of names) await store.remove(store.path(name));
}

const closing = (file: { close(): Promise<void> }): Promise<void> => file.close();
