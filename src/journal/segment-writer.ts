import type { DiskFile } from '../core/disk.ts';
import type { Lsn } from '../core/lsn.ts';
import type { BlockDraft, JournalPosition } from './block.ts';
import { type BlockCodec, paddingOf } from './block-codec.ts';
import {
  END_MARK_BYTES,
  encodeEndMark,
  RECORD_HEAD_BYTES,
  RECORD_OVERHEAD_BYTES,
  RecordHeads,
  recordBytes,
} from './segment-format.ts';
import { type Segment, writeZeros } from './segment-store.ts';

/** Writes records to the end of a segment, one at a time. Passes on the errors of the disk. */
export class SegmentWriter {
  readonly segment: Segment;
  readonly file: DiskFile;
  readonly #heads: RecordHeads;
  readonly #head = Buffer.alloc(RECORD_OVERHEAD_BYTES);
  readonly #headOfBlock = this.#head.subarray(RECORD_HEAD_BYTES);
  #end: number;
  /** Bytes of a record that could not be written reach up to here. */
  #soiled = 0;

  constructor(segment: Segment, file: DiskFile, end: number) {
    this.segment = segment;
    this.file = file;
    this.#heads = new RecordHeads(segment.seed);
    this.#end = end;
  }

  /** Where the last record ends. */
  get end(): number {
    return this.#end;
  }

  /** Bytes of records that still go in; the end mark has its place beside them. */
  get rest(): number {
    return this.segment.bytes - END_MARK_BYTES - this.#end;
  }

  /** Answers the block's hash. After an error nothing was appended. */
  async append(codec: BlockCodec, draft: BlockDraft, previousHash: Uint8Array, hardened: Lsn): Promise<Uint8Array> {
    if (this.#soiled > this.#end) await this.#clean();
    const bytes = recordBytes(draft.payload.length);
    this.#heads.write({ hardened, bytes }, this.#end, this.#head);
    const hash = codec.encodeHeader(draft, previousHash, this.#headOfBlock);
    this.#soiled = this.#end + bytes;
    await this.file.write([this.#head, draft.payload, paddingOf(draft.payload.length)], this.#end);
    this.#end += bytes;
    return hash;
  }

  /** What a failed write has left must not be taken for a torn tail later. */
  async #clean(): Promise<void> {
    await writeZeros(this.file, this.#end, this.#soiled);
    this.#soiled = 0;
  }

  /** Ends the segment, durably. Everything before is durable already. */
  async finish(last: JournalPosition): Promise<void> {
    if (this.#soiled > this.#end) await this.#clean();
    await this.file.write([encodeEndMark(this.#heads, this.#end, last)], this.#end);
    await this.file.sync();
    await this.file.close();
  }
}
