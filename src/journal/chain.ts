import { Lsn } from '../core/lsn.ts';
import type { Block, BlockDraft, JournalPosition } from './block.ts';
import type { Fault } from './block-codec.ts';

/** A commit's blocks of which the last one is still to come. */
export type OpenGroup = {
  readonly first: Lsn;
  /** Null while no block of it was seen. */
  readonly last: Lsn | null;
  /** So many of them came before. */
  readonly blocks: number;
};

/** Walks along the chain of blocks: what may follow, and where one stands. */
export class Chain {
  #position: JournalPosition;
  #hash: Uint8Array;
  #group: OpenGroup | null = null;

  constructor(position: JournalPosition, group: OpenGroup | null = null) {
    this.#position = position;
    this.#hash = position.hash;
    this.#group = group;
  }

  /** Before the block that comes as number `part` of the commits from `first` on. */
  static before(first: Lsn, part: number, hash: Uint8Array): Chain {
    const group = part === 0 ? null : { first, last: null, blocks: part };
    return new Chain({ lsn: Lsn.after(first, -1n), hash }, group);
  }

  /** The last block that completed its commits. */
  get position(): JournalPosition {
    return this.#position;
  }

  /** Of the last block, whole or not: the next one must name it as the one before. */
  get hash(): Uint8Array {
    return this.#hash;
  }

  get group(): OpenGroup | null {
    return this.#group;
  }

  /** Why a block with these numbers cannot be the next one; null when it can. */
  fault(draft: BlockDraft): Fault | null {
    const group = this.#group;
    const first = Lsn.after(this.#position.lsn);
    if (draft.first !== first) return `LSN ${draft.first} came where ${first} must be`;
    if (group !== null && group.last !== null && draft.last !== group.last)
      return `LSN ${first} to ${draft.last} came where more of ${first} to ${group.last} must be`;
    return draft.last < draft.first ? `LSN ${draft.first} to ${draft.last} is no range` : null;
  }

  /** The same for a block that is there already. */
  faultOf(block: Block): Fault | null {
    if (!sameBytes(block.previousHash, this.#hash)) return 'the block does not follow on the one before';
    return this.fault(block);
  }

  advance(draft: BlockDraft, hash: Uint8Array): void {
    const { first, last } = draft;
    this.#hash = hash;
    if (draft.continued) {
      this.#group = { first, last, blocks: (this.#group?.blocks ?? 0) + 1 };
    } else {
      this.#group = null;
      this.#position = { lsn: last, hash };
    }
  }
}

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
