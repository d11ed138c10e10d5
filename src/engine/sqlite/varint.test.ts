import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { putVarint, VARINT_BYTES_MAX, VarintReader } from './varint.ts';

const encoded = (value: number): number[] => {
  const bytes = new Uint8Array(VARINT_BYTES_MAX);
  return [...bytes.subarray(0, putVarint(bytes, 0, value))];
};

const decoded = (bytes: readonly number[]): number => new VarintReader(Uint8Array.from(bytes)).next();

test('integers of 32 bits in as few bytes as they need', () => {
  assert.deepEqual(encoded(0), [0]);
  assert.deepEqual(encoded(127), [127]);
  assert.deepEqual(encoded(128), [0x80, 1]);
  assert.deepEqual(encoded(300), [0xac, 2]);
  assert.deepEqual(encoded(0xffffffff), [0xff, 0xff, 0xff, 0xff, 0x0f]);
});

test('what was written is read', () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 0xffffffff }), (value) => decoded(encoded(value)) === value));
});

test('what nobody writes is refused', () => {
  for (const bytes of [[], [0x80], [0x80, 0x80, 0x80], [0x80, 0], [0xff, 0x80, 0], [0xff, 0xff, 0xff, 0xff, 0x10]])
    assert.equal(decoded(bytes), -1, bytes.join());
  assert.equal(decoded([0xff, 0xff, 0xff, 0xff, 0xff, 1]), -1);
});
