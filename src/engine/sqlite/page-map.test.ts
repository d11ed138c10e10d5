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
        map.set(page, frame);
        model.set(page, frame);
      }
      assert.equal(map.size, model.size);
      for (const [page, frame] of model) assert.equal(map.get(page), frame);
      assert.deepEqual(
        [...map.pages()],
        [...model.keys()].sort((a, b) => a - b),
      );
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

test('a map takes over another, whichever is larger, and the other one wins', () => {
  for (const [mine, theirs] of [
    [10, 1000],
    [1000, 10],
    [0, 5],
    [5, 0],
  ] as const) {
    const [map, other] = [new PageMap(), new PageMap()];
    for (let page = 1; page <= mine; page++) map.set(page, 7);
    for (let page = 6; page < 6 + theirs; page++) other.set(page, 9);
    map.absorb(other);
    assert.equal(other.size, 0);
    other.set(3, 1);
    assert.equal(map.size, new Set([...Array(mine).keys(), ...Array.from({ length: theirs }, (_, n) => n + 5)]).size);
    for (let page = 1; page <= 1010; page++)
      assert.equal(map.get(page), page >= 6 && page < 6 + theirs ? 9 : page <= mine ? 7 : 0, `page ${page}`);
  }
});

test('a million entries are taken over in little time', () => {
  const [map, other] = [new PageMap(), new PageMap()];
  for (let page = 1; page <= 1_000_000; page++) other.set(page, page);
  for (let page = 500_000; page <= 1_600_000; page++) map.set(page, page);
  map.absorb(other);
  assert.equal(map.size, 1_600_000);
});
