import type { Disk } from '../core/disk.ts';
import { Lsn } from '../core/lsn.ts';
import type { Damage } from './journal-error.ts';
import {
  bySegmentOrder,
  decodeSegmentHeader,
  parseSegmentName,
  SEGMENT_HEADER_BYTES,
  type SeededHeader,
  type SegmentName,
  segmentName,
} from './segment-format.ts';
import { openFile, type Segment } from './segment-store.ts';

/** The segments in a folder, oldest first; in place of one whose header or length is wrong, what is wrong with it. */
export async function listSegments(disk: Disk, folder: string): Promise<readonly (Segment | Damage)[]> {
  const names = (await disk.list(folder)).map(parseSegmentName).filter((name) => name !== null);
  const segments: (Segment | Damage)[] = [];
  for (const name of names.toSorted(bySegmentOrder)) segments.push(await readSegment(disk, folder, name));
  return segments;
}

export const isDamage = (segment: Segment | Damage): segment is Damage => 'what' in segment;

export const isSegment = (segment: Segment | Damage): segment is Segment => !isDamage(segment);

/**
 * Those that trimming had on its way when a crash came: a journal begins with a commit, and they with a part of one.
 * All of them when nothing else is there.
 */
export function leftByTrimming(listed: readonly (Segment | Damage)[]): readonly Segment[] {
  const start = listed.findIndex((segment) => isDamage(segment) || segment.part === 0);
  return listed.slice(0, start === -1 ? listed.length : start).filter(isSegment);
}

async function readSegment(disk: Disk, folder: string, name: SegmentName): Promise<Segment | Damage> {
  const path = `${folder}/${segmentName(name)}`;
  await using file = await openFile(disk, path);
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  await file.read(bytes, 0);
  const header = decodeSegmentHeader(bytes);
  const what = typeof header === 'string' ? header : faultOf(header, name, await file.length());
  if (typeof header === 'string' || what !== null)
    return { file: path, offset: 0, afterLsn: Lsn.after(name.first, -1n), what: what ?? '' };
  return { ...header, path };
}

function faultOf(header: SeededHeader, name: SegmentName, length: number): string | null {
  if (bySegmentOrder(header, name) !== 0) return `the name is that of another segment; this is ${segmentName(header)}`;
  return length === header.bytes ? null : `the file has ${length} bytes instead of ${header.bytes}`;
}
