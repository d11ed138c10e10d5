import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coded, commit, readAll } from '../../test/support/journal/drafts.ts';
import { create, open, reopened, SEGMENT_BYTES, segmentNames, simDisk } from '../../test/support/journal/open.ts';
import { Lsn } from '../core/lsn.ts';
import { HOLDERS_MAX } from './holders.ts';

test('what nobody holds is removed, segment by segment', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  await commit(journal, 30, 500);
  const names = segmentNames(disk);
  await journal.hold('mirror', Lsn.of(12));
  await journal.hold('backup', Lsn.of(25));
  assert.equal(await journal.trim(), 2 * SEGMENT_BYTES);
  assert.deepEqual(segmentNames(disk), names.slice(2));
  assert.equal(journal.start.lsn, 10n);
  assert.equal((await readAll(journal, 13))[0]?.last, 13n);
  assert.equal(await journal.trim(), 0);
  await journal.release('mirror');
  assert.equal(await journal.trim(), 3 * SEGMENT_BYTES);
  await journal.release('backup');
  await journal.release('backup');
  await journal.trim();
  assert.equal(segmentNames(disk).length, 1);
  assert.deepEqual(await journal.positionAt(Lsn.of(12)), null);
});

test('holders outlive restarts and crashes', async () => {
  const disk = simDisk();
  let journal = await create(disk);
  await commit(journal, 20, 500);
  await journal.hold('mirror', Lsn.of(7));
  disk.restart();
  journal = (await open(disk)).journal;
  assert.deepEqual([...journal.holders], [['mirror', 7n]]);
  await journal.hold('mirror', Lsn.of(15));
  await journal.trim();
  disk.restart();
  journal = (await open(disk)).journal;
  assert.deepEqual(
    [...journal.holders],
    [['mirror', 15n]],
    'a holder that moved on is written before anything is removed',
  );
  await journal.release('mirror');
  journal = await reopened(disk, journal);
  assert.deepEqual([...journal.holders], []);
});

test('nobody can hold what is gone, or not there yet', async () => {
  const journal = await create(simDisk());
  await commit(journal, 20, 500);
  await journal.trim();
  const { start } = journal;
  await journal.hold('mirror', start.lsn);
  await assert.rejects(journal.hold('mirror', Lsn.after(start.lsn, -1n)), coded('JOURNAL_GAP', /starts after/));
  await assert.rejects(journal.hold('mirror', Lsn.of(21)), coded('JOURNAL_GAP', /hardened up to 20/));
  await assert.rejects(journal.hold('', Lsn.of(20)), RangeError);
  await assert.rejects(journal.hold('n'.repeat(100), Lsn.of(20)), RangeError);
  assert.deepEqual([...journal.holders], [['mirror', start.lsn]]);
});

test('as many holders as there may be, with the longest names', async () => {
  const disk = simDisk();
  let journal = await create(disk);
  for (let nth = 0; nth < HOLDERS_MAX; nth += 1) await journal.hold(`"${String(nth).padStart(94, '\\')}"`, Lsn.zero);
  await assert.rejects(journal.hold('one more', Lsn.zero), RangeError);
  journal = await reopened(disk, journal);
  assert.equal(journal.holders.size, HOLDERS_MAX);
});

test('a cut moves holders back, also over a restart', async () => {
  const disk = simDisk();
  let journal = await create(disk);
  await commit(journal, 20, 500);
  await journal.hold('mirror', Lsn.of(18));
  await journal.truncateAfter((await journal.positionAt(Lsn.of(9))) ?? journal.start);
  assert.equal(journal.holders.get('mirror'), 9n);
  await commit(journal, 30, 500);
  journal = await reopened(disk, journal);
  assert.equal(journal.holders.get('mirror'), 9n);
});

test('one copy of the holders is enough; without any the journal is not opened', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  await commit(journal, 5);
  await journal.hold('mirror', Lsn.of(3));
  await journal[Symbol.asyncDispose]();
  disk.damage('data/journal/holders', (content) => content.fill(1, 10, 20));
  const { journal: again } = await open(disk);
  assert.deepEqual([...again.holders], [['mirror', 3n]]);
  await again[Symbol.asyncDispose]();
  for (const slot of [0, 16 << 10]) disk.damage('data/journal/holders', (content) => content.fill(1, slot, slot + 20));
  await assert.rejects(open(disk), coded('JOURNAL_DAMAGED', /neither copy of the holders/));
  disk.lose('data/journal/holders');
  await assert.rejects(open(disk), coded('JOURNAL_DAMAGED', /holders at byte 0: the file is missing/));
});
