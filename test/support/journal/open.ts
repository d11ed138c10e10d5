import { SimDisk } from '../../../sim/disk.ts';
import { SimRandom } from '../../../sim/random.ts';
import type { Disk } from '../../../src/core/disk.ts';
import { createJournal } from '../../../src/journal/create-journal.ts';
import type { Journal } from '../../../src/journal/journal.ts';
import { type OpenedJournal, type OpenJournalOptions, openJournal } from '../../../src/journal/open-journal.ts';
import { LINEAGE } from './drafts.ts';

export const FOLDER = 'data/journal';
export const SEGMENT_BYTES = 4096;

export const simDisk = (seed = 1): SimDisk => new SimDisk(new SimRandom(seed));

export const create = (disk: Disk, segmentBytes = SEGMENT_BYTES): Promise<Journal> =>
  createJournal({ disk, folder: FOLDER, lineage: LINEAGE, segmentBytes });

export const open = (disk: Disk, options: Partial<OpenJournalOptions> = {}): Promise<OpenedJournal> =>
  openJournal({ disk, folder: FOLDER, segmentBytes: SEGMENT_BYTES, ...options });

/** Closes it and opens it anew, as after a restart. */
export async function reopened(disk: SimDisk, journal: Journal): Promise<Journal> {
  await journal[Symbol.asyncDispose]();
  return (await open(disk)).journal;
}

export const segmentNames = (disk: SimDisk): readonly string[] =>
  [...disk.files().keys()]
    .filter((path) => path.endsWith('.journal'))
    .map((path) => path.slice(FOLDER.length + 1))
    .sort();
