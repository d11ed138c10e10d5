import { createHash } from 'node:crypto';
import { Lineage } from '../../src/core/lineage.ts';
import { Lsn } from '../../src/core/lsn.ts';
import type { Block, BlockDraft, JournalPosition } from '../../src/journal/block.ts';
import type { Journal } from '../../src/journal/journal.ts';
import { must } from '../violation.ts';

const NOTHING = Buffer.alloc(32);

/** The hash of a block, from the words of docs/journal-format.md and none of the journal's code. */
export function expectedHash(lineage: Lineage, draft: BlockDraft, previousHash: Uint8Array): Buffer {
  const numbers = Buffer.alloc(16);
  numbers.write('SPEILBLK', 'latin1');
  numbers.writeUInt16LE(1, 8);
  numbers.writeUInt16LE(draft.continued ? 1 : 0, 10);
  numbers.writeUInt32LE(draft.payload.length, 12);
  const positions = Buffer.alloc(24);
  positions.writeBigUInt64LE(draft.term, 0);
  positions.writeBigUInt64LE(draft.first, 8);
  positions.writeBigUInt64LE(draft.last, 16);
  const state = Buffer.alloc(16);
  state.writeBigUInt64LE(draft.databaseChecksum, 0);
  state.writeBigUInt64LE(BigInt(draft.sealedAtMs), 8);
  return createHash('sha256')
    .update(Buffer.concat([numbers, Lineage.toBytes(lineage), positions, previousHash, state, draft.payload]))
    .digest();
}

/** What the outside knows of a journal: what it was given, and what it answered. */
export class JournalModel {
  readonly lineage: Lineage;
  /** Given to `append`, in order; those after {@link hardened} may be lost by a crash. */
  #blocks: Block[] = [];
  readonly #hardenedBefore: Lsn[] = [];
  /** What `harden` answered last: must never be lost. */
  hardened: Lsn = Lsn.zero;
  /** What `hold` acknowledged. */
  readonly holders = new Map<string, Lsn>();
  /** What a call was about to do to a holder when the machine stopped. */
  doubtfulHolder: string | null = null;
  /** A truncation that was begun and not acknowledged. */
  doubtfulCut: Lsn | null = null;

  constructor(lineage: Lineage) {
    this.lineage = lineage;
  }

  get blocks(): readonly Block[] {
    return this.#blocks;
  }

  /** The last block that completed its commits. */
  get appended(): JournalPosition {
    const last = this.#blocks.findLast(({ continued }) => !continued);
    return last === undefined ? { lsn: Lsn.zero, hash: NOTHING } : { lsn: last.last, hash: last.hash };
  }

  /** The block that follows on the last one, as it must come back. */
  next(draft: BlockDraft): Block {
    const previousHash = this.#blocks.at(-1)?.hash ?? NOTHING;
    const hash = expectedHash(this.lineage, draft, previousHash);
    return { ...draft, lineage: this.lineage, previousHash, hash };
  }

  /** A block that is given now; what the journal says to be hardened at this moment it also writes with the block. */
  add(block: Block, hardened: Lsn): void {
    this.#blocks.push(block);
    this.#hardenedBefore.push(hardened);
  }

  removeLast(): void {
    this.#blocks.pop();
    this.#hardenedBefore.pop();
  }

  /** What the records testify to be hardened even when one of them is damaged, and nothing else testifies. */
  get testified(): Lsn {
    return this.#hardenedBefore.at(-2) ?? Lsn.zero;
  }

  /** Nothing after the commit is expected any more. */
  cut(lsn: Lsn): void {
    this.#blocks = this.#blocks.filter(({ last }) => last <= lsn);
    this.#hardenedBefore.length = this.#blocks.length;
    if (this.hardened > lsn) this.hardened = lsn;
    for (const [holder, held] of this.holders) if (held > lsn) this.holders.set(holder, lsn);
  }

  acknowledge(lsn: Lsn): void {
    if (lsn > this.hardened) this.hardened = lsn;
  }

  positionAt(lsn: Lsn): JournalPosition | null {
    if (lsn === Lsn.zero) return { lsn, hash: NOTHING };
    const block = this.#blocks.find(({ last, continued }) => !continued && last === lsn);
    return block === undefined ? null : { lsn, hash: block.hash };
  }

  /** The blocks from the one with this commit up to the one that ends with that. */
  between(from: Lsn, to: Lsn): readonly Block[] {
    return this.#blocks.filter(({ first, last }) => last >= from && first <= to);
  }
}

/** A block that came back must be the one that was given, in every byte. */
export function mustEqual(read: Block, expected: Block | undefined, where: string): void {
  const name = `${where}: the block of LSN ${read.first} to ${read.last}`;
  must(expected !== undefined, () => `${name} was never given`);
  must(Buffer.compare(read.payload, expected.payload) === 0, () => `${name} has another payload`);
  must(Buffer.compare(read.hash, expected.hash) === 0, () => `${name} has another hash`);
  must(Buffer.compare(read.previousHash, expected.previousHash) === 0, () => `${name} follows on another one`);
  for (const field of ['lineage', 'term', 'first', 'last', 'continued', 'databaseChecksum', 'sealedAtMs'] as const)
    must(read[field] === expected[field], () => `${name}: ${field} is ${read[field]}, not ${expected[field]}`);
}

/** The blocks that came back must be exactly these. */
export function mustBe(read: readonly Block[], expected: readonly Block[], where: string): void {
  for (const [index, block] of read.entries()) mustEqual(block, expected[index], where);
  must(read.length === expected.length, () => `${where}: ${read.length} blocks came instead of ${expected.length}`);
}

export function mustKeepWhatIsHeld({ start, hardened }: Journal, { holders }: JournalModel): void {
  for (const [holder, lsn] of holders)
    must(start.lsn <= lsn, () => `the journal starts after ${start.lsn}, and ${holder} holds what is after ${lsn}`);
  must(start.lsn <= hardened.lsn, () => `the journal starts after ${start.lsn} and is hardened up to ${hardened.lsn}`);
}
