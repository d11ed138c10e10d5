import assert from 'node:assert/strict';
import { SpeilError } from '../../../src/core/error.ts';
import { Lineage } from '../../../src/core/lineage.ts';
import { Lsn } from '../../../src/core/lsn.ts';
import { Term } from '../../../src/core/term.ts';
import type { Block, BlockDraft } from '../../../src/journal/block.ts';
import type { Journal } from '../../../src/journal/journal.ts';

export const LINEAGE = Lineage.of('0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0');

export const draft = (first: number, last = first, more: Partial<BlockDraft> = {}): BlockDraft => ({
  ...{ term: Term.first, first: Lsn.of(first), last: Lsn.of(last), continued: false },
  databaseChecksum: BigInt(first) << 40n,
  sealedAtMs: 1_795_000_000_000 + first,
  payload: Buffer.from(`what commit ${first} changed`),
  ...more,
});

/** The next so many commits, each in a block of its own with a payload of so many bytes; hardened. */
export async function commit(journal: Journal, count: number, payloadBytes = 40): Promise<readonly Block[]> {
  const blocks: Block[] = [];
  for (let nth = 0; nth < count; nth += 1) {
    const lsn = Number(journal.appended.lsn) + 1;
    blocks.push(await journal.append(draft(lsn, lsn, { payload: Buffer.alloc(payloadBytes, lsn % 251) })));
  }
  await journal.harden();
  return blocks;
}

export const lsnsOf = (blocks: readonly Block[]): readonly number[] => blocks.map(({ last }) => Number(last));

export const readAll = (journal: Journal, from = 1): Promise<Block[]> => Array.fromAsync(journal.read(Lsn.of(from)));

/** For `assert.rejects`. */
export const coded =
  (code: string, pattern = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof SpeilError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, pattern);
    return true;
  };
