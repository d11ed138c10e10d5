import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PageMap } from './page-map.ts';

test('it is a map', () => {
  const page = fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 0xfffffffe }));
  const entries = fc.array(fc.tuple(page, fc.integer({ min: 1, max: 0xffffffff })), { maxLength: 5000, size: 'max' });
  fc.assert(
    fc.property(entries, (entries) => {
      const [map, model] = [new PageMap(), new Map<number, number>()];
      for (const [page, frame] of entries) {
        assert.equal(map.set(page, frame), !model.has(page));
        model.set(page, frame);
      }
      assert.equal(map.size, model.size);
      for (const [page, frame] of model) assert.equal(map.get(page), frame);
      assert.deepEqual(
        [...map.pages()],
        [...model.keys()].sort((a, b) => a - b),
      );
      const visited = new Map<number, number>();
      map.forEach((page, frame) => {
        visited.set(page, frame);
      });
      assert.deepEqual(new Map([...visited].sort()), new Map([...model].sort()));
    }),
    { numRuns: 30 },
  );
});

test('what is not there is frame 0, and nothing is there when it was cleared', () => {
  const map = new PageMap();
  for (let page = 1; page <= 100_000; page++) map.set(page, 2 * page);
  assert.equal(map.get(100_001), 0);
  assert.equal(map.get(77_777), 155_554);
  map.clear();
  assert.equal(map.size, 0);
  assert.equal(map.get(77_777), 0);
  map.set(5, 6);
  map.clear();
  assert.equal(map.get(5), 0);
  assert.deepEqual([...map.pages()], []);
});
