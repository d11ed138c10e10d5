import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SimDisk } from '../../sim/disk.ts';
import { coded, commit, draft } from '../../test/support/journal/drafts.ts';
import { create, FOLDER, segmentNames, simDisk } from '../../test/support/journal/open.ts';
import { Lsn } from '../core/lsn.ts';
import { checkJournal, inspectJournal } from './inspect-journal.ts';

const check = (disk: SimDisk) => checkJournal({ disk, folder: FOLDER });

async function thirty(): Promise<SimDisk> {
  const disk = simDisk();
  const journal = await create(disk);
  for (let nth = 0; nth < 10; nth += 1) await commit(journal, 3, 500);
  await journal[Symbol.asyncDispose]();
  return disk;
}

const flip = (disk: SimDisk, name: string, offset: number): void =>
  disk.damage(`${FOLDER}/${name}`, (content) => content.writeUInt8(content.readUInt8(offset) ^ 1, offset));

test('a whole journal: what is in it, and no findings', async () => {
  const disk = await thirty();
  const before = disk.files();
  const { first, last, blocks, bytes, segments, findings } = await check(disk);
  assert.deepEqual(findings, []);
  assert.deepEqual(
    { first, last: last?.lsn, blocks, bytes, segments },
    { first: 1n, last: 30n, blocks: 30, bytes: 30 * 656, segments: 6 },
  );
  assert.deepEqual(disk.files(), before);
});

test('blocks and where they lie, from a commit on', async () => {
  const disk = await thirty();
  const found = await Array.fromAsync(inspectJournal({ disk, folder: FOLDER, from: Lsn.of(29) }));
  assert.deepEqual(
    found.map((one) => (one.kind === 'block' ? [one.block.last, one.file, one.offset, one.bytes] : one)),
    [
      [29n, `${FOLDER}/000000000000001a.journal`, 512 + 3 * 656, 656],
      [30n, `${FOLDER}/000000000000001a.journal`, 512 + 4 * 656, 656],
    ],
  );
});

test('every damage is found, not only the first', async () => {
  const disk = await thirty();
  const [first, second, third, fourth] = segmentNames(disk);
  flip(disk, first ?? '', 1000);
  flip(disk, second ?? '', 20);
  flip(disk, third ?? '', 512 + 3);
  flip(disk, fourth ?? '', 4000);
  disk.damage(`${FOLDER}/marks`, (content) => content.fill(1, 0, 9));
  disk.damage(`${FOLDER}/holders`, (content) => content.fill(1, 0, 9));
  const { findings, blocks } = await check(disk);
  assert.deepEqual(
    findings.map(({ kind, file, what }) => [kind, file.slice(FOLDER.length + 1), what]),
    [
      ['notice', 'marks', 'the mark of what was hardened is unreadable'],
      ['notice', 'holders', 'one copy of the holders is unreadable'],
      ['damage', first, 'the checksum of the block is wrong'],
      ['damage', second, 'the checksum of the header is wrong'],
      ['damage', third, 'there is no record'],
      ['notice', fourth, 'there are bytes after the end mark'],
    ],
  );
  assert.equal(blocks, 15);
});

test('a torn tail is no damage', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  await commit(journal, 2);
  await journal.append(draft(3, 4, { continued: true }));
  disk.endProcess();
  const { findings, last } = await check(disk);
  assert.equal(last?.lsn, 2n);
  assert.deepEqual(
    findings.map(({ kind, afterLsn }) => [kind, afterLsn]),
    [['torn-tail', 2n]],
  );
});

test('a folder without a journal', async () => {
  await assert.rejects(check(simDisk()), coded('FILE_MISSING'));
});
