import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SimDisk } from '../../sim/disk.ts';
import { coded, commit, draft, lsnsOf, readAll } from '../../test/support/journal/drafts.ts';
import { create, FOLDER, open, SEGMENT_BYTES, segmentNames, simDisk } from '../../test/support/journal/open.ts';
import { Lineage } from '../core/lineage.ts';
import { Lsn } from '../core/lsn.ts';
import { checkJournal } from './inspect-journal.ts';
import { recordBytes, SEGMENT_HEADER_BYTES } from './segment-format.ts';

/** Ten commits in the first segment, hardened one by one, each in a record of this length; and the journal closed. */
const PAYLOAD_BYTES = 40;
const RECORD_BYTES = recordBytes(PAYLOAD_BYTES);
const FIRST = `${FOLDER}/0000000000000001.journal`;

async function tenCommits(): Promise<SimDisk> {
  const disk = simDisk();
  const journal = await create(disk);
  for (let lsn = 1; lsn <= 10; lsn += 1) await commit(journal, 1, PAYLOAD_BYTES);
  await journal[Symbol.asyncDispose]();
  return disk;
}

/** Where the record of the commit begins. */
const startOf = (lsn: number): number => SEGMENT_HEADER_BYTES + (lsn - 1) * RECORD_BYTES;

const flip = (disk: SimDisk, path: string, offset: number): void =>
  disk.damage(path, (content) => content.writeUInt8(content.readUInt8(offset) ^ 4, offset));

/** As a power cut would leave it that came before the mark was written back. */
const forgetMark = (disk: SimDisk): void => disk.damage(`${FOLDER}/marks`, (content) => content.fill(0, 0, 512));

test('what was appended and not hardened may be there, and is hardened then', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  await commit(journal, 3);
  await journal.append(draft(4));
  disk.endProcess();
  const { journal: again, tornTail } = await open(disk);
  assert.equal(tornTail, null);
  assert.equal(again.hardened.lsn, 4n);
  disk.restart();
  assert.equal((await open(disk)).journal.hardened.lsn, 4n);
});

test('a torn tail is cut off, and reported', async () => {
  const disk = await tenCommits();
  forgetMark(disk);
  flip(disk, FIRST, startOf(10) + 100);
  const { journal, tornTail } = await open(disk);
  assert.deepEqual(
    { ...tornTail, after: tornTail?.after.lsn },
    { file: FIRST, offset: startOf(10), bytes: RECORD_BYTES, after: 9n },
  );
  assert.deepEqual(lsnsOf(await readAll(journal)).at(-1), 9);
  await commit(journal, 1, PAYLOAD_BYTES);
  await journal[Symbol.asyncDispose]();
  const { journal: again, tornTail: none } = await open(disk);
  assert.equal(none, null);
  assert.equal(again.hardened.lsn, 10n);
});

test('commits whose last block is missing are cut off, over segments', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  await commit(journal, 2);
  for (let part = 0; part < 9; part += 1)
    await journal.append(draft(3, 8, { continued: true, payload: Buffer.alloc(1200, part) }));
  await journal.harden();
  await journal[Symbol.asyncDispose]();
  assert.ok(segmentNames(disk).length > 3);
  const { journal: again, tornTail } = await open(disk);
  assert.equal(tornTail?.after.lsn, 2n);
  assert.deepEqual(segmentNames(disk), ['0000000000000001.journal']);
  await commit(again, 1);
  assert.deepEqual(lsnsOf(await readAll(again)), [1, 2, 3]);
});

const damages: readonly { readonly name: string; readonly damage: (disk: SimDisk) => void; readonly says: RegExp }[] = [
  {
    name: 'a bit of a block in the middle: the records after it testify',
    damage: (disk) => {
      forgetMark(disk);
      flip(disk, FIRST, startOf(5) + 170);
    },
    says: /after LSN 4, in data\/journal\/0000000000000001\.journal at byte \d+: the checksum of the block is wrong, and LSN 9 was hardened/,
  },
  {
    name: 'a record that is gone, with others after it',
    damage: (disk) => {
      forgetMark(disk);
      disk.damage(FIRST, (content) => content.fill(0, startOf(5), startOf(6)));
    },
    says: /after LSN 4, .* there is nothing where a block must be, and LSN 9 was hardened/,
  },
  {
    name: 'the last block: the mark testifies',
    damage: (disk) => flip(disk, FIRST, startOf(10) + 60),
    says: /after LSN 9, .*, and LSN 10 was hardened/,
  },
  {
    name: 'the last block is gone: the mark testifies',
    damage: (disk) => disk.damage(FIRST, (content) => content.fill(0, startOf(10))),
    says: /after LSN 9, .* there is nothing where a block must be, and LSN 10 was hardened/,
  },
  {
    name: 'the head of a record',
    damage: (disk) => flip(disk, FIRST, startOf(5) + 2),
    says: /after LSN 4, .* there is no record/,
  },
  {
    name: 'two records that changed places',
    damage: (disk) =>
      disk.damage(FIRST, (content) => {
        const fourth = Buffer.from(content.subarray(startOf(4), startOf(5)));
        content.copyWithin(startOf(4), startOf(5), startOf(6));
        fourth.copy(content, startOf(5));
      }),
    says: /after LSN 3, .* there is no record/,
  },
  {
    name: 'the header of a segment',
    damage: (disk) => flip(disk, FIRST, 50),
    says: /in data\/journal\/0000000000000001\.journal at byte 0: the checksum of the header is wrong/,
  },
  {
    name: 'a file of another length',
    damage: (disk) => disk.shorten(FIRST, SEGMENT_BYTES - 512),
    says: /the file has 3584 bytes instead of 4096/,
  },
  {
    name: 'all segments gone',
    damage: (disk) => disk.lose(FIRST),
    says: /no segment is left/,
  },
];

