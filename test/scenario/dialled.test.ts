import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { CALLS_OPEN_MAX, CALLS_WAITING_MAX, KEYS_CHECK_MS } from '../../src/client/dialled/limits.ts';
import { CALL_NAMES, type CallAnswer } from '../../src/client/exchange.ts';
import { systemClock } from '../../src/runtime/system-clock.ts';
import {
  aCall,
  DialledPair,
  echo,
  HeldHandler,
  hurried,
  never,
  newKey,
  TestCenter,
  TestDialler,
  type TestKey,
} from '../support/dialled.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { eventually } from '../support/workload.ts';

const lost = { code: 'CONNECTION_LOST', recovery: 'retry' };
const nobody = { code: 'CLIENT_NOT_CONNECTED', recovery: 'retry' };

function assertEcho(answer: CallAnswer, body: Uint8Array): void {
  assert.equal(answer.status, 200);
  assert.ok(Buffer.from(answer.body).equals(body), 'the answer is the body of the call');
}

const assertNeverLost = ({ center }: DialledPair): void =>
  assert.deepEqual(
    center.events.map(({ event }) => event),
    ['client-connected'],
  );

test('calls of every size go through the connection that the client dialled, and come as they were sent', async () => {
  await using pair = await DialledPair.start();
  for (const bytes of [0, 1, 262_143, 262_144, 262_145, 3_000_000]) {
    const body = randomBytes(bytes);
    assertEcho(await pair.exchange.send(aCall(body), never), body);
  }
});

test('name, token and encoding of a call reach the handler, and the status of the answer comes back', async () => {
  const held = new HeldHandler();
  await using pair = await DialledPair.start({
    handler: async (request) => {
      held.calls.push(request);
      return { status: 401, encoding: 'zstd', body: Buffer.from('no') };
    },
  });
  for (const call of CALL_NAMES) {
    const answer = await pair.exchange.send(
      aCall(Buffer.from(call), { call, token: `for ${call}`, encoding: 'zstd' }),
      never,
    );
    assert.deepEqual({ ...answer, body: String(answer.body) }, { status: 401, encoding: 'zstd', body: 'no' });
  }
  assert.deepEqual(
    held.calls.map(({ call, token, encoding, body }) => [call, token, encoding, String(body)]),
    CALL_NAMES.map((call) => [call, `for ${call}`, 'zstd', call]),
  );
});

test('a large call does not hold up the small ones of others', async () => {
  await using pair = await DialledPair.start();
  let isLargeAnswered = false;
  const large = pair.exchange.send(aCall(Buffer.alloc(30_000_000)), never).then(() => {
    isLargeAnswered = true;
  });
  await pair.exchange.send(aCall(Buffer.from('small')), never);
  assert.equal(isLargeAnswered, false);
  await large;
});

test('so many calls are under way at a time; the others wait for their turn, and too many are turned away', async () => {
  const held = new HeldHandler();
  await using pair = await DialledPair.start({ handler: held.handle });
  const send = () => pair.exchange.send(aCall(Buffer.from('x')), never);
  const calls = Array.from({ length: CALLS_OPEN_MAX + CALLS_WAITING_MAX }, send);
  const surplus = await send();
  assert.equal(surplus.status, 503);
  assert.match(String(surplus.body), /MIRROR_BUSY/);
  await held.came(CALLS_OPEN_MAX);
  const [client] = pair.center.clients.connected();
  assert.deepEqual([client?.callsOpen, client?.callsWaiting], [CALLS_OPEN_MAX, CALLS_WAITING_MAX]);
  held.letGo(10);
  await held.came(CALLS_OPEN_MAX + 10);
  const answers = Promise.all(calls);
  await eventually(() => {
    held.letGo();
    assert.equal(held.calls.length, calls.length);
  });
  held.letGo();
  assert.deepEqual(new Set((await answers).map(({ status }) => status)), new Set([200]));
});

test('a call that is larger than the client takes is answered without being sent', async () => {
  await using pair = await DialledPair.start({ callBytesMax: 1_000 });
  const answer = await pair.exchange.send(aCall(Buffer.alloc(1_001)), never);
  assert.equal(answer.status, 413);
  assert.match(String(answer.body), /CALL_TOO_LARGE/);
  assert.equal((await pair.exchange.send(aCall(Buffer.alloc(1_000)), never)).status, 200);
});

