import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutEveryCall, halfOpen, randomFaults, replay } from './transport-faults.ts';

test('each call and each answer that is cut, anywhere and anyhow, is made up for', () => cutEveryCall('dialled'));

const seed = Number(process.env['SPEIL_SEED'] ?? Date.now() % 1_000_000);

test(`faults at random moments leave no difference (SPEIL_SEED=${seed})`, () => randomFaults('dialled', seed));

test('a line that goes dead without a word is noticed, and the call is repeated', () => halfOpen('dialled'));

test('a client that somebody recorded and plays again is refused, and nothing is touched', async () => {
  const answer = await replay('dialled', (text) => text.includes('nonce: '));
  assert.match(answer, /nonce: the proof was made for another connection/);
});
