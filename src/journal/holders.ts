import { crc32 } from 'node:zlib';
import type { Disk, DiskFile } from '../core/disk.ts';
import { Lsn } from '../core/lsn.ts';
import { type Damage, damaged } from './journal-error.ts';
import { openFile, openPart, type Segment } from './segment-store.ts';

/**
 * Who keeps what, in a file of a fixed length, so that it can be written also when the disk is full. It holds the same
 * text twice; each copy is synced before the other is written, so that one of them is whole whatever happens.
 *
 *     0   4  CRC-32 of the rest of the copy
 *     4   8  number of the write; the larger is the newer
 *    12   4  bytes of the text
 *    16      JSON: { "<holder>": "<LSN>", … }, then zeros
 */
export const HOLDERS_NAME = 'holders';

/** More than a database has partners and readers; bounds the file. */
export const HOLDERS_MAX = 64;
export const HOLDER_NAME_BYTES_MAX = 96;

/** Room for {@link HOLDERS_MAX} of the longest names, with the JSON around them. */
const SLOT_BYTES = 16 << 10;
const HEADER_BYTES = 16;

type Copy = { readonly nth: bigint; readonly holders: ReadonlyMap<string, Lsn> };

export class Holders {
  readonly #file: DiskFile;
  readonly #held: Map<string, Lsn>;
  #nth: bigint;

  private constructor(file: DiskFile, { nth, holders }: Copy) {
    this.#file = file;
    this.#nth = nth;
    this.#held = new Map(holders);
  }

  static async create(disk: Disk, folder: string): Promise<Holders> {
    const file = await disk.open(`${folder}/${HOLDERS_NAME}`, 'create');
    const holders = new Holders(file, { nth: 0n, holders: new Map() });
    await holders.persist();
    return holders;
  }

  /** Mends a copy that a crash has torn. Throws `JOURNAL_DAMAGED` when none is whole. */
  static async open(disk: Disk, folder: string): Promise<Holders> {
    const path = `${folder}/${HOLDERS_NAME}`;
    const file = await openPart(disk, path);
    const copies = await readCopies(file);
    const newest = newestOf(copies);
    if (newest === null) {
      await file.close();
      throw damaged({ file: path, offset: 0, afterLsn: Lsn.zero, what: 'neither copy of the holders can be read' });
    }
    const holders = new Holders(file, newest);
    if (copies.some((copy) => copy?.nth !== newest.nth)) await holders.persist();
    return holders;
  }

  get held(): ReadonlyMap<string, Lsn> {
    return this.#held;
  }

  /** Throws `RangeError` for a name that is too long, and for one too many. */
  judge(holder: string): void {
    if (holder === '' || Buffer.byteLength(holder) > HOLDER_NAME_BYTES_MAX)
      throw new RangeError(`a holder's name has 1 to ${HOLDER_NAME_BYTES_MAX} bytes`);
    if (!this.#held.has(holder) && this.#held.size === HOLDERS_MAX)
      throw new RangeError(`more than ${HOLDERS_MAX} holders`);
  }

  set(holder: string, lsn: Lsn | null): void {
    if (lsn === null) this.#held.delete(holder);
    else this.#held.set(holder, lsn);
  }

  /** Nobody holds anything after a commit that is the last one now. Answers whether somebody did. */
  cut(lsn: Lsn): boolean {
    const beyond = [...this.#held].filter(([, held]) => held > lsn);
    for (const [holder] of beyond) this.#held.set(holder, lsn);
    return beyond.length > 0;
  }

  async persist(): Promise<void> {
    const nth = this.#nth + 1n;
    const bytes = encode({ nth, holders: this.#held });
    for (const slot of [0, SLOT_BYTES]) {
      await this.#file.write([bytes], slot);
      await this.#file.sync();
    }
    this.#nth = nth;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function encode({ nth, holders }: Copy): Buffer {
  const text = JSON.stringify(Object.fromEntries([...holders].map(([name, lsn]) => [name, String(lsn)])));
  const bytes = Buffer.alloc(SLOT_BYTES);
  const length = bytes.write(text, HEADER_BYTES);
  bytes.writeBigUInt64LE(nth, 4);
  bytes.writeUInt32LE(length, 12);
  bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

function decode(bytes: Buffer): Copy | null {
  const end = HEADER_BYTES + bytes.readUInt32LE(12);
  if (end > bytes.length || crc32(bytes.subarray(4)) !== bytes.readUInt32LE(0)) return null;
  const held = JSON.parse(bytes.toString('utf8', HEADER_BYTES, end)) as Readonly<Record<string, string>>;
  const holders = new Map(Object.entries(held).map(([name, lsn]) => [name, Lsn.of(lsn)]));
  return { nth: bytes.readBigUInt64LE(4), holders };
}

/** What is held was hardened: the largest LSN, null without holders. */
export const highestHeld = (holders: ReadonlyMap<string, Lsn>): Lsn | null =>
  [...holders.values()].reduce<Lsn | null>((most, lsn) => (most === null || lsn > most ? lsn : most), null);

/** Trimming looks at the holders first: a journal that starts after what is held has lost segments. Null when it has not. */
export function holdersFault(held: ReadonlyMap<string, Lsn>, oldest: Segment): Damage | null {
  const start = Lsn.after(oldest.first, -1n);
  for (const [holder, afterLsn] of held) {
    const what = `the segments before it are missing, and ${holder} holds them`;
    if (afterLsn < start) return { file: oldest.path, offset: 0, afterLsn, what };
  }
  return null;
}

async function readCopies(file: DiskFile): Promise<readonly (Copy | null)[]> {
  const bytes = Buffer.alloc(2 * SLOT_BYTES);
  await file.read(bytes, 0);
  return [decode(bytes.subarray(0, SLOT_BYTES)), decode(bytes.subarray(SLOT_BYTES))];
}

export const newestOf = (copies: readonly (Copy | null)[]): Copy | null =>
  copies.reduce((newest, copy) => (copy !== null && (newest === null || copy.nth > newest.nth) ? copy : newest), null);

/** Of a journal that nobody has open, copy by copy; empty when there is no such file. */
export async function inspectHolders(disk: Disk, folder: string): Promise<readonly (Copy | null)[]> {
  if (!(await disk.list(folder)).includes(HOLDERS_NAME)) return [];
  await using file = await openFile(disk, `${folder}/${HOLDERS_NAME}`);
  return await readCopies(file);
}