for (const { name, damage, says } of damages) {
  test(`damage: ${name}`, async () => {
    const disk = await tenCommits();
    damage(disk);
    const before = disk.files();
    await assert.rejects(open(disk), coded('JOURNAL_DAMAGED', says));
    assert.deepEqual(disk.files(), before, 'nothing was changed');
    const { findings } = await checkJournal({ disk, folder: FOLDER });
    assert.ok(findings.some(({ kind }) => kind === 'damage'));
  });
}

async function manySegments(): Promise<SimDisk> {
  const disk = simDisk();
  const journal = await create(disk);
  await commit(journal, 30, 500);
  await journal[Symbol.asyncDispose]();
  return disk;
}

test('damage: a segment that is missing in the middle, at the end, or at the beginning of what is held', async () => {
  const names = segmentNames(await manySegments());
  const without = async (name: string | undefined): Promise<SimDisk> => {
    const disk = await manySegments();
    disk.lose(`${FOLDER}/${name}`);
    return disk;
  };
  await assert.rejects(open(await without(names[2])), coded('JOURNAL_DAMAGED', /a segment before it is missing/));
  const end = await without(names.at(-1));
  forgetMark(end);
  await assert.rejects(open(end), coded('JOURNAL_DAMAGED', /the one after it is missing/));
  const disk = await manySegments();
  const { journal } = await open(disk);
  await journal.hold('mirror', Lsn.of(2));
  await journal[Symbol.asyncDispose]();
  disk.lose(`${FOLDER}/${names[0]}`);
  await assert.rejects(open(disk), coded('JOURNAL_DAMAGED', /missing, and mirror holds them/));
});

test('damage before `from` is not looked for, and found by who reads it', async () => {
  const disk = await manySegments();
  flip(disk, FIRST, 700);
  await assert.rejects(open(disk), coded('JOURNAL_DAMAGED', /after LSN 0/));
  const { journal } = await open(disk, { from: Lsn.of(20) });
  assert.deepEqual(lsnsOf(await readAll(journal, 29)), [29, 30]);
  await assert.rejects(readAll(journal), coded('JOURNAL_DAMAGED', /after LSN 0/));
});

test('what others know to be hardened must be there', async () => {
  const disk = await tenCommits();
  await assert.rejects(open(disk, { hardenedAtLeast: Lsn.of(11) }), coded('JOURNAL_DAMAGED', /LSN 11 was hardened/));
  const other = Lineage.of('11111111-2222-3333-4444-555555555555');
  await assert.rejects(open(disk, { lineage: other }), coded('OTHER_LINEAGE', /not 11111111/));
});

test('a journal with another history than the mark says is damaged', async () => {
  const disk = await tenCommits();
  const other = simDisk(2);
  const journal = await create(other);
  await commit(journal, 10, PAYLOAD_BYTES + 1);
  await journal[Symbol.asyncDispose]();
  const theirs = other.files().get(`${FOLDER}/marks`);
  disk.damage(`${FOLDER}/marks`, (content) => theirs?.copy(content));
  await assert.rejects(open(disk), coded('JOURNAL_DAMAGED', /hardened last is another one/));
});

test('what a client stored is not taken for testimony', async () => {
  const disk = simDisk();
  const journal = await create(disk);
  for (let lsn = 1; lsn <= 2; lsn += 1) await commit(journal, 1);
  const image = Buffer.from(disk.files().get(FIRST)?.subarray(SEGMENT_HEADER_BYTES, 1000) ?? []);
  await journal.append(draft(3, 3, { payload: image }));
  await journal.harden();
  await journal[Symbol.asyncDispose]();
  forgetMark(disk);
  const end = SEGMENT_HEADER_BYTES + 2 * recordBytes(40);
  disk.damage(FIRST, (content) => content.fill(0, end, end + 100));
  const { tornTail } = await open(disk);
  assert.equal(tornTail?.after.lsn, 2n);
});
