import type { Disk, DiskFile } from '../core/disk.ts';
import { Lsn } from '../core/lsn.ts';
import { damaged, isMissing } from './journal-error.ts';
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  type SeededHeader,
  type SegmentHeader,
  segmentName,
} from './segment-format.ts';

/** What a segment file is called before it is one: while zeros are written, and when it waits to be used. */
export const UNFINISHED_NAME = 'segment.tmp';
export const SPARE_NAME = 'segment.spare';

/** Zeros are written and synced in steps, so that a sync of the journal beside it never waits for a whole segment. */
const ZEROING_STEP_BYTES = 1 << 20;
const ZEROS = Buffer.alloc(ZEROING_STEP_BYTES);

/** A segment of the journal: what its header says, and where it is. */
export type Segment = SeededHeader & { readonly path: string };

/** A place in the journal's files. */
export type Place = { readonly segment: Segment; readonly offset: number };

/** Makes segment files and gives them their names. */
export class SegmentStore {
  readonly #disk: Disk;
  readonly folder: string;

  constructor(disk: Disk, folder: string) {
    this.#disk = disk;
    this.folder = folder;
  }

  path(name: string): string {
    return `${this.folder}/${name}`;
  }

  /** A file of so many real zeros, durable, whose blocks the disk has given for good. */
  async makeSpare(bytes: number): Promise<void> {
    const path = this.path(UNFINISHED_NAME);
    await this.#disk.remove(path);
    try {
      await this.#writeZeros(path, bytes);
    } catch (error) {
      await this.#disk.remove(path);
      throw error;
    }
    await this.#disk.rename(path, this.path(SPARE_NAME));
    await this.#disk.syncFolder(this.folder);
  }

  async #writeZeros(path: string, bytes: number): Promise<void> {
    const file = await this.#disk.open(path, 'create');
    try {
      await writeZeros(file, 0, bytes);
    } finally {
      await file.close();
    }
  }

  /** Makes the spare the next segment: its header is durable before the file has its name. */
  async useSpare(header: SegmentHeader): Promise<{ segment: Segment; file: DiskFile }> {
    const bytes = encodeSegmentHeader(header);
    const path = this.path(segmentName(header));
    const file = await this.#disk.open(this.path(SPARE_NAME), 'write');
    try {
      await file.write([bytes], 0);
      await file.sync();
      await this.#disk.rename(this.path(SPARE_NAME), path);
      await this.#disk.syncFolder(this.folder);
    } catch (error) {
      await file.close();
      throw error;
    }
    return { segment: { ...(decodeSegmentHeader(bytes) as SeededHeader), path }, file };
  }

  /** Removes a file, for certain. */
  async remove(path: string): Promise<void> {
    await this.#disk.remove(path);
    await this.#disk.syncFolder(this.folder);
  }
}

/** Durable zeros from `start` up to `end`. */
export async function writeZeros(file: DiskFile, start: number, end: number): Promise<void> {
  for (let at = start; at < end; at += ZEROING_STEP_BYTES) {
    await file.write([ZEROS.subarray(0, Math.min(ZEROING_STEP_BYTES, end - at))], at);
    await file.sync();
  }
}

/** Where the bytes that are not zero end, from `start` on: at `start` when all are. */
export async function endOfBytes(file: DiskFile, start: number): Promise<number> {
  const rest = (await file.length()) - start;
  if (rest <= 0) return start;
  const chunk = Buffer.allocUnsafeSlow(Math.min(ZEROING_STEP_BYTES, rest));
  let end = start;
  for (let at = start; ; at += chunk.length) {
    const read = await file.read(chunk, at);
    if (!ZEROS.subarray(0, read).equals(chunk.subarray(0, read))) end = at + lastByte(chunk, read);
    if (read < chunk.length) return end;
  }
}

function lastByte(chunk: Buffer, read: number): number {
  let end = read;
  while (chunk[end - 1] === 0) end -= 1;
  return end;
}

export type ClosingFile = DiskFile & AsyncDisposable;

/** A file for reading that closes with its block. */
export async function openFile(disk: Disk, path: string): Promise<ClosingFile> {
  const file = await disk.open(path, 'read');
  return Object.assign(file, { [Symbol.asyncDispose]: () => file.close() });
}

/** For writing; what every journal has. Throws `JOURNAL_DAMAGED` when it is missing. */
export async function openPart(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.open(path, 'write');
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw damaged({ file: path, offset: 0, afterLsn: Lsn.zero, what: 'the file is missing' });
  }
}
