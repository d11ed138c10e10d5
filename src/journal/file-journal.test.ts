import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coded, commit, draft, LINEAGE, lsnsOf, readAll } from '../../test/support/journal/drafts.ts';
import { create, open, reopened, SEGMENT_BYTES, segmentNames, simDisk } from '../../test/support/journal/open.ts';
import { withDirectory } from '../../test/support/workload.ts';
import { Lsn } from '../core/lsn.ts';
import { systemDisk } from '../runtime/system-disk.ts';
import { BLOCK_PAYLOAD_BYTES_MAX } from './block.ts';
import { createJournal } from './create-journal.ts';
import { checkJournal } from './inspect-journal.ts';
import { openJournal } from './open-journal.ts';
import { recordBytes } from './segment-format.ts';

test('on a real disk: what was hardened is there when it is opened again', async () => {
  using directory = withDirectory();
  const folder = directory.file('shop/journal');
  const options = { disk: systemDisk, folder, segmentBytes: 64 << 10 };
  const given: Uint8Array[] = [];
  {
    await using journal = await createJournal({ ...options, lineage: LINEAGE });
    for (const block of await commit(journal, 300, 900)) given.push(block.hash);
    assert.equal(journal.hardened.lsn, 300n);
  }
  const { journal, tornTail } = await openJournal({ ...options, lineage: LINEAGE, hardenedAtLeast: Lsn.of(300) });
  assert.equal(tornTail, null);
  const read = await readAll(journal);
  assert.deepEqual(
    read.map(({ hash }) => Buffer.from(hash)),
    given,
  );
  assert.ok((await systemDisk.list(folder)).length > 5);
  await commit(journal, 1);
  assert.equal(journal.hardened.lsn, 301n);
  await journal[Symbol.asyncDispose]();
});

test('to append is not to harden', async () => {
  const journal = await create(simDisk());
  const block = await journal.append(draft(1, 3));
  assert.equal(journal.appended.lsn, 3n);
  assert.equal(journal.hardened.lsn, 0n);
  assert.deepEqual(await readAll(journal), []);
  const position = await journal.harden();
  assert.deepEqual(position, { lsn: 3n, hash: block.hash });
  assert.equal(journal.hardened, position);
  assert.deepEqual(lsnsOf(await readAll(journal)), [3]);
});

test('those who harden at the same time share one sync', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  await journal.append(draft(1));
  const syncing = journal.harden();
  await journal.append(draft(2));
  const [second, third] = [journal.harden(), journal.harden()];
  assert.equal(second, third);
  assert.equal((await syncing).lsn, 1n);
  assert.equal((await second).lsn, 2n);
  assert.equal((await journal.harden()).lsn, 2n);
});

test('a cut and those who harden at the same time do not harm each other', async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const disk = simDisk(seed);
    const journal = await create(disk);
    await commit(journal, 8, 700);
    await journal.append(draft(9));
    const position = (await journal.positionAt(Lsn.of(3 + (seed % 6)))) ?? journal.start;
    const cutting = journal.truncateAfter(position);
    for (let times = 0; times < seed % 9; times += 1) {
      await null;
      void journal.harden();
    }
    const first = Number(position.lsn) + 1;
    await Promise.all([cutting, journal.append(draft(first)), journal.harden()]);
    assert.equal((await journal.harden()).lsn, position.lsn + 1n);
    disk.restart();
    const { journal: again } = await open(disk);
    assert.deepEqual((await readAll(again)).length, first, `seed ${seed}`);
  }
});

test('what does not follow is refused and changes nothing', async () => {
  const journal = await create(simDisk());
  await journal.append(draft(1, 2));
  for (const wrong of [draft(1), draft(4), draft(3, 2)])
    await assert.rejects(journal.append(wrong), coded('JOURNAL_GAP', /does not follow/));
  await journal.append(draft(3, 5, { continued: true }));
  for (const wrong of [draft(3, 4), draft(6)]) await assert.rejects(journal.append(wrong), coded('JOURNAL_GAP'));
  await assert.rejects(journal.append(draft(3, 5, { payload: Buffer.alloc(SEGMENT_BYTES) })), RangeError);
  await journal.append(draft(3, 5));
  assert.equal((await journal.harden()).lsn, 5n);
});

test('a block of the largest payload fits into a segment of the usual size', async () => {
  const disk = simDisk();
  const journal = await createJournal({ disk, folder: 'j', lineage: LINEAGE });
  const payload = Buffer.alloc(BLOCK_PAYLOAD_BYTES_MAX, 5);
  await assert.rejects(journal.append(draft(1, 1, { payload: Buffer.alloc(payload.length + 1) })), RangeError);
  await journal.append(draft(1, 1, { payload }));
  await journal.harden();
  const [block] = await readAll(journal);
  assert.ok(payload.equals(block?.payload ?? Buffer.alloc(0)));
});

test('a large commit goes on in the next segments, and is there only as a whole', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  await commit(journal, 2);
  const large = { payload: Buffer.alloc(1500, 1) };
  for (let part = 0; part < 6; part += 1) await journal.append(draft(3, 9, { ...large, continued: true }));
  await journal.harden();
  assert.equal(journal.hardened.lsn, 2n);
  assert.deepEqual(lsnsOf(await readAll(journal)), [1, 2]);
  await journal.append(draft(3, 9, large));
  await journal.harden();
  assert.deepEqual(lsnsOf(await readAll(journal)), [1, 2, 9, 9, 9, 9, 9, 9, 9]);
  assert.deepEqual(segmentNames(disk), [
    '0000000000000001.journal',
    '0000000000000003.00000001.journal',
    '0000000000000003.00000003.journal',
    '0000000000000003.00000005.journal',
  ]);
  const again = await reopened(disk, journal);
  assert.equal((await readAll(again)).length, 9);
});

