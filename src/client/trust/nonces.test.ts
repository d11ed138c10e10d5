import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { createNonceMemory } from './nonces.ts';

test('a nonce is fresh once, until its token has ended', () => {
  const clock = new ManualClock();
  const nonces = createNonceMemory(clock);
  const until = clock.now() + 1000;
  assert.equal(nonces.use('A', until), 'fresh');
  assert.equal(nonces.use('A', until), 'used');
  clock.advance(999);
  assert.equal(nonces.use('A', until), 'used');
  clock.advance(1);
  assert.equal(nonces.use('A', until + 1000), 'fresh');
});

test('when the memory is full nothing is forgotten: further nonces are refused until there is room', () => {
  const clock = new ManualClock();
  const nonces = createNonceMemory(clock, 2);
  const until = clock.now() + 1000;
  assert.deepEqual(
    ['A', 'B', 'C', 'A', 'B'].map((nonce) => nonces.use(nonce, until)),
    ['fresh', 'fresh', 'full', 'used', 'used'],
  );
  clock.advance(1000);
  assert.equal(nonces.use('C', until + 1000), 'fresh');
});

test('a nonce whose token ends late does not keep later ones from being forgotten for longer than its own time', () => {
  const clock = new ManualClock();
  const nonces = createNonceMemory(clock, 2);
  nonces.use('late', clock.now() + 1000);
  nonces.use('early', clock.now() + 10);
  clock.advance(500);
  assert.equal(nonces.use('C', clock.now() + 10), 'full');
  clock.advance(500);
  assert.equal(nonces.use('C', clock.now() + 10), 'fresh');
});
