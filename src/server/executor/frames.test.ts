import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeFrame, encodeFrame, FrameCutter } from './frames.ts';

const value = fc.oneof(
  fc.constant(null),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.double(),
  fc.string(),
  fc.uint8Array({ maxLength: 40 }),
  fc.constantFrom(32_767, 32_768, 100_000).map((length) => new Uint8Array(length).fill(length % 251)),
);

const plain = (frame: unknown) =>
  (frame as unknown[]).map((one) => (one instanceof Uint8Array ? Uint8Array.from(one) : one));

test('property: frames come out as they went in, however they are cut on the way', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(value, { maxLength: 5 }), { minLength: 1, maxLength: 4 }),
      fc.array(fc.integer({ min: 1, max: 50_000 }), { minLength: 1, maxLength: 5 }),
      (frames, cuts) => {
        const bytes = Buffer.concat(frames.flatMap((frame) => encodeFrame(frame)));
        const cutter = new FrameCutter();
        const received: unknown[] = [];
        for (let [at, turn] = [0, 0]; at < bytes.length; turn++) {
          const length = cuts[turn % cuts.length] ?? 1;
          for (const frame of cutter.push(bytes.subarray(at, at + length))) received.push(plain(decodeFrame(frame)));
          at += length;
        }
        assert.deepEqual(received, frames);
      },
    ),
    { numRuns: 200 },
  );
});

test('a large blob is not copied on its way out', () => {
  const blob = new Uint8Array(1_000_000);
  assert.ok(encodeFrame([blob]).includes(blob));
});
