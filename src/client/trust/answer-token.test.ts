import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { newKeys } from '../../../test/support/pushed-mirror.ts';
import { signAnswerToken, verifyAnswerToken } from './answer-token.ts';

const START_MS = Date.UTC(2026, 0, 1, 12);
const MINUTE_MS = 60_000;
const application = newKeys();
const answer = { nonce: 'A1'.repeat(16), tenant: 'acme', application: 'my-app', body: Buffer.from('an answer') };

const proved = (more: Partial<typeof answer> = {}, keys = application, atMs = START_MS): Promise<string> =>
  signAnswerToken(keys.secret, { ...answer, ...more }, new ManualClock(atMs));

const verified = (token: string, nowMs = START_MS, key = application.open): Promise<void> =>
  verifyAnswerToken(key, token, answer, new ManualClock(nowMs));

const refused = (about: string) => (error: Error & { code?: string }) => {
  assert.equal(error.code, 'TRUST_REFUSED', String(error));
  assert.equal(error.message.split(':')[0], about, error.message);
  return true;
};

test('the application proves its answer, with a key of either kind', async () => {
  await verified(await proved());
  const rsa = newKeys('rsa');
  await verified(await proved({}, rsa), START_MS, rsa.open);
});

test('the clocks may differ by less than 15 minutes, both ways', async () => {
  for (const minutes of [-14, 14]) await verified(await proved({}, application, START_MS + minutes * MINUTE_MS));
  for (const minutes of [-15, 15]) {
    const token = await proved({}, application, START_MS + minutes * MINUTE_MS);
    await assert.rejects(verified(token), refused('time'));
  }
  const late = await proved({}, application, START_MS - 15 * MINUTE_MS);
  await assert.rejects(verified(late), /12:00:00\.000Z.*11:45:00\.000Z/);
});

test('an answer to another call, an old one among them, is refused', async () => {
  await assert.rejects(verified(await proved({ nonce: 'B2'.repeat(16) })), refused('nonce'));
});

test('an answer for another tenant or application is refused', async () => {
  await assert.rejects(verified(await proved({ tenant: 'other' })), refused('audience'));
  await assert.rejects(verified(await proved({ application: 'other' })), refused('audience'));
});

test('an answer that was changed on the way is refused', async () => {
  await assert.rejects(verified(await proved({ body: Buffer.from('another') })), refused('body'));
});

test('another key is refused, and a key of another kind', async () => {
  await assert.rejects(verified(await proved({}, newKeys())), refused('signature'));
  await assert.rejects(verified(await proved({}, newKeys('rsa'))), refused('signature'));
});

test('what is no proof is refused', async () => {
  for (const token of ['', 'a.b', 'a.b.c', 'a.b.c.d', '!'.repeat(5000)]) {
    await assert.rejects(verified(token), refused('signature'), token.slice(0, 9));
  }
});
