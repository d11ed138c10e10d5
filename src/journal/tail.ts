import type { Disk } from '../core/disk.ts';
import type { Lsn } from '../core/lsn.ts';
import type { JournalPosition } from './block.ts';
import { BLOCK_MAGIC } from './block-codec.ts';
import { isPosition, type Mark } from './marks.ts';
import type { Stop } from './segment-cursor.ts';
import { END_MAGIC, RECORD_MAGIC_AT, RecordHeads } from './segment-format.ts';
import { endOfBytes, openFile, type Place, type Segment } from './segment-store.ts';

/** Where a chain ended in the last segment of a journal. */
export type Tail = {
  readonly position: JournalPosition;
  /** Where the last record ends. */
  readonly end: Place;
  readonly stop: Stop;
};

/** What is known to have been hardened, from elsewhere. */
export type Witnesses = { readonly mark: Mark; readonly others: readonly (Lsn | null)[] };

/**
 * Why the end of a chain cannot be the work of a crash; null when it can. A crash takes only what was never hardened.
 * So it is damage when the mark, a record further on, a holder or the caller testifies that more was.
 */
export async function damageOfTail(disk: Disk, tail: Tail, { mark, others }: Witnesses): Promise<string | null> {
  const { stop, end, position } = tail;
  if (stop.kind === 'end-mark') return 'the segment is finished, and the one after it is missing';
  const witnesses = [await testimonyAfter(disk, end), isPosition(mark) ? mark.lsn : null, ...others];
  const hardened = witnesses.reduce((most, lsn) => (most === null || (lsn !== null && lsn > most) ? lsn : most));
  if (hardened === null || hardened <= position.lsn) return null;
  const what = stop.kind === 'fault' ? stop.what : 'there is nothing where a block must be';
  return `${what}, and LSN ${hardened} was hardened`;
}

/**
 * The highest LSN that any record further on testifies to have been hardened; null without records. A head is bound to its
 * place and segment, so nothing that a client stored can pass for one.
 */
async function testimonyAfter(disk: Disk, { segment, offset }: Place): Promise<Lsn | null> {
  const bytes = await bytesAfter(disk, segment, offset);
  const heads = new RecordHeads(segment.seed);
  let highest: Lsn | null = null;
  for (const magic of [BLOCK_MAGIC, END_MAGIC]) {
    for (let at = bytes.indexOf(magic); at !== -1; at = bytes.indexOf(magic, at + 1)) {
      const start = at - RECORD_MAGIC_AT;
      const head = start < 0 ? null : heads.read(bytes.subarray(start), offset + start);
      if (head !== null && (highest === null || head.hardened > highest)) highest = head.hardened;
    }
  }
  return highest;
}

async function bytesAfter(disk: Disk, segment: Segment, offset: number): Promise<Buffer> {
  await using file = await openFile(disk, segment.path);
  const bytes = Buffer.allocUnsafeSlow((await endOfBytes(file, offset)) - offset);
  await file.read(bytes, offset);
  return bytes;
}
