import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ahead } from './ahead.ts';

/** Counts how far it was read and whether it was ended. */
function source(length: number, failAt = Number.POSITIVE_INFINITY) {
  const state = { read: 0, ended: false };
  async function* values() {
    try {
      for (let i = 0; i < length; i++) {
        if (i === failAt) throw new Error(`failed at ${i}`);
        state.read = i + 1;
        yield i;
      }
    } finally {
      state.ended = true;
    }
  }
  return { state, values: values() };
}

async function take<T>(values: AsyncIterable<T>, pause: () => Promise<void>): Promise<T[]> {
  const taken: T[] = [];
  for await (const value of values) {
    taken.push(value);
    await pause();
  }
  return taken;
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('all values come in order, however fast either side is', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(40), fc.integer({ min: 1, max: 5 }), fc.boolean(), async (length, countMax, slow) => {
      const { values } = source(length);
      const taken = await take(ahead(values, countMax), slow ? turn : async () => {});
      assert.deepEqual(
        taken,
        Array.from({ length }, (_, i) => i),
      );
    }),
  );
});

test('never more than the bound is ready beyond what was taken', async () => {
  const { state, values } = source(100);
  let taken = 0;
  for await (const _ of ahead(values, 2)) {
    taken++;
    await turn();
    assert.ok(state.read - taken <= 2, `${state.read} read, ${taken} taken`);
  }
  assert.equal(taken, 100);
});

test('an error comes after the values before it', async () => {
  const { values } = source(10, 3);
  const taken: number[] = [];
  await assert.rejects(async () => {
    for await (const value of ahead(values, 2)) taken.push(value);
  }, /failed at 3/);
  assert.deepEqual(taken, [0, 1, 2]);
});

test('a taker that stops early ends the source', async () => {
  const { state, values } = source(1000);
  for await (const value of ahead(values, 2)) if (value === 4) break;
  assert.equal(state.ended, true);
  assert.ok(state.read < 10, `${state.read} read`);
});
