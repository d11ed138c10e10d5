import type { Lineage } from '../core/lineage.ts';
import type { Lsn } from '../core/lsn.ts';
import type { Term } from '../core/term.ts';

/**
 * The unit that is written, sent, hardened and redone: the commits `first..last` of one database, and what they changed.
 * What is too much for one block travels as several with the same `first..last`, all but the last of them `continued`;
 * they are hardened and redone together or not at all.
 */
export type Block = BlockDraft & {
  readonly lineage: Lineage;
  /** {@link Block.hash} of the block before, or of nothing (32 zero bytes) for the first of a lineage. */
  readonly previousHash: Uint8Array;
  /** SHA-256 over the encoded block up to this field and its payload: its own checksum, and the link of the chain. */
  readonly hash: Uint8Array;
};

/** A block as its maker hands it to the journal, which knows the lineage and the block before. */
export type BlockDraft = {
  readonly term: Term;
  readonly first: Lsn;
  readonly last: Lsn;
  /** More of the same commits follows in the next block. */
  readonly continued: boolean;
  /** Rolling checksum of the whole database after this block; of a continued one, without meaning until the last. */
  readonly databaseChecksum: bigint;
  /** When it was sealed, milliseconds since 1970. For people. */
  readonly sealedAtMs: number;
  /** What changed, in the engine's own form. The journal does not look into it. */
  readonly payload: Uint8Array;
};

/** Where a history stands: the number of a commit and the hash of the block that it ends. Same number and another hash: another history. */
export type JournalPosition = { readonly lsn: Lsn; readonly hash: Uint8Array };

/** Bytes of a payload. A larger commit is cut into several blocks. */
export const BLOCK_PAYLOAD_BYTES_MAX = 4 << 20;
