import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { draft, LINEAGE } from '../../test/support/journal/drafts.ts';
import { Lineage } from '../core/lineage.ts';
import { Lsn } from '../core/lsn.ts';
import { Term } from '../core/term.ts';
import { BLOCK_HEADER_BYTES, BLOCK_VERSION, BlockCodec, blockBytes } from './block-codec.ts';

const codec = new BlockCodec(LINEAGE);
const PREVIOUS = Buffer.alloc(32, 0xaa);

/**
 * The bytes of version 1. A journal that was written with it must be readable for ever: whoever changes the format raises
 * the version, adds a line to its history in block-codec.ts, and pins the new bytes beside these, which stay.
 */
test('the bytes of a block, version 1', () => {
  const bytes = codec.encode(
    {
      ...{ term: Term.of(3), first: Lsn.of(0x0102), last: Lsn.of(0x0105), continued: true },
      ...{ databaseChecksum: 0xfedcba9876543210n, sealedAtMs: 0x1a2b3c4d5e6, payload: Buffer.from('payload 9') },
    },
    PREVIOUS,
  );
  assert.equal(BLOCK_VERSION, 1);
  assert.equal(
    bytes.toString('hex').replaceAll(/.{32}/g, '$&\n').trim(),
    [
      '4dda63cd261fb337b5dfbc00eafb02d5',
      '8ba71b5657a136aa3349f5c7c7dbbac0',
      '535045494c424c4b0100010009000000',
      '0f1e2d3c4b5a69788796a5b4c3d2e1f0',
      '03000000000000000201000000000000',
      '0501000000000000aaaaaaaaaaaaaaaa',
      'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
      'aaaaaaaaaaaaaaaa1032547698badcfe',
      'e6d5c4b3a20100007061796c6f616420',
      '3900000000000000',
    ].join('\n'),
  );
});

const lsn = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => Lsn.of(value));

const drafts = fc.record({
  term: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => Term.of(value)),
  first: lsn,
  last: lsn,
  continued: fc.boolean(),
  databaseChecksum: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  sealedAtMs: fc.maxSafeNat(),
  payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});

test('every block comes back as it was', () => {
  fc.assert(
    fc.property(drafts, fc.uint8Array({ minLength: 32, maxLength: 32 }), (given, previousHash) => {
      const bytes = codec.encode(given, previousHash);
      assert.equal(bytes.length, blockBytes(given.payload.length));
      assert.equal(bytes.length % 8, 0);
      const block = codec.decode(bytes);
      assert.ok(typeof block !== 'string', String(block));
      const { hash, previousHash: before, lineage, payload, ...rest } = block;
      assert.deepEqual({ ...rest, payload: Buffer.from(payload) }, { ...given });
      assert.equal(lineage, LINEAGE);
      assert.deepEqual(Buffer.from(before), Buffer.from(previousHash));
      assert.deepEqual(Buffer.from(hash), bytes.subarray(0, 32));
    }),
  );
});

test('no bit can be another one', () => {
  const bytes = codec.encode(draft(7, 9), PREVIOUS);
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.equal(typeof codec.decode(flipped), 'string', `bit ${bit}`);
  }
});

test('what is no block is said', () => {
  const bytes = codec.encode(draft(1), PREVIOUS);
  assert.equal(codec.decode(bytes.subarray(0, BLOCK_HEADER_BYTES - 8)), 'there is no block');
  assert.equal(codec.decode(bytes.subarray(0, -8)), 'the length of the block is wrong');
  const other = new BlockCodec(Lineage.of('ffffffff-4b5a-6978-8796-a5b4c3d2e1f0'));
  assert.equal(other.decode(bytes), 'the block is of another lineage');
});
