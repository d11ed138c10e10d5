import { crc32 } from 'node:zlib';
import { Lineage } from '../core/lineage.ts';
import { Lsn } from '../core/lsn.ts';
import { BLOCK_HEADER_BYTES, blockBytes, type Fault, HASH_BYTES, MAGIC_BYTES } from './block-codec.ts';

/**
 * A segment is a file of a fixed length: a header that fills one sector, so that it is never written again, and then
 * records without gaps. A record is a head and a block, or a head and the end mark. After the last record there are zeros.
 *
 *     header   0   8  "SPEILSEG"
 *              8   4  version
 *             12   4  CRC-32 of the header with zeros here: the segment's seed
 *             16  16  lineage
 *             32   8  first LSN
 *             40   8  number of the first block within its commits' blocks; 0 unless a large commit goes on here
 *             48  32  hash of the block before
 *             80   8  bytes of the file
 *             88      zeros up to 512
 *
 *     head     0   8  the LSN up to which all was hardened when this record was written
 *              8   4  bytes of the record, head included
 *             12   4  CRC-32, from the segment's seed on, of the 12 bytes before and the head's offset in the file (8 bytes)
 *
 *     end mark 0  32  hash of the segment's last block
 *             32   8  "SPEILEND"
 */
export const SEGMENT_HEADER_BYTES = 512;

/** Large enough that making one is rare, small enough that the newest is read in a moment when the journal is opened. */
export const SEGMENT_BYTES = 16 << 20;

/** Room for a header, an end mark and some small blocks. */
export const SEGMENT_BYTES_MIN = 4096;

/** 1: the first (2026-11). What is written in the history of {@link BLOCK_VERSION} holds here too. */
export const SEGMENT_VERSION = 1;

/** Throws `RangeError`. */
export function judgeSegmentBytes(bytes = SEGMENT_BYTES): number {
  if (bytes >= SEGMENT_BYTES_MIN && bytes % SEGMENT_HEADER_BYTES === 0) return bytes;
  throw new RangeError(
    `segments of ${bytes} bytes; at least ${SEGMENT_BYTES_MIN}, in sectors of ${SEGMENT_HEADER_BYTES}`,
  );
}

export const RECORD_HEAD_BYTES = 16;
export const END_MARK_BYTES = RECORD_HEAD_BYTES + HASH_BYTES + MAGIC_BYTES;

export const SEGMENT_MAGIC = Buffer.from('SPEILSEG', 'latin1');
export const END_MAGIC = Buffer.from('SPEILEND', 'latin1');

/** From the beginning of a record to the magic of what it holds. */
export const RECORD_MAGIC_AT = RECORD_HEAD_BYTES + HASH_BYTES;

/** Bytes that a block with such a payload takes in a segment. */
export const recordBytes = (payloadBytes: number): number => RECORD_HEAD_BYTES + blockBytes(payloadBytes);

/** Of a block without its payload. */
export const RECORD_OVERHEAD_BYTES = RECORD_HEAD_BYTES + BLOCK_HEADER_BYTES;

/** Bytes of records that a segment of this length takes; the end mark has always room. */
export const segmentRoom = (segmentBytes: number): number => segmentBytes - SEGMENT_HEADER_BYTES - END_MARK_BYTES;

export type SegmentHeader = {
  readonly lineage: Lineage;
  readonly first: Lsn;
  /** Blocks of the commits that begin with `first` that lie in segments before this one. */
  readonly part: number;
  readonly hashBefore: Uint8Array;
  readonly bytes: number;
};

export type SeededHeader = SegmentHeader & { readonly seed: number };

const SEED_AT = 12;

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  bytes.set(SEGMENT_MAGIC);
  bytes.writeUInt32LE(SEGMENT_VERSION, 8);
  bytes.set(Lineage.toBytes(header.lineage), 16);
  bytes.writeBigUInt64LE(header.first, 32);
  bytes.writeBigUInt64LE(BigInt(header.part), 40);
  bytes.set(header.hashBefore, 48);
  bytes.writeBigUInt64LE(BigInt(header.bytes), 80);
  bytes.writeUInt32LE(crc32(bytes), SEED_AT);
  return bytes;
}