test('a call that nobody waits for any more ends at once, wherever it is, and makes room', async () => {
  const held = new HeldHandler();
  await using pair = await DialledPair.start({ handler: held.handle });
  const stop = new AbortController();
  const why = new Error('enough');
  const calls = Array.from({ length: CALLS_OPEN_MAX + 5 }, () =>
    pair.exchange.send(aCall(Buffer.from('x')), stop.signal),
  );
  await held.came(CALLS_OPEN_MAX);
  stop.abort(why);
  for (const call of calls) await assert.rejects(call, why);
  await assert.rejects(pair.exchange.send(aCall(Buffer.from('y')), stop.signal), why);
  held.letGo();
  const later = pair.exchange.send(aCall(Buffer.from('z')), never);
  await held.came(CALLS_OPEN_MAX + 1);
  held.letGo();
  assertEcho(await later, Buffer.from('z'));
  assertNeverLost(pair);
});

test('a call that is cancelled before it is sent, or while its body is on its way, is not begun', async () => {
  const held = new HeldHandler();
  await using pair = await DialledPair.start({ handler: held.handle });
  const stop = new AbortController();
  const large = pair.exchange.send(aCall(Buffer.alloc(40_000_000)), stop.signal);
  const behind = new AbortController();
  const unsent = pair.exchange.send(aCall(Buffer.from('unsent')), behind.signal);
  behind.abort(new Error('enough'));
  await assert.rejects(unsent, /enough/);
  const small = pair.exchange.send(aCall(Buffer.from('small')), never);
  await held.came(1);
  stop.abort(new Error('enough'));
  await assert.rejects(large, /enough/);
  const last = pair.exchange.send(aCall(Buffer.from('last')), never);
  await held.came(2);
  held.letGo();
  assertEcho(await small, Buffer.from('small'));
  assertEcho(await last, Buffer.from('last'));
  await eventually(() => assert.equal(pair.center.clients.connected()[0]?.callsOpen, 0));
  assertNeverLost(pair);
});

test('what a handler throws is an answer', async () => {
  await using pair = await DialledPair.start({
    handler: () => {
      throw new Error('a handler that breaks its promise');
    },
  });
  const answer = await pair.exchange.send(aCall(Buffer.from('x')), never);
  assert.equal(answer.status, 500);
  assert.match(String(answer.body), /INTERNAL/);
});

test('calls on a connection that is lost fail as such, and the next ones go over the new connection', async () => {
  const held = new HeldHandler();
  const key = newKey();
  await using center = await TestCenter.start({ publicKeysOf: async () => [key.publicPem] });
  await using proxy = await FaultProxy.start(center.port);
  await using dialler = new TestDialler({
    centerUrl: `http://127.0.0.1:${proxy.port}`,
    key: key.private,
    trusted: [center.key.public],
    handler: held.handle,
  });
  await center.connected(1);
  const exchange = center.clients.exchange('app', key.publicPem);
  const call = exchange.send(aCall(Buffer.from('x')), never);
  await held.came(1);
  proxy.resetAll();
  await assert.rejects(call, lost);
  await dialler.event('connected', 1);
  await center.connected(1);
  held.letGo();
  const again = exchange.send(aCall(Buffer.from('x')), never);
  await held.came(2);
  held.letGo();
  assert.equal((await again).status, 200);
});

test('both sides find out that the other is gone without a word', async () => {
  const clock = hurried(100);
  const key = newKey();
  const held = new HeldHandler();
  await using center = await TestCenter.start({ publicKeysOf: async () => [key.publicPem], clock });
  await using proxy = await FaultProxy.start(center.port);
  const centerUrl = `http://127.0.0.1:${proxy.port}`;
  const trusted = [center.key.public];
  await using dialler = new TestDialler({ centerUrl, key: key.private, trusted, clock, handler: held.handle });
  await center.connected(1);
  const call = center.clients.exchange('app', key.publicPem).send(aCall(Buffer.from('x')), never);
  await held.came(1);
  proxy.holdAll();
  await assert.rejects(call, lost);
  const { error } = await dialler.event('disconnected');
  assert.match(error.message, /no answer to 2 pings/);
  await dialler.event('connected', 1);
});

test('of two clients with one key the older is used, and the next takes over when it ends', async () => {
  const key = newKey();
  await using center = await TestCenter.start({ publicKeysOf: async () => [key.publicPem] });
  const dial = (name: string) =>
    new TestDialler({
      centerUrl: center.url,
      key: key.private,
      trusted: [center.key.public],
      handler: async (request) => ({ ...(await echo(request)), body: Buffer.from(name) }),
    });
  const exchange = center.clients.exchange('app', key.publicPem);
  const whoAnswers = async () => String((await exchange.send(aCall(Buffer.from('who?')), never)).body);
  await using first = dial('first');
  await center.connected(1);
  await using second = dial('second');
  await center.connected(2);
  await eventually(async () => assert.equal(await whoAnswers(), 'first'));
  assert.equal(center.clients.connected().length, 2);
  await first.stop();
  assert.equal(await whoAnswers(), 'second');
  await second.stop();
  await center.connected(0);
  assert.equal(center.clients.isConnected('app', key.publicPem), false);
  await assert.rejects(whoAnswers(), nobody);
});

