import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Fifo } from './fifo.ts';

type Operation =
  | readonly ['push' | 'remove', number]
  | readonly ['shift' | 'drain']
  | readonly ['front', readonly number[]];

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.tuple(fc.constantFrom('push' as const, 'remove' as const), fc.nat(20)),
  fc.tuple(fc.constantFrom('shift' as const)),
  fc.tuple(fc.constant('front' as const), fc.array(fc.nat(20), { maxLength: 3 })),
);

test('property: it behaves as an array does', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const fifo = new Fifo<number>();
      const model: number[] = [];
      for (const [name, value] of operations) {
        if (name === 'push') {
          fifo.push(value);
          model.push(value);
        } else if (name === 'shift') assert.equal(fifo.shift(), model.shift());
        else if (name === 'front') {
          fifo.pushFront(value);
          model.unshift(...value);
        } else if (name === 'remove') {
          const at = model.indexOf(value);
          assert.equal(
            fifo.remove((item) => item === value),
            at >= 0,
          );
          if (at >= 0) model.splice(at, 1);
        }
        assert.equal(fifo.length, model.length);
        assert.equal(fifo.peek(), model[0]);
      }
      assert.deepEqual(fifo.drain(), model);
      assert.equal(fifo.length, 0);
    }),
    { numRuns: 500 },
  );
});

test('it grows, and goes round', () => {
  const fifo = new Fifo<number>();
  for (let index = 0; index < 5_000; index++) fifo.push(index);
  for (let index = 0; index < 4_999; index++) assert.equal(fifo.shift(), index);
  assert.deepEqual([fifo.length, fifo.peek()], [1, 4_999]);
});
