import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { startReceiver, type WebhookReceiver } from '../../test/support/webhook-receiver.ts';
import { MESSAGES_MAX, Webhook, type WebhookTarget } from './webhook.ts';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

const MINUTE_MS = 60_000;
const ANSWER_WAIT_MS = 10_000;

type Lost = { readonly id: string; readonly why: string };

function open(target: () => Promise<WebhookTarget>) {
  const clock = new ManualClock();
  const naps: number[] = [];
  const lost: Lost[] = [];
  const webhook = new Webhook({
    clock: {
      now: () => clock.now(),
      monotonicMs: () => clock.monotonicMs(),
      sleep: (durationMs, signal) => {
        naps.push(durationMs);
        return clock.sleep(durationMs, signal);
      },
    },
    random: { unit: () => 0.5 },
    target,
    onLost: ({ id }, why) => void lost.push({ id, why }),
  });
  /** Those before another attempt. */
  const waits = () => naps.filter((napMs) => napMs !== ANSWER_WAIT_MS);
  return { webhook, clock, lost, waits };
}

const openFor = ({ url }: WebhookReceiver) => open(async () => ({ url, secret: SECRET }));

const until = (t: TestContext, check: () => void) => t.waitFor(check, { interval: 5, timeout: 8_000 });

test('a message is posted and signed', async (t) => {
  await using receiver = await startReceiver();
  const { webhook, clock } = openFor(receiver);
  await using _ = webhook;
  webhook.post({ id: 'msg_1', body: '{"a":"ø"}' });
  await until(t, () => assert.equal(receiver.posts.length, 1));
  const [post] = receiver.posts;
  assert.deepEqual([post?.path, post?.body], ['/hook', '{"a":"ø"}']);
  const { headers } = post ?? assert.fail();
  const timestamp = String(clock.now() / 1000);
  assert.deepEqual(
    [headers['content-type'], headers['webhook-id'], headers['webhook-timestamp']],
    ['application/json', 'msg_1', timestamp],
  );
  const expected = createHmac('sha256', Buffer.alloc(32, 7)).update(`msg_1.${timestamp}.{"a":"ø"}`).digest('base64');
  assert.equal(headers['webhook-signature'], `v1,${expected}`);
});

test('messages come in their order, one that fails again and again before the next', async (t) => {
  await using receiver = await startReceiver(500, 429, 'hang');
  const { webhook, clock, lost, waits } = openFor(receiver);
  await using _ = webhook;
  for (const id of ['one', 'two', 'three']) webhook.post({ id, body: '{}' });
  const ids = () => receiver.posts.map(({ headers }) => headers['webhook-id']);
  await until(t, () => assert.deepEqual(waits(), [5_000]));
  clock.advance(4_999);
  assert.equal(clock.sleepers, 1);
  clock.advance(1);
  await until(t, () => assert.deepEqual(waits(), [5_000, 15_000]));
  clock.advance(15_000);
  await until(t, () => assert.deepEqual(ids(), ['one', 'one', 'one']));
  clock.advance(ANSWER_WAIT_MS);
  await until(t, () => assert.deepEqual(waits(), [5_000, 15_000, 45_000]));
  clock.advance(45_000);
  await until(t, () => assert.deepEqual(ids(), ['one', 'one', 'one', 'one', 'two', 'three']));
  assert.deepEqual(lost, []);
});

test('a receiver that stays away costs the message, after a bounded number of attempts', async (t) => {
  await using receiver = await startReceiver(...Array.from({ length: 8 }, () => 503));
  const { webhook, clock, lost, waits } = openFor(receiver);
  await using _ = webhook;
  webhook.post({ id: 'one', body: '{}' });
  webhook.post({ id: 'two', body: '{}' });
  for (let attempt = 1; attempt <= 7; attempt++) {
    await until(t, () => assert.equal(waits().length, attempt));
    clock.advance(5 * MINUTE_MS);
  }
  await until(t, () => assert.equal(receiver.posts.length, 9));
  assert.deepEqual(lost, [{ id: 'one', why: 'it answered 503' }]);
  assert.equal(receiver.posts[8]?.headers['webhook-id'], 'two');
});

test('redirects are not followed, and what is refused is not repeated', async (t) => {
  await using receiver = await startReceiver(307, 302, 404, 401);
  const { webhook, lost } = openFor(receiver);
  await using _ = webhook;
  for (const id of ['a', 'b', 'c', 'd', 'e']) webhook.post({ id, body: '{}' });
  await until(t, () => assert.equal(receiver.posts.length, 5));
  assert.deepEqual(
    lost.map(({ id, why }) => `${id}: ${why}`),
    [
      'a: it answered 307, and redirects are not followed',
      'b: it answered 302, and redirects are not followed',
      'c: it answered 404',
      'd: it answered 401',
    ],
  );
  assert.deepEqual(new Set(receiver.posts.map(({ path }) => path)), new Set(['/hook']));
});

test('a receiver that cannot be reached is tried again where it then is', async (t) => {
  await using receiver = await startReceiver();
  let url = 'http://127.0.0.1:1/hemmelig';
  const { webhook, clock, lost, waits } = open(async () => ({ url, secret: SECRET }));
  await using _ = webhook;
  webhook.post({ id: 'one', body: '{}' });
  await until(t, () => assert.equal(waits().length, 1));
  url = receiver.url;
  clock.advance(5_000);
  await until(t, () => assert.equal(receiver.posts.length, 1));
  assert.deepEqual(lost, []);
});

test('without a webhook, or a store that answers, nothing is posted', async (t) => {
  await using receiver = await startReceiver();
  let asked = 0;
  const { webhook, clock, lost, waits } = open(async () => {
    asked += 1;
    if (asked === 1) throw new Error('the database is away');
    return null;
  });
  await using _ = webhook;
  webhook.post({ id: 'one', body: '{}' });
  await until(t, () => assert.equal(waits().length, 1));
  clock.advance(5_000);
  await until(t, () => assert.equal(asked, 2));
  assert.deepEqual([receiver.posts.length, lost.length], [0, 0]);
});

test('so many messages wait and no more, and ending waits for none', async (t) => {
  await using receiver = await startReceiver('hang');
  const { webhook, lost } = openFor(receiver);
  for (let index = 0; index <= MESSAGES_MAX; index++) webhook.post({ id: `msg_${index}`, body: '{}' });
  assert.deepEqual(
    lost.map(({ id }) => id),
    [`msg_${MESSAGES_MAX}`],
  );
  await until(t, () => assert.equal(receiver.posts.length, 1));
  await webhook[Symbol.asyncDispose]();
  webhook.post({ id: 'late', body: '{}' });
  assert.equal(receiver.posts.length, 1);
  assert.equal(lost.length, 1);
});