test('room is known beforehand, and made ahead of need', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  const { roomBytes } = journal;
  await commit(journal, 1, 100);
  assert.equal(journal.roomBytes, roomBytes - recordBytes(100));
  await journal.makeRoom();
  assert.equal(journal.roomBytes, roomBytes);
  disk.capacityBytes = 0;
  while (journal.roomBytes === roomBytes) await commit(journal, 1, 500);
  assert.equal(segmentNames(disk).length, 2);
});

test('room made at the very moment at which the spare is taken does not come between', async () => {
  const disk = simDisk();
  let meanwhile = async (): Promise<void> => undefined;
  const rename = disk.rename.bind(disk);
  disk.rename = async (from, to) => {
    if (to.endsWith('.journal')) await meanwhile();
    return rename(from, to);
  };
  const journal = await create(disk);
  meanwhile = () => journal.makeRoom();
  await commit(journal, 20, 500);
  assert.ok(segmentNames(disk).length > 2);
  assert.equal((await readAll(await reopened(disk, journal))).length, 20);
});

test('a full disk refuses, loses nothing and heals', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  disk.capacityBytes = 0;
  await assert.rejects(journal.makeRoom(), coded('DISK_FULL'));
  let refused: unknown = null;
  while (refused === null) await commit(journal, 1, 300).catch((error: unknown) => (refused = error));
  coded('DISK_FULL')(refused);
  const { appended } = journal;
  assert.equal((await journal.harden()).lsn, appended.lsn);
  assert.equal((await readAll(journal)).length, Number(appended.lsn));
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  await commit(journal, 3, 300);
  const again = await reopened(disk, journal);
  assert.equal(again.hardened.lsn, appended.lsn + 3n);
});

test('a write that ended in the middle leaves nothing behind', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  await commit(journal, 2);
  disk.failWrites(1, 'ENOSPC');
  await assert.rejects(journal.append(draft(3, 3, { payload: Buffer.alloc(2000, 1) })), coded('DISK_FULL'));
  assert.equal(journal.appended.lsn, 2n);
  await commit(journal, 1, 10);
  await journal[Symbol.asyncDispose]();
  const { findings } = await checkJournal({ disk, folder: 'data/journal' });
  assert.deepEqual(findings, []);
});

test('on a full disk holders, trimming and cutting work: they are what makes room', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  await commit(journal, 30, 500);
  await journal.append(draft(31, 32, { continued: true }));
  disk.capacityBytes = 0;
  await journal.hold('checkpoint', Lsn.of(20));
  assert.ok((await journal.trim()) > 0);
  await journal.truncateAfter(journal.appended);
  await journal.append(draft(31));
  assert.equal((await journal.harden()).lsn, 31n);
});

test('after a sync that failed nothing works any more, until the journal is opened anew', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  await commit(journal, 2);
  const reading = Array.fromAsync(journal.read(Lsn.of(1), { follow: true }));
  await journal.append(draft(3));
  disk.failSyncs(1);
  await assert.rejects(journal.harden(), coded('JOURNAL_FAILED', /EIO/));
  await assert.rejects(reading, coded('JOURNAL_FAILED'));
  await assert.rejects(journal.harden(), coded('JOURNAL_FAILED'));
  await assert.rejects(journal.append(draft(4)), coded('JOURNAL_FAILED'));
  await assert.rejects(journal.makeRoom(), coded('JOURNAL_FAILED'));
  await assert.rejects(readAll(journal), coded('JOURNAL_FAILED'));
  await assert.rejects(journal.trim(), coded('JOURNAL_FAILED'));
  assert.equal(journal.hardened.lsn, 2n);
  await journal[Symbol.asyncDispose]();
  disk.endProcess();
  const { journal: again } = await open(disk);
  assert.ok(again.hardened.lsn >= 2n);
  const { hardened } = again;
  disk.restart();
  assert.deepEqual((await open(disk)).journal.hardened.lsn, hardened.lsn, 'what opening showed was durable');
});

test('a closed journal says so', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  const reading = Array.fromAsync(journal.read(Lsn.of(1), { follow: true }));
  await journal[Symbol.asyncDispose]();
  await assert.rejects(reading, coded('INTERRUPTED'));
  await assert.rejects(journal.append(draft(1)), coded('INTERRUPTED'));
});

test('a journal may begin where another history ended', async () => {
  const disk = simDisk();
  const start = { lsn: Lsn.of(1000), hash: Buffer.alloc(32, 7) };
  const journal = await createJournal({ disk, folder: 'mirror', lineage: LINEAGE, start, segmentBytes: 4096 });
  assert.deepEqual(journal.hardened, start);
  await assert.rejects(readAll(journal, 1000), coded('JOURNAL_GAP', /starts after 1000/));
  const block = await journal.append(draft(1001));
  assert.deepEqual(block.previousHash, start.hash);
  await journal.harden();
  assert.deepEqual(lsnsOf(await readAll(journal, 1001)), [1001]);
  await journal[Symbol.asyncDispose]();
  const { journal: again } = await openJournal({ disk, folder: 'mirror', segmentBytes: 4096 });
  assert.equal(again.start.lsn, 1000n);
  assert.deepEqual(Buffer.from((await again.positionAt(Lsn.of(1000)))?.hash ?? []), start.hash);
});

test('what is there is not made again', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  await journal[Symbol.asyncDispose]();
  await assert.rejects(create(disk), coded('CONFLICT', /There is a journal/));
  await assert.rejects(open(disk, { folder: 'data' }), coded('FILE_MISSING'));
  await assert.rejects(open(disk, { folder: 'nowhere' }), coded('FILE_MISSING'));
});
