import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SpeilError } from '../../core/error.ts';
import { decodeFrame, encodeFrame, FRAME_KINDS, type FrameKind } from './frames.ts';

const kinds = Object.keys(FRAME_KINDS) as FrameKind[];

test('what was encoded is read back', () => {
  const frames = fc.record({
    kind: fc.constantFrom(...kinds),
    id: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    json: fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.constant(null))),
    payload: fc.uint8Array({ maxLength: 500 }),
  });
  fc.assert(
    fc.property(frames, (frame) => {
      const { payload, ...rest } = decodeFrame(encodeFrame(frame));
      assert.deepEqual(Buffer.from(payload), Buffer.from(frame.payload));
      assert.deepEqual({ ...rest, json: { ...(rest.json as object) } }, { ...rest, json: { ...frame.json } });
      assert.equal(rest.id, frame.id);
    }),
  );
});

test('a frame without JSON has none', () => {
  const { json, payload } = decodeFrame(encodeFrame({ kind: 'cancel', id: 7 }));
  assert.equal(json, undefined);
  assert.equal(payload.length, 0);
});

test('bytes that are no frame are a broken contract and nothing worse', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        decodeFrame(bytes);
      } catch (error) {
        assert.ok(error instanceof SpeilError, String(error));
        assert.equal(error.code, 'CONTRACT_BROKEN');
      }
    }),
    { numRuns: 2_000 },
  );
});

test('each field of the header is checked', () => {
  const good = encodeFrame({ kind: 'call', id: 1, json: { a: 1 } });
  const spoiled = (at: number, value: number) => Buffer.from(good).fill(value, at, at + 1);
  assert.throws(() => decodeFrame(spoiled(0, 2)), /version 2/);
  assert.throws(() => decodeFrame(spoiled(1, 99)), /unknown kind 99/);
  assert.throws(() => decodeFrame(spoiled(2, 255)), /id of a call is too large/);
  assert.throws(() => decodeFrame(spoiled(10, 255)), /cut short/);
  assert.throws(() => decodeFrame(spoiled(12, 0)), /no JSON/);
  assert.throws(() => decodeFrame(good.subarray(0, 11)), /11 bytes/);
  assert.throws(() => decodeFrame(good.subarray(0, -1)), /cut short/);
});

test('JSON that is larger than a frame may hold is not sent', () => {
  assert.throws(() => encodeFrame({ kind: 'call', json: 'x'.repeat(20_000) }), RangeError);
});