export function decodeSegmentHeader(bytes: Buffer): SeededHeader | Fault {
  if (!SEGMENT_MAGIC.equals(bytes.subarray(0, MAGIC_BYTES))) return 'this is no segment of a journal';
  const blank = Buffer.from(bytes);
  blank.writeUInt32LE(0, SEED_AT);
  const seed = bytes.readUInt32LE(SEED_AT);
  if (crc32(blank) !== seed) return 'the checksum of the header is wrong';
  const version = bytes.readUInt32LE(8);
  if (version !== SEGMENT_VERSION) return `the segment is of version ${version}, this program knows ${SEGMENT_VERSION}`;
  return {
    seed,
    lineage: Lineage.fromBytes(bytes.subarray(16, 32)),
    first: Lsn.of(bytes.readBigUInt64LE(32)),
    part: Number(bytes.readBigUInt64LE(40)),
    hashBefore: Uint8Array.from(bytes.subarray(48, 48 + HASH_BYTES)),
    bytes: Number(bytes.readBigUInt64LE(80)),
  };
}

export type SegmentName = Pick<SegmentHeader, 'first' | 'part'>;

const NAME = /^([0-9a-f]{16})(?:\.([0-9a-f]{8}))?\.journal$/;

/** `000000000000002a.journal`; `000000000000002a.00000003.journal` where a large commit goes on with its fourth block. */
export function segmentName({ first, part }: SegmentName): string {
  const lsn = first.toString(16).padStart(16, '0');
  return part === 0 ? `${lsn}.journal` : `${lsn}.${part.toString(16).padStart(8, '0')}.journal`;
}

export function parseSegmentName(name: string): SegmentName | null {
  const [, lsn, part] = NAME.exec(name) ?? [];
  return lsn === undefined ? null : { first: Lsn.of(`0x${lsn}`), part: Number.parseInt(part ?? '0', 16) };
}

export const bySegmentOrder = (a: SegmentName, b: SegmentName): number =>
  a.first === b.first ? a.part - b.part : a.first < b.first ? -1 : 1;

export type RecordHead = { readonly hardened: Lsn; readonly bytes: number };

const CHECK_AT = 12;

/**
 * Heads of the records of one segment. The check binds a head to its place: a copy of it anywhere else, in a payload for
 * example, is none, and testifies to nothing.
 */
export class RecordHeads {
  readonly #seed: number;
  readonly #checked = Buffer.alloc(CHECK_AT + 8);
  readonly #view = new DataView(this.#checked.buffer, this.#checked.byteOffset, this.#checked.length);

  constructor(seed: number) {
    this.#seed = seed;
  }

  write(head: RecordHead, offset: number, into: Buffer): void {
    this.#view.setBigUint64(0, head.hardened, true);
    this.#view.setUint32(8, head.bytes, true);
    into.set(this.#checked.subarray(0, CHECK_AT));
    into.writeUInt32LE(this.#check(offset), CHECK_AT);
  }

  read(bytes: Buffer, offset: number): RecordHead | null {
    this.#checked.set(bytes.subarray(0, CHECK_AT));
    if (this.#check(offset) !== bytes.readUInt32LE(CHECK_AT)) return null;
    return { hardened: this.#view.getBigUint64(0, true) as Lsn, bytes: this.#view.getUint32(8, true) };
  }

  #check(offset: number): number {
    this.#view.setUint32(CHECK_AT, offset % 2 ** 32, true);
    this.#view.setUint32(CHECK_AT + 4, offset / 2 ** 32, true);
    return crc32(this.#checked, this.#seed);
  }
}

/** The record that ends a finished segment, at `offset`. */
export function encodeEndMark(heads: RecordHeads, offset: number, last: { lsn: Lsn; hash: Uint8Array }): Buffer {
  const bytes = Buffer.alloc(END_MARK_BYTES);
  heads.write({ hardened: last.lsn, bytes: END_MARK_BYTES }, offset, bytes);
  bytes.set(last.hash, RECORD_HEAD_BYTES);
  bytes.set(END_MAGIC, RECORD_MAGIC_AT);
  return bytes;
}