test('a client that dials again takes the place of its own dead connection at once', async () => {
  const key = newKey();
  const held = new HeldHandler();
  await using center = await TestCenter.start({ publicKeysOf: async () => [key.publicPem] });
  await using proxy = await FaultProxy.start(center.port);
  await using dialler = new TestDialler({
    centerUrl: `http://127.0.0.1:${proxy.port}`,
    key: key.private,
    trusted: [center.key.public],
    handler: held.handle,
    clock: hurried(100),
  });
  await center.connected(1);
  const call = center.clients.exchange('app', key.publicPem).send(aCall(Buffer.from('x')), never);
  const rejected = assert.rejects(call, { ...lost, message: /connected again/ });
  await held.came(1);
  proxy.holdAll();
  await dialler.event('connected', 1);
  await rejected;
  await center.connected(1);
});

test('a client outlives its center, and serves the next one at the same address', async () => {
  const key = newKey();
  const publicKeysOf = async () => [key.publicPem];
  const before = await TestCenter.start({ publicKeysOf });
  const { port, key: center } = before;
  await using dialler = new TestDialler({ centerUrl: before.url, key: key.private, trusted: [center.public] });
  await before.connected(1);
  await before[Symbol.asyncDispose]();
  const { error } = await dialler.event('disconnected');
  assert.match(error.message, /the center ends/);
  await using after = await TestCenter.start({ publicKeysOf, center, port });
  await after.connected(1);
  const body = Buffer.from('again');
  assertEcho(await after.clients.exchange('app', key.publicPem).send(aCall(body), never), body);
});

test('a client that is told to end answers what it works on, and takes nothing new', async () => {
  const held = new HeldHandler();
  await using pair = await DialledPair.start({ handler: held.handle });
  const running = pair.exchange.send(aCall(randomBytes(2_000_000)), never);
  await held.came(1);
  const stopped = pair.dialler.stop();
  await eventually(() => assert.equal(pair.center.clients.isConnected('app', pair.key.publicPem), false));
  await assert.rejects(pair.exchange.send(aCall(Buffer.from('x')), never), nobody);
  held.letGo();
  assert.equal((await running).status, 200);
  await stopped;
  assert.equal(held.calls.length, 1);
});

test('a client that nobody answers goes on trying, and says each time what hinders it', async () => {
  const key = newKey();
  const center = await TestCenter.start();
  const { url } = center;
  await center[Symbol.asyncDispose]();
  await using dialler = new TestDialler({
    centerUrl: url,
    key: key.private,
    trusted: [center.key.public],
    clock: hurried(1_000),
  });
  await dialler.event('connecting', 8);
  const waits = dialler.events.flatMap((event) => (event.event === 'disconnected' ? [event.retryInMs] : []));
  for (const [nth, wait] of waits.slice(0, 7).entries()) {
    const longest = Math.min(500 * 2 ** nth, 30_000);
    assert.ok(longest / 2 <= wait && wait <= longest, `wait ${nth} is ${wait} ms`);
  }
  const { error } = await dialler.event('disconnected');
  assert.equal(error.code, 'UNREACHABLE');
  assert.match(error.message, /nobody listens there/);
});

test('a client whose key was removed at the center is sent away and told why; for no other reason is anybody', async () => {
  const [kept, removed] = [newKey(), newKey()];
  let looks = 0;
  let keys: (() => string[]) | null = () => [kept.publicPem, removed.publicPem];
  await using center = await TestCenter.start({
    publicKeysOf: async () => {
      looks++;
      if (keys === null) throw new Error('the database is away');
      return keys();
    },
    clock: {
      ...systemClock,
      sleep: (ms, signal) => systemClock.sleep(ms === KEYS_CHECK_MS ? 10 : ms, signal),
    },
  });
  const checked = async () => {
    const before = looks;
    await eventually(() => assert.ok(looks > before + 2));
  };
  const dial = ({ private: key }: TestKey) =>
    new TestDialler({ centerUrl: center.url, key, trusted: [center.key.public] });
  await using staying = dial(kept);
  await using leaving = dial(removed);
  await center.connected(2);
  await checked();
  keys = null;
  await checked();
  assert.equal(center.clients.connected().length, 2);
  keys = () => [kept.publicPem];
  const { error } = await leaving.event('refused');
  assert.match(`${error.message} ${error.hint}`, /no mirror of app has this client's key any more.*mirror add/);
  await center.connected(1);
  assert.equal(center.clients.isConnected('app', removed.publicPem), false);
  assert.equal(staying.events.length, 2);
});
