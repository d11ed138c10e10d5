import { crc32 } from 'node:zlib';
import type { Disk, DiskFile } from '../core/disk.ts';
import { Lineage } from '../core/lineage.ts';
import { Lsn } from '../core/lsn.ts';
import type { JournalPosition } from './block.ts';
import { HASH_BYTES, MAGIC_BYTES } from './block-codec.ts';
import { openFile, openPart } from './segment-store.ts';

/**
 * Two positions in a small file of a fixed length, each in a sector of its own:
 *
 * - *hardened*, at 0: written after each successful sync of the journal, and not synced itself. A witness, as good as the
 *   operating system is alive: after the end of a process it is exact, after the end of a machine it may be older.
 *   It is never ahead of what is durable.
 * - *cut*, at 512: durable from before a truncation begins until it is complete, so that a crash in between is gone on with.
 *
 *      0   8  "SPEILMRK"
 *      8   4  version
 *     12   4  CRC-32 of the 72 bytes with zeros here
 *     16  16  lineage
 *     32   8  LSN
 *     40  32  hash
 */
export const MARKS_NAME = 'marks';

const MARK_VERSION = 1;
const MARK_BYTES = 72;
const SLOT_BYTES = 512;
const SLOTS = { hardened: 0, cut: SLOT_BYTES } as const;
const MAGIC = Buffer.from('SPEILMRK', 'latin1');
const CHECK_AT = 12;

export type MarkName = keyof typeof SLOTS;

/** `unreadable`: there are bytes, and they are no mark. That proves nothing: a crash may have torn it. */
export type Mark = JournalPosition | 'none' | 'unreadable';

export const isPosition = (mark: Mark): mark is JournalPosition => typeof mark === 'object';

export class Marks {
  readonly #file: DiskFile;
  readonly #bytes = Buffer.alloc(MARK_BYTES);
  readonly #lineage: Lineage;

  private constructor(file: DiskFile, lineage: Lineage) {
    this.#file = file;
    this.#lineage = lineage;
    this.#bytes.set(MAGIC);
    this.#bytes.writeUInt32LE(MARK_VERSION, MAGIC_BYTES);
    this.#bytes.set(Lineage.toBytes(lineage), 16);
  }

  static async create(disk: Disk, folder: string, lineage: Lineage): Promise<Marks> {
    const marks = new Marks(await disk.open(`${folder}/${MARKS_NAME}`, 'create'), lineage);
    await marks.#file.write([Buffer.alloc(2 * SLOT_BYTES)], 0);
    await marks.#file.sync();
    return marks;
  }

  static async open(disk: Disk, folder: string, lineage: Lineage): Promise<Marks> {
    return new Marks(await openPart(disk, `${folder}/${MARKS_NAME}`), lineage);
  }

  async read(name: MarkName): Promise<Mark> {
    return readMark(this.#file, name, this.#lineage);
  }

  /** Not durable before {@link sync}. */
  write(name: MarkName, position: JournalPosition): Promise<void> {
    const bytes = this.#bytes;
    bytes.writeBigUInt64LE(position.lsn, 32);
    bytes.set(position.hash, 40);
    bytes.writeUInt32LE(0, CHECK_AT);
    bytes.writeUInt32LE(crc32(bytes), CHECK_AT);
    return this.#file.write([bytes], SLOTS[name]);
  }

  erase(name: MarkName): Promise<void> {
    return this.#file.write([Buffer.alloc(SLOT_BYTES)], SLOTS[name]);
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

async function readMark(file: DiskFile, name: MarkName, lineage: Lineage | null): Promise<Mark> {
  const bytes = Buffer.alloc(SLOT_BYTES);
  await file.read(bytes, SLOTS[name]);
  if (bytes.every((byte) => byte === 0)) return 'none';
  const mark = bytes.subarray(0, MARK_BYTES);
  const check = mark.readUInt32LE(CHECK_AT);
  mark.writeUInt32LE(0, CHECK_AT);
  const right =
    bytes.subarray(MARK_BYTES).every((byte) => byte === 0) &&
    MAGIC.equals(mark.subarray(0, MAGIC_BYTES)) &&
    crc32(mark) === check &&
    mark.readUInt32LE(MAGIC_BYTES) === MARK_VERSION &&
    (lineage === null || Lineage.toBytes(lineage).equals(mark.subarray(16, 32)));
  return right ? { lsn: Lsn.of(mark.readBigUInt64LE(32)), hash: mark.subarray(40, 40 + HASH_BYTES) } : 'unreadable';
}

/** Of a journal that nobody has open, of whatever lineage without one; `none` when there is no such file. */
export async function inspectMark(disk: Disk, folder: string, name: MarkName, lineage: Lineage | null): Promise<Mark> {
  if (!(await disk.list(folder)).includes(MARKS_NAME)) return 'none';
  await using file = await openFile(disk, `${folder}/${MARKS_NAME}`);
  return await readMark(file, name, lineage);
}
