import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WAITS_MAX, WAITS_OF_TOKEN_MAX, Waits } from './waits.ts';

const begun = (waits: Waits, id: string, count: number): readonly Disposable[] =>
  Array.from({ length: count }, () => waits.begin({ id }));

test('a token has so many requests wait and no more, and a place again when one ends', () => {
  const waits = new Waits();
  const [first] = begun(waits, 'a', WAITS_OF_TOKEN_MAX);
  assert.throws(() => waits.begin({ id: 'a' }), { code: 'UNREACHABLE', recovery: 'retry' });
  waits.begin({ id: 'b' });
  first?.[Symbol.dispose]();
  waits.begin({ id: 'a' });
  assert.throws(() => waits.begin({ id: 'a' }), { code: 'UNREACHABLE' });
});

test('all tokens together have no more requests wait than the database bears', () => {
  const waits = new Waits();
  const held = Array.from({ length: WAITS_MAX }, (_, index) => waits.begin({ id: `token ${index}` }));
  assert.throws(() => waits.begin({ id: 'another' }), { code: 'UNREACHABLE' });
  held[0]?.[Symbol.dispose]();
  waits.begin({ id: 'another' });
});
