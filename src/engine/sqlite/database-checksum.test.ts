import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { noise } from '../../../test/support/engine/random-sql.ts';
import { DatabaseChecksum } from './database-checksum.ts';
import { allocatePageBuffer, type PageBuffer } from './page-buffer.ts';

const WORDS = 128;
const BYTES = 4 * WORDS;

/** Pages of 512 bytes, numbered from `first` on. */
function sum(bytes: Uint8Array, first = 1): bigint {
  const checksum = new DatabaseChecksum();
  const buffer = bufferOf(bytes);
  for (let at = 0; at < bytes.length; at += BYTES) checksum.add(first + at / BYTES, buffer, at, 0, WORDS);
  return checksum.value;
}

function bufferOf(bytes: Uint8Array): PageBuffer {
  const buffer = allocatePageBuffer(bytes.length);
  buffer.bytes.set(bytes);
  return buffer;
}

test('golden values', () => {
  const counted = Buffer.from(Array.from({ length: BYTES }, (_, n) => n & 255));
  assert.equal(sum(counted, 1).toString(16), '79e353aafb2a54f1');
  assert.equal(sum(counted, 2).toString(16), '43c4aac1e12dc43d');
  assert.equal(sum(counted, 0xffffffff).toString(16), '457c72b68a28b003');
  assert.equal(sum(Buffer.concat([counted, noise(BYTES, 3)]), 1000).toString(16), '64ca5c72d07f50fc');
});

test('zeros count nothing', () => {
  assert.equal(sum(Buffer.alloc(3 * BYTES)), 0n);
  assert.equal(sum(Buffer.concat([noise(BYTES, 1), Buffer.alloc(BYTES)])), sum(noise(BYTES, 1)));
});

test('a value goes through 64 bits and back', () => {
  for (const value of [0n, 1n, 0xffffffffn, 0x80000000n, 0xffffffff00000000n, 0x8000000080000000n, 2n ** 64n - 1n])
    assert.equal(new DatabaseChecksum(value).value, value);
});

test('what a copy in rollback-journal mode has otherwise does not count, on page 1 alone', () => {
  const page = noise(BYTES, 5);
  for (let at = 0; at < 110; at++) {
    const changed = Buffer.from(page);
    changed[at] = (changed[at] ?? 0) ^ 0x41;
    const masked = [18, 19].includes(at) || (at >= 24 && at < 28) || (at >= 92 && at < 100);
    assert.equal(sum(changed, 1) === sum(page, 1), masked, `byte ${at} of page 1`);
    assert.notEqual(sum(changed, 2), sum(page, 2), `byte ${at} of page 2`);
  }
});

test('changes, in any pieces, make the same sum as the whole', () => {
  const change = fc.record({
    page: fc.nat(3),
    from: fc.nat(WORDS - 1),
    length: fc.integer({ min: 1, max: WORDS }),
    seed: fc.nat(),
  });
  fc.assert(
    fc.property(fc.nat(), fc.array(change, { maxLength: 20 }), (seed, changes) => {
      const bytes = bufferOf(noise(4 * BYTES, seed));
      const checksum = new DatabaseChecksum(sum(bytes.bytes));
      for (const { page, from, length, seed } of changes) {
        const to = Math.min(WORDS, from + length);
        checksum.subtract(page + 1, bytes, page * BYTES, from, to);
        bytes.bytes.set(noise(4 * (to - from), seed), page * BYTES + 4 * from);
        checksum.add(page + 1, bytes, page * BYTES, from, to);
      }
      assert.equal(checksum.value, sum(bytes.bytes));
    }),
  );
});

/** How often either lane of 32 bits stays as it was, in `count` tries; by chance that is once in 2^32. */
function unseen(count: number, damage: (page: Buffer, n: number) => void): number {
  let unseen = 0;
  for (let n = 0; n < count; n++) {
    const page = noise(BYTES, n);
    const before = sum(page, 2);
    damage(page, n);
    const difference = before ^ sum(page, 2);
    if ((difference & 0xffffffffn) === 0n || difference >> 32n === 0n) unseen++;
  }
  return unseen;
}

test('paired flips of the same bit are seen by both lanes', () => {
  const flip = (page: Buffer, n: number): void => {
    const [one, other] = [n % 512, (n * 7 + 4 + 4 * (n % 100)) % 512];
    page[one] = (page[one] ?? 0) ^ (1 << (n & 7));
    page[one === other ? (one + 4) % 512 : other] =
      (page[one === other ? (one + 4) % 512 : other] ?? 0) ^ (1 << (n & 7));
  };
  assert.equal(unseen(20_000, flip), 0);
});

test('flips of the highest bit of two words are seen by both lanes', () => {
  const flip = (page: Buffer, n: number): void => {
    const [one, other] = [n % WORDS, (n + 1 + (n % (WORDS - 1))) % WORDS];
    for (const word of [one, other]) page[4 * word + 3] = (page[4 * word + 3] ?? 0) ^ 0x80;
  };
  assert.equal(unseen(20_000, flip), 0);
});

test('swapped words are seen by both lanes', () => {
  const swap = (page: Buffer, n: number): void => {
    const [one, other] = [n % WORDS, (n + 1 + (n % (WORDS - 1))) % WORDS];
    const word = page.readUInt32LE(4 * one);
    page.writeUInt32LE(page.readUInt32LE(4 * other), 4 * one);
    page.writeUInt32LE(word, 4 * other);
  };
  assert.equal(unseen(20_000, swap), 0);
});

test('swapped pages and repeated pages are seen', () => {
  const [a, b] = [noise(BYTES, 1), noise(BYTES, 2)];
  const all = [a, b, Buffer.alloc(BYTES)];
  const sums = new Set<bigint>();
  for (const first of all)
    for (const second of all) for (const third of all) sums.add(sum(Buffer.concat([first, second, third]), 7));
  assert.equal(sums.size, 27);
});

test('pages of one repeated word are told apart wherever they are', () => {
  const sums = new Set<bigint>();
  for (let page = 2; page < 3000; page++) sums.add(sum(Buffer.alloc(BYTES, 1), page));
  assert.equal(sums.size, 2998);
});
