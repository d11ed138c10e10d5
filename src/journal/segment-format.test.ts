import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LINEAGE } from '../../test/support/journal/drafts.ts';
import { Lsn } from '../core/lsn.ts';
import {
  bySegmentOrder,
  decodeSegmentHeader,
  encodeEndMark,
  encodeSegmentHeader,
  parseSegmentName,
  RecordHeads,
  SEGMENT_VERSION,
  segmentName,
} from './segment-format.ts';

const header = {
  ...{ lineage: LINEAGE, first: Lsn.of(0x2a), part: 3, bytes: 16 << 20 },
  hashBefore: new Uint8Array(32).fill(0xbb),
};

const lines = (bytes: Buffer): readonly string[] => bytes.toString('hex').match(/.{1,32}/g) ?? [];

/** The bytes of version 1, pinned as those of a block are (block-codec.test.ts). */
test('the bytes of a segment, version 1', () => {
  assert.equal(SEGMENT_VERSION, 1);
  const bytes = encodeSegmentHeader(header);
  assert.equal(bytes.length, 512);
  assert.ok(bytes.subarray(88).every((byte) => byte === 0));
  assert.deepEqual(lines(bytes.subarray(0, 88)), [
    '535045494c53454701000000383d30c1',
    '0f1e2d3c4b5a69788796a5b4c3d2e1f0',
    '2a000000000000000300000000000000',
    'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',
    'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',
    '0000000100000000',
  ]);
  const end = encodeEndMark(new RecordHeads(0x01020304), 0x1000, { lsn: Lsn.of(0x2f), hash: Buffer.alloc(32, 0xcc) });
  assert.deepEqual(lines(end), [
    '2f0000000000000038000000a3aa8473',
    'cccccccccccccccccccccccccccccccc',
    'cccccccccccccccccccccccccccccccc',
    '535045494c454e44',
  ]);
});

test('a header comes back as it was, and no bit of it can be another one', () => {
  const bytes = encodeSegmentHeader(header);
  const { seed, ...read } = decodeSegmentHeader(bytes) as Exclude<ReturnType<typeof decodeSegmentHeader>, string>;
  assert.deepEqual(read, header);
  assert.equal(seed, bytes.readUInt32LE(12));
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.equal(typeof decodeSegmentHeader(flipped), 'string', `bit ${bit}`);
  }
});

test('names sort as the chain goes', () => {
  const names = [
    { first: Lsn.of(1), part: 0 },
    { first: Lsn.of(1), part: 12 },
    { first: Lsn.of('0xffffffffffffffff'), part: 0 },
  ];
  assert.deepEqual(names.map(segmentName), [
    '0000000000000001.journal',
    '0000000000000001.0000000c.journal',
    'ffffffffffffffff.journal',
  ]);
  assert.deepEqual(names.map(segmentName).map(parseSegmentName), names);
  assert.deepEqual(names.toReversed().sort(bySegmentOrder), names);
  for (const other of ['marks', '1.journal', '0000000000000001.journal.bak', '000000000000000G.journal'])
    assert.equal(parseSegmentName(other), null);
});

test('a head counts only in its place', () => {
  const bytes = Buffer.alloc(16);
  const heads = new RecordHeads(7);
  heads.write({ hardened: Lsn.of(5), bytes: 160 }, 512, bytes);
  assert.deepEqual(heads.read(bytes, 512), { hardened: 5n, bytes: 160 });
  assert.equal(heads.read(bytes, 520), null);
  assert.equal(new RecordHeads(8).read(bytes, 512), null);
});
