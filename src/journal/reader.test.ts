import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coded, commit, draft, lsnsOf, readAll } from '../../test/support/journal/drafts.ts';
import { create, simDisk } from '../../test/support/journal/open.ts';
import { Lsn } from '../core/lsn.ts';
import type { Block } from './block.ts';
import type { Journal } from './journal.ts';

/** Pulls so many blocks, and leaves the reader where it is. */
async function take(reader: AsyncIterator<Block>, count: number): Promise<readonly number[]> {
  const lsns: number[] = [];
  for (let nth = 0; nth < count; nth += 1) lsns.push(Number((await reader.next()).value.last));
  return lsns;
}

const follow = (journal: Journal, from: number, signal?: AbortSignal): AsyncIterator<Block> =>
  journal.read(Lsn.of(from), { follow: true, ...(signal && { signal }) })[Symbol.asyncIterator]();

test('reading begins with the block that holds the commit', async () => {
  const journal = await create(simDisk());
  await journal.append(draft(1, 4));
  await journal.append(draft(5, 9));
  await commit(journal, 1);
  assert.deepEqual(lsnsOf(await readAll(journal, 3)), [4, 9, 10]);
  assert.deepEqual(lsnsOf(await readAll(journal, 5)), [9, 10]);
  assert.deepEqual(lsnsOf(await readAll(journal, 11)), []);
  await assert.rejects(readAll(journal, 12), coded('JOURNAL_GAP', /ends with 10/));
  await assert.rejects(readAll(journal, 0), coded('JOURNAL_GAP', /starts after 0/));
});

test('a follower waits for what is hardened, over segments, until its signal', async () => {
  const journal = await create(simDisk());
  const end = new AbortController();
  const reader = follow(journal, 1, end.signal);
  const first = reader.next();
  await journal.append(draft(1));
  await journal.harden();
  assert.equal((await first).value.last, 1n);
  for (let round = 0; round < 10; round += 1) {
    await commit(journal, 3, 700);
    assert.deepEqual(
      await take(reader, 3),
      [2, 3, 4].map((lsn) => lsn + round * 3),
    );
  }
  const last = reader.next();
  end.abort(new Error('enough'));
  await assert.rejects(last, /enough/);
  await assert.rejects(Array.fromAsync(journal.read(Lsn.of(1), { signal: end.signal })), /enough/);
});

test('readers do not disturb each other, nor the writer', async () => {
  const journal = await create(simDisk());
  const readers = [1, 1, 1].map((from) => follow(journal, from));
  for (let round = 0; round < 20; round += 1) {
    const writing = commit(journal, 5, 300);
    const read = await Promise.all(readers.map((reader) => take(reader, 5)));
    for (const lsns of read)
      assert.deepEqual(
        lsns,
        [1, 2, 3, 4, 5].map((lsn) => lsn + round * 5),
      );
    await writing;
  }
});

test('what was read stays as it was, whatever is read after it', async () => {
  const journal = await create(simDisk());
  const given = await commit(journal, 40, 500);
  const read = await readAll(journal);
  for (const [index, block] of read.entries()) assert.deepEqual([...block.payload], [...(given[index]?.payload ?? [])]);
});

test('no more is read than was asked for', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  await commit(journal, 60, 500);
  const reader = follow(journal, 1);
  await take(reader, 2);
  disk.failReads(1_000_000);
  assert.deepEqual(await take(reader, 3), [3, 4, 5], 'from what was read ahead');
  await assert.rejects(take(reader, 60), coded('JOURNAL_DAMAGED', /cannot be read \(EIO/));
});

test('what is trimmed while it is read ends the reader, and no other', async () => {
  const journal = await create(simDisk());
  await commit(journal, 60, 500);
  const [behind, ahead] = [follow(journal, 1), follow(journal, 55)];
  await take(behind, 2);
  await take(ahead, 1);
  assert.ok((await journal.trim()) > 0);
  await assert.rejects(take(behind, 60), coded('JOURNAL_GAP', /was removed while it was read/));
  assert.deepEqual(await take(ahead, 2), [56, 57]);
});

test('a cut ends who has read more, and nobody else', async () => {
  const journal = await create(simDisk());
  await commit(journal, 40, 500);
  const [behind, at, beyond] = [follow(journal, 1), follow(journal, 1), follow(journal, 1)];
  await take(behind, 3);
  await take(at, 20);
  await take(beyond, 21);
  await journal.truncateAfter((await journal.positionAt(Lsn.of(20))) ?? journal.start);
  await commit(journal, 2, 90);
  assert.deepEqual((await take(behind, 19)).slice(-3), [20, 21, 22]);
  assert.deepEqual(await take(at, 2), [21, 22]);
  await assert.rejects(take(beyond, 1), coded('JOURNAL_GAP', /cut after LSN 20/));
});

test('a cut behind a large commit does not hand out a part of it twice', async () => {
  const journal = await create(simDisk());
  await commit(journal, 2);
  const large = { payload: Buffer.alloc(1200, 1) };
  for (let part = 0; part < 4; part += 1) await journal.append(draft(3, 3, { ...large, continued: part < 3 }));
  await commit(journal, 5, 500);
  const reader = follow(journal, 1);
  assert.deepEqual(await take(reader, 4), [1, 2, 3, 3]);
  await journal.truncateAfter((await journal.positionAt(Lsn.of(3))) ?? journal.start);
  await commit(journal, 1);
  assert.deepEqual(await take(reader, 3), [3, 3, 4]);
});

test('damage is named where it is read', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  await commit(journal, 12, 500);
  disk.damage('data/journal/0000000000000006.journal', (content) => content.fill(0xee, 1300, 1302));
  const reader = follow(journal, 1);
  await take(reader, 6);
  const where =
    /after LSN 6, in data\/journal\/0000000000000006\.journal at byte \d+: the checksum of the block is wrong/;
  await assert.rejects(take(reader, 1), coded('JOURNAL_DAMAGED', where));
});
