import type { Disk, DiskFile } from '../core/disk.ts';
import type { JournalPosition } from './block.ts';
import type { Holders } from './holders.ts';
import type { Marks } from './marks.ts';
import { endOfBytes, type Place, type Segment, type SegmentStore, writeZeros } from './segment-store.ts';

/** From when this has returned, the cut will be made, whatever happens. */
export async function announceCut(marks: Marks, position: JournalPosition): Promise<void> {
  await marks.write('hardened', position);
  await marks.write('cut', position);
  await marks.sync();
}

/** Removes what lies after the place, the newest first; answers the segment's file, open for writing. May be done again. */
export async function makeCut(
  disk: Disk,
  store: SegmentStore,
  segments: readonly Segment[],
  { segment, offset }: Place,
): Promise<DiskFile> {
  for (const later of segments.slice(segments.indexOf(segment) + 1).toReversed()) await store.remove(later.path);
  const file = await disk.open(segment.path, 'write');
  await writeZeros(file, offset, await endOfBytes(file, offset));
  return file;
}

/** Holders are moved back before the cut is over, or they would keep less than they said once the journal has grown again. */
export async function completeCut(marks: Marks, holders: Holders, { lsn }: JournalPosition): Promise<void> {
  if (holders.cut(lsn)) await holders.persist();
  await marks.erase('cut');
  await marks.sync();
}
