import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutEveryCall, halfOpen, randomFaults, replay } from './transport-faults.ts';

test('each call and each answer that is cut, anywhere and anyhow, is made up for', () => cutEveryCall('http'));

const seed = Number(process.env['SPEIL_SEED'] ?? Date.now() % 1_000_000);

test(`faults at random moments leave no difference (SPEIL_SEED=${seed})`, () => randomFaults('http', seed));

test('a line that goes dead without a word is noticed, and the call is repeated', () => halfOpen('http'));

test('calls that somebody recorded and sends again are refused, and nothing is touched', async () => {
  const answer = await replay('http', (text) => (text.match(/"recovery":/g) ?? []).length >= 5);
  const statuses = answer.match(/HTTP\/1\.1 \d+/g) ?? [];
  assert.deepEqual(new Set(statuses), new Set(['HTTP/1.1 401']));
  assert.match(answer, /nonce: this token was used before/);
});
