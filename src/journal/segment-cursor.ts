import type { DiskFile } from '../core/disk.ts';
import type { Lsn } from '../core/lsn.ts';
import type { Block } from './block.ts';
import { BLOCK_HEADER_BYTES, BLOCK_MAGIC, type BlockCodec, type Fault, HASH_BYTES } from './block-codec.ts';
import { Chain, sameBytes } from './chain.ts';
import {
  END_MAGIC,
  END_MARK_BYTES,
  RECORD_HEAD_BYTES,
  RECORD_MAGIC_AT,
  RecordHeads,
  SEGMENT_HEADER_BYTES,
  type SeededHeader,
} from './segment-format.ts';

/** A block and where it lies. */
export type Found = {
  readonly block: Block;
  readonly offset: number;
  /** Of the record. */
  readonly bytes: number;
  /** What was hardened when it was written. */
  readonly hardened: Lsn;
};

/** Why there is no further block: the bound was reached, the segment is finished, nothing was written here, or it is unreadable. */
export type Stop =
  | { readonly kind: 'bound' }
  | { readonly kind: 'end-mark' }
  | { readonly kind: 'blank' }
  | { readonly kind: 'fault'; readonly what: Fault };

/** Read in one go, unless a record is larger: enough for the disk, little enough for many readers. */
const READ_AHEAD_BYTES = 256 << 10;

const NOTHING = Buffer.alloc(RECORD_HEAD_BYTES);

/** Reads the blocks of one segment in order and checks each: its place, its checksum, and that it follows on the one before. */
export class SegmentCursor {
  readonly #file: DiskFile;
  readonly #codec: BlockCodec;
  readonly #heads: RecordHeads;
  readonly chain: Chain;
  /** Of the next record. */
  offset = SEGMENT_HEADER_BYTES;
  /** Nothing is read from here on. May be moved further while reading goes on. */
  bound: number;
  /** Why {@link next} answered null. */
  stop: Stop = { kind: 'bound' };
  #chunk: Buffer = NOTHING;
  #chunkAt = 0;

  /** Without a chain that was walked up to here, the header's word is taken for where it stands. */
  constructor(file: DiskFile, header: SeededHeader, codec: BlockCodec, chain: Chain = chainAt(header)) {
    this.#file = file;
    this.#codec = codec;
    this.#heads = new RecordHeads(header.seed);
    this.bound = header.bytes;
    this.chain = chain;
  }

  /** Reads on; null when there is none, for the reason in {@link stop}. Its bytes are views of a buffer that is never written again. */
  async next(): Promise<Found | null> {
    if (this.offset >= this.bound) return this.#stopAt({ kind: 'bound' });
    if (this.bound - this.offset < END_MARK_BYTES) return this.#fault('the segment has no end');
    const start = this.#peek(END_MARK_BYTES) ?? (await this.#fill(END_MARK_BYTES));
    if (start === null) return this.#fault('the file is too short');
    if (NOTHING.equals(start.subarray(0, RECORD_HEAD_BYTES))) return this.#stopAt({ kind: 'blank' });
    const head = this.#heads.read(start, this.offset);
    if (head === null) return this.#fault('there is no record');
    if (END_MAGIC.equals(start.subarray(RECORD_MAGIC_AT, END_MARK_BYTES))) return this.#end(start, head.bytes);
    if (!BLOCK_MAGIC.equals(start.subarray(RECORD_MAGIC_AT, END_MARK_BYTES))) return this.#fault('there is no block');
    if (head.bytes < RECORD_HEAD_BYTES + BLOCK_HEADER_BYTES || head.bytes > this.bound - this.offset)
      return this.#fault('the length of the record is wrong');
    const record = this.#peek(head.bytes) ?? (await this.#fill(head.bytes));
    return record === null ? this.#fault('the file is too short') : this.#block(record, head.hardened);
  }

  #block(record: Buffer, hardened: Lsn): Found | null {
    const block = this.#codec.decode(record.subarray(RECORD_HEAD_BYTES));
    if (typeof block === 'string') return this.#fault(block);
    const fault = this.chain.faultOf(block);
    if (fault !== null) return this.#fault(fault);
    if (hardened >= block.first) return this.#fault('the head of the record belongs to another');
    const found = { block, offset: this.offset, bytes: record.length, hardened };
    this.chain.advance(block, block.hash);
    this.offset += record.length;
    return found;
  }

  #end(mark: Buffer, bytes: number): null {
    const hash = mark.subarray(RECORD_HEAD_BYTES, RECORD_HEAD_BYTES + HASH_BYTES);
    const right = bytes === END_MARK_BYTES && sameBytes(hash, this.chain.hash);
    return right ? this.#stopAt({ kind: 'end-mark' }) : this.#fault('the end mark does not belong to the block before');
  }

  /** The next so many bytes, if they have been read. */
  #peek(bytes: number): Buffer | null {
    const from = this.offset - this.#chunkAt;
    return from + bytes <= this.#chunk.length ? this.#chunk.subarray(from, from + bytes) : null;
  }

  async #fill(bytes: number): Promise<Buffer | null> {
    const wanted = Math.min(Math.max(bytes, READ_AHEAD_BYTES), this.bound - this.offset);
    const chunk = Buffer.allocUnsafeSlow(wanted);
    const read = await this.#file.read(chunk, this.offset);
    this.#chunk = chunk.subarray(0, read);
    this.#chunkAt = this.offset;
    return this.#peek(bytes);
  }

  #fault(what: Fault): null {
    return this.#stopAt({ kind: 'fault', what });
  }

  #stopAt(stop: Stop): null {
    this.stop = stop;
    return null;
  }
}

const chainAt = ({ first, part, hashBefore }: SeededHeader): Chain => Chain.before(first, part, hashBefore);
