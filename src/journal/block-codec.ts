import { createHash, hash as digest } from 'node:crypto';
import type { Lineage } from '../core/lineage.ts';
import { Lineage as LineageOf } from '../core/lineage.ts';
import type { Lsn } from '../core/lsn.ts';
import type { Term } from '../core/term.ts';
import type { Block, BlockDraft } from './block.ts';

/**
 * A block as bytes, on disk and on the wire; all numbers little-endian. docs/journal-format.md has the reasons.
 *
 *      0  32  SHA-256 of the 104 bytes that follow and the payload
 *     32   8  "SPEILBLK"
 *     40   2  version
 *     42   2  flags; bit 0: continued
 *     44   4  bytes of the payload
 *     48  16  lineage
 *     64   8  term
 *     72   8  first LSN
 *     80   8  last LSN
 *     88  32  hash of the block before
 *    120   8  database checksum
 *    128   8  sealed at, milliseconds since 1970
 *    136      payload, then zeros up to a multiple of 8
 */
export const BLOCK_HEADER_BYTES = 136;

/**
 * 1: the first (2026-11).
 * Who changes the bytes adds a line here, keeps reading the versions before, and pins the new ones beside the old.
 */
export const BLOCK_VERSION = 1;

export const HASH_BYTES = 32;
export const MAGIC_BYTES = 8;
export const BLOCK_MAGIC = Buffer.from('SPEILBLK', 'latin1');

const CONTINUED = 1;
const ALIGNMENT = 8;
const HIGH = 2 ** 32;

const MAGIC_AT = HASH_BYTES;
const VERSION_AT = 40;
const FLAGS_AT = 42;
const PAYLOAD_BYTES_AT = 44;
const LINEAGE_AT = 48;
const TERM_AT = 64;
const FIRST_AT = 72;
const LAST_AT = 80;
const PREVIOUS_AT = 88;
const CHECKSUM_AT = 120;
const TIME_AT = 128;

/** Bytes that a block with such a payload takes. */
export const blockBytes = (payloadBytes: number): number =>
  Math.ceil((BLOCK_HEADER_BYTES + payloadBytes) / ALIGNMENT) * ALIGNMENT;

const PADDING = Buffer.alloc(ALIGNMENT);

/** What follows the payload. */
export const paddingOf = (payloadBytes: number): Uint8Array =>
  PADDING.subarray(0, blockBytes(payloadBytes) - BLOCK_HEADER_BYTES - payloadBytes);

/** Why bytes are no block, in words that end a sentence. */
export type Fault = string;

/** Blocks of one lineage to bytes and back. */
export class BlockCodec {
  readonly lineage: Lineage;
  readonly #lineageBytes: Buffer;

  constructor(lineage: Lineage) {
    this.lineage = lineage;
    this.#lineageBytes = LineageOf.toBytes(lineage);
  }

  /** Writes the block's header to the beginning of `into`; answers its hash. The payload is read, not copied. */
  encodeHeader(draft: BlockDraft, previousHash: Uint8Array, into: Buffer): Uint8Array {
    const view = new DataView(into.buffer, into.byteOffset, BLOCK_HEADER_BYTES);
    into.set(BLOCK_MAGIC, MAGIC_AT);
    view.setUint16(VERSION_AT, BLOCK_VERSION, true);
    view.setUint16(FLAGS_AT, draft.continued ? CONTINUED : 0, true);
    view.setUint32(PAYLOAD_BYTES_AT, draft.payload.length, true);
    into.set(this.#lineageBytes, LINEAGE_AT);
    view.setBigUint64(TERM_AT, draft.term, true);
    view.setBigUint64(FIRST_AT, draft.first, true);
    view.setBigUint64(LAST_AT, draft.last, true);
    into.set(previousHash, PREVIOUS_AT);
    view.setBigUint64(CHECKSUM_AT, draft.databaseChecksum, true);
    view.setUint32(TIME_AT, draft.sealedAtMs % HIGH, true);
    view.setUint32(TIME_AT + 4, draft.sealedAtMs / HIGH, true);
    const hashed = createHash('sha256').update(into.subarray(MAGIC_AT, BLOCK_HEADER_BYTES));
    const hash = hashed.update(draft.payload).digest();
    into.set(hash);
    return hash;
  }

  /** The whole block in one piece, for the wire. */
  encode(draft: BlockDraft, previousHash: Uint8Array): Buffer {
    const bytes = Buffer.alloc(blockBytes(draft.payload.length));
    this.encodeHeader(draft, previousHash, bytes);
    bytes.set(draft.payload, BLOCK_HEADER_BYTES);
    return bytes;
  }

  /** Reads one block that takes exactly `bytes`. Its payload and hashes are views of them. */
  decode(bytes: Buffer): Block | Fault {
    if (bytes.length < BLOCK_HEADER_BYTES) return 'there is no block';
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const payloadBytes = view.getUint32(PAYLOAD_BYTES_AT, true);
    const end = BLOCK_HEADER_BYTES + payloadBytes;
    const fault = this.#faultOf(bytes, view, payloadBytes);
    if (fault !== null) return fault;
    return {
      lineage: this.lineage,
      term: view.getBigUint64(TERM_AT, true) as Term,
      first: view.getBigUint64(FIRST_AT, true) as Lsn,
      last: view.getBigUint64(LAST_AT, true) as Lsn,
      continued: view.getUint16(FLAGS_AT, true) === CONTINUED,
      previousHash: bytes.subarray(PREVIOUS_AT, PREVIOUS_AT + HASH_BYTES),
      databaseChecksum: view.getBigUint64(CHECKSUM_AT, true),
      sealedAtMs: view.getUint32(TIME_AT, true) + view.getUint32(TIME_AT + 4, true) * HIGH,
      hash: bytes.subarray(0, HASH_BYTES),
      payload: bytes.subarray(BLOCK_HEADER_BYTES, end),
    };
  }

  #faultOf(bytes: Buffer, view: DataView, payloadBytes: number): Fault | null {
    const end = BLOCK_HEADER_BYTES + payloadBytes;
    if (!BLOCK_MAGIC.equals(bytes.subarray(MAGIC_AT, MAGIC_AT + MAGIC_BYTES))) return 'there is no block';
    if (bytes.length !== blockBytes(payloadBytes)) return 'the length of the block is wrong';
    if (!digest('sha256', bytes.subarray(MAGIC_AT, end), 'buffer').equals(bytes.subarray(0, HASH_BYTES)))
      return 'the checksum of the block is wrong';
    if (!PADDING.subarray(0, bytes.length - end).equals(bytes.subarray(end)))
      return 'the end of the block is not blank';
    if (view.getUint16(VERSION_AT, true) !== BLOCK_VERSION) return 'the block is of an unknown version';
    if (view.getUint16(FLAGS_AT, true) > CONTINUED) return 'the block has unknown flags';
    if (!this.#lineageBytes.equals(bytes.subarray(LINEAGE_AT, TERM_AT))) return 'the block is of another lineage';
    return null;
  }
}
