import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { NONCE_HEADER, SUBPROTOCOL } from '../../src/client/dialled/address.ts';
import { Channel } from '../../src/client/dialled/channel.ts';
import { encodeFrame } from '../../src/client/dialled/frames.ts';
import {
  newNonce,
  readSigned,
  type Signed,
  signHello,
  signProof,
  signWelcome,
  verifyHello,
} from '../../src/client/dialled/handshake.ts';
import { CONNECTIONS_PER_KEY_MAX, FRAME_BYTES_MAX, UNPROVED_MAX } from '../../src/client/dialled/limits.ts';
import { keyId } from '../../src/client/trust/keys.ts';
import { systemClock } from '../../src/runtime/system-clock.ts';
import {
  aCall,
  echo,
  HeldHandler,
  hurried,
  never,
  newKey,
  offBy,
  TestCenter,
  TestDialler,
  type TestKey,
} from '../support/dialled.ts';
import { eventually, SeededRandom } from '../support/workload.ts';

const application = newKey();
const stranger = newKey();
const publicKeysOf = async (name: string) => (name === 'app' ? [application.publicPem] : []);
const within = () => AbortSignal.timeout(5_000);

/** A client that does what the test says. */
async function rawClient(center: TestCenter, headers: Record<string, string> = { [NONCE_HEADER]: newNonce() }) {
  const socket = new WebSocket(`ws://127.0.0.1:${center.port}/v1/clients`, [SUBPROTOCOL], { headers });
  socket.on('error', () => undefined);
  const channel = new Channel(socket, systemClock, { fair: false });
  await Promise.race([once(socket, 'open'), channel.closed]);
  return { socket, channel, clientNonce: headers[NONCE_HEADER] ?? '' };
}

type RawClient = Awaited<ReturnType<typeof rawClient>>;

/** Reads the center's hello and answers a proof as the test wants it. */
async function prove(
  { channel, clientNonce }: RawClient,
  center: TestCenter,
  how: { readonly key?: TestKey; readonly name?: string; readonly nonce?: string; readonly callBytesMax?: number } = {},
): Promise<Signed> {
  const hello = readSigned((await channel.next('hello', within())).json);
  const { nonce } = await verifyHello(hello, { trusted: [center.key.public], clientNonce }, systemClock);
  const { key = application, name = 'app', callBytesMax = 1_000_000 } = how;
  const claims = { application: name, nonce: how.nonce ?? nonce, clientNonce, version: 'raw', callBytesMax };
  const proof = await signProof(key.private, { ...claims, instance: newNonce() }, systemClock);
  channel.sendFirst(encodeFrame({ kind: 'proof', json: proof }));
  return proof;
}

/** A client that was let in and can now misbehave. */
async function provedClient(center: TestCenter): Promise<RawClient> {
  const client = await rawClient(center);
  await prove(client, center);
  await client.channel.next('welcome', within());
  return client;
}

/** A center that does what the test says once a client has connected. */
async function rawCenter(receive: (channel: Channel, clientNonce: string) => Promise<void>) {
  const server = createServer();
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, request) => {
    const channel = new Channel(socket, systemClock, { fair: true });
    receive(channel, String(request.headers[NONCE_HEADER])).catch(() => channel.cut('over'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets.clients) socket.terminate();
      server.close();
    },
  };
}

async function welcome(channel: Channel, clientNonce: string, key: TestKey): Promise<void> {
  const nonces = { nonce: newNonce(), clientNonce };
  channel.sendFirst(encodeFrame({ kind: 'hello', json: await signHello(key.private, nonces, systemClock) }));
  await channel.next('proof', within());
  channel.sendFirst(encodeFrame({ kind: 'welcome', json: await signWelcome(key.private, nonces) }));
}

const refusals = (center: TestCenter) => center.events.filter(({ event }) => event === 'client-refused');

test('a client whose key is not registered is told so, and tries again slowly', async () => {
  await using center = await TestCenter.start({ publicKeysOf });
  await using dialler = new TestDialler({ centerUrl: center.url, key: stranger.private, trusted: [center.key.public] });
  const { error, retryInMs } = await dialler.event('refused');
  assert.equal(error.code, 'TRUST_REFUSED');
  assert.match(error.message, /no mirror of app has this client's key/);
  assert.ok(retryInMs >= 30_000);
  assert.equal(center.clients.connected().length, 0);
});

test('the name of another application is of no use to the holder of a key', async () => {
  await using center = await TestCenter.start({
    publicKeysOf: async (name) => (name === 'other' ? [stranger.publicPem] : publicKeysOf(name)),
  });
  const { key } = { key: application.private };
  await using dialler = new TestDialler({
    centerUrl: center.url,
    key,
    trusted: [center.key.public],
    application: 'other',
  });
  assert.match((await dialler.event('refused')).error.message, /no mirror of other has this client's key/);
  const [refusal] = refusals(center);
  assert.equal(refusal?.event === 'client-refused' && refusal.application, 'other');
});

test('a center that is not trusted learns nothing, not even who is there', async () => {
  const heard: unknown[] = [];
  const impostor = newKey();
  const trusted = newKey();
  await using center = await rawCenter(async (channel, clientNonce) => {
    const hello = await signHello(impostor.private, { nonce: newNonce(), clientNonce }, systemClock);
    channel.sendFirst(encodeFrame({ kind: 'hello', json: { ...hello, keyId: keyId(trusted.public) } }));
    heard.push(await channel.next('proof', within()).catch(() => 'nothing'));
  });
  await using dialler = new TestDialler({ centerUrl: center.url, key: application.private, trusted: [trusted.public] });
  const { error } = await dialler.event('refused');
  assert.match(error.message, /^signature: the center is none of those that are trusted/);
  await eventually(() => assert.deepEqual(heard, ['nothing']));
});

test('a hello that was recorded from the real center is refused', async () => {
  const real = newKey();
  const recorded = await signHello(real.private, { nonce: newNonce(), clientNonce: newNonce() }, systemClock);
  await using center = await rawCenter(async (channel) =>
    channel.sendFirst(encodeFrame({ kind: 'hello', json: recorded })),
  );
  await using dialler = new TestDialler({ centerUrl: center.url, key: application.private, trusted: [real.public] });
  assert.match((await dialler.event('refused')).error.message, /^nonce: /);
});

test('a proof that was recorded is refused', async () => {
  await using center = await TestCenter.start({ publicKeysOf });
  const first = await rawClient(center);
  const recorded = await prove(first, center);
  await first.channel.next('welcome', within());
  const clientNonce = first.clientNonce;
  const second = await rawClient(center, { [NONCE_HEADER]: clientNonce });
  await second.channel.next('hello', within());
  second.channel.sendFirst(encodeFrame({ kind: 'proof', json: recorded }));
  const { code, reason } = await second.channel.closed;
  assert.equal(code, 4401);
  assert.match(reason, /^nonce: the proof was made for another connection/);
  first.channel.cut('over');
});

test('clocks that are far apart are named, both of them', async () => {
  await using center = await TestCenter.start({ publicKeysOf });
  const trusted = [center.key.public];
  const clock = offBy(-10 * 60_000);
  await using dialler = new TestDialler({ centerUrl: center.url, key: application.private, trusted, clock });
  assert.match((await dialler.event('refused')).error.message, /^time: .*here it is .*, the center says /);
});

test('a call before the welcome, or a welcome by somebody else, ends the connection', async () => {
  const key = newKey();
  const held = new HeldHandler();
  await using center = await rawCenter(async (channel, clientNonce) => {
    const nonces = { nonce: newNonce(), clientNonce };
    channel.sendFirst(encodeFrame({ kind: 'hello', json: await signHello(key.private, nonces, systemClock) }));
    await channel.next('proof', within());
    const json = { call: 'wipe', token: 't', encoding: 'identity', bytes: 0 };
    channel.sendFirst(encodeFrame({ kind: 'call', id: 1, json }));
  });
  const options = { key: application.private, trusted: [key.public], handler: held.handle };
  await using dialler = new TestDialler({ centerUrl: center.url, ...options });
  assert.match((await dialler.event('disconnected')).error.message, /call where welcome was due/);
  await using other = await rawCenter(async (channel, clientNonce) => {
    const nonces = { nonce: newNonce(), clientNonce };
    channel.sendFirst(encodeFrame({ kind: 'hello', json: await signHello(key.private, nonces, systemClock) }));
    await channel.next('proof', within());
    const forged = { ...(await signWelcome(stranger.private, nonces)), keyId: keyId(key.public) };
    channel.sendFirst(encodeFrame({ kind: 'welcome', json: forged }));
  });
  await using second = new TestDialler({ centerUrl: other.url, ...options });
  assert.match((await second.event('refused')).error.message, /^signature: the welcome is not the center's/);
  assert.equal(held.calls.length, 0);
});

const callJson = { call: 'row-data', token: 't', encoding: 'identity', bytes: 10 };

test('a center that breaks the protocol loses the connection, and the handler hears nothing of it', async () => {
  const key = newKey();
  const held = new HeldHandler();
  const frame = encodeFrame;
  const violations: readonly { readonly why: RegExp; readonly frames: readonly Uint8Array[] }[] = [
    { why: /5 bytes/, frames: [Buffer.from('hello')] },
    { why: /unknown kind/, frames: [Buffer.concat([Buffer.of(1, 200), Buffer.alloc(10)])] },
    { why: /answer from a center/, frames: [frame({ kind: 'answer', id: 1 })] },
    { why: /none of the five/, frames: [frame({ kind: 'call', id: 1, json: { ...callJson, call: 'drop' } })] },
    { why: /none of the five/, frames: [frame({ kind: 'call', id: 1, json: { ...callJson, bytes: -1 } })] },
    { why: /none of the five/, frames: [frame({ kind: 'call', id: 1 })] },
    {
      why: /larger than this client takes/,
      frames: [frame({ kind: 'call', id: 1, json: { ...callJson, bytes: 2e9 } })],
    },
    { why: /piece of no call/, frames: [frame({ kind: 'callPiece', id: 3, payload: Buffer.alloc(3) })] },
    { why: /never began/, frames: [frame({ kind: 'cancel', id: 3 })] },
    {
      why: /longer than announced/,
      frames: [frame({ kind: 'call', id: 1, json: callJson, payload: Buffer.alloc(11) })],
    },
    {
      why: /used before/,
      frames: [1, 1].map((id) => frame({ kind: 'call', id, json: callJson, payload: Buffer.alloc(1) })),
    },
    {
      why: /empty piece/,
      frames: [frame({ kind: 'call', id: 1, json: callJson })],
    },
    {
      why: /more calls at a time/,
      frames: Array.from({ length: 65 }, (_, id) =>
        frame({ kind: 'call', id: id + 1, json: callJson, payload: Buffer.alloc(1) }),
      ),
    },
    { why: /Max payload size exceeded/, frames: [Buffer.alloc(FRAME_BYTES_MAX + 1)] },
  ];
  for (const { why, frames } of violations) {
    await using center = await rawCenter(async (channel, clientNonce) => {
      await welcome(channel, clientNonce, key);
      for (const bytes of frames) channel.sendFirst(bytes);
    });
    const options = { key: application.private, trusted: [key.public], handler: held.handle };
    await using dialler = new TestDialler({ centerUrl: center.url, ...options });
    assert.match((await dialler.event('disconnected')).error.message, why);
  }
  assert.equal(held.calls.length, 0);
});

test('a client that breaks the protocol loses the connection, and its calls fail as lost', async () => {
  await using center = await TestCenter.start({ publicKeysOf });
  const answer = { status: 200, encoding: 'identity', bytes: 10 };
  const violations: readonly { readonly why: RegExp; readonly bytes: readonly Uint8Array[] }[] = [
    { why: /7 bytes/, bytes: [Buffer.from('garbage')] },
    { why: /answer to no call/, bytes: [encodeFrame({ kind: 'answer', id: 99, json: answer })] },
    { why: /answer that is none/, bytes: [encodeFrame({ kind: 'answer', id: 1, json: { ...answer, status: 'ok' } })] },
    { why: /answer that is none/, bytes: [encodeFrame({ kind: 'answer', id: 1, json: { ...answer, bytes: 1e12 } })] },
    { why: /piece of no answer/, bytes: [encodeFrame({ kind: 'answerPiece', id: 1, payload: Buffer.alloc(1) })] },
    {
      why: /longer than announced/,
      bytes: [encodeFrame({ kind: 'answer', id: 1, json: answer, payload: Buffer.alloc(11) })],
    },
    {
      why: /answer inside another/,
      bytes: [1, 1].map((id) => encodeFrame({ kind: 'answer', id, json: answer, payload: Buffer.alloc(1) })),
    },
    { why: /call from a client/, bytes: [encodeFrame({ kind: 'call', id: 1, json: callJson })] },
    { why: /Max payload size exceeded/, bytes: [Buffer.alloc(FRAME_BYTES_MAX + 1)] },
  ];
  for (const { why, bytes } of violations) {
    const client = await provedClient(center);
    await center.connected(1);
    const call = center.clients.exchange('app', application.publicPem).send(aCall(Buffer.from('x')), never);
    const rejected = assert.rejects(call, { code: 'CONNECTION_LOST' });
    await client.channel.next('call', within());
    for (const one of bytes) client.socket.send(one);
    await rejected;
    await center.connected(0);
    const gone = center.events.findLast(({ event }) => event === 'client-disconnected');
    assert.match(gone?.event === 'client-disconnected' ? gone.reason : '', why);
  }
});

const seed = Number(process.env['SPEIL_SEED'] ?? Date.now() % 1_000_000);

test(`garbage of any kind does no damage before or after the proof (SPEIL_SEED=${seed})`, async () => {
  const random = new SeededRandom(seed);
  await using center = await TestCenter.start({ publicKeysOf });
  for (let round = 0; round < 40; round++) {
    const client = random.chance(0.5) ? await rawClient(center) : await provedClient(center);
    const bytes = Buffer.from(random.bytes(random.integer(0, 2_000)));
    if (random.chance(0.5)) bytes.set([1, random.integer(0, 10)].slice(0, bytes.length));
    client.channel.serve(() => undefined);
    client.socket.send(random.chance(0.2) ? bytes.toString('hex') : bytes);
    await client.channel.closed;
  }
  await using dialler = new TestDialler({
    centerUrl: center.url,
    key: application.private,
    trusted: [center.key.public],
  });
  await dialler.event('connected');
  await center.connected(1);
  const answer = await center.clients.exchange('app', application.publicPem).send(aCall(Buffer.from('x')), never);
  assert.deepEqual(answer, { ...(await echo(aCall(Buffer.from('x')))) });
});

/** A bare socket that asks for an upgrade, and the status that it is answered with. */
async function upgradeOf(center: TestCenter, path: string, headers: readonly string[]) {
  const socket = connect(center.port, '127.0.0.1').on('error', () => undefined);
  const upgrade = ['Host: x', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13', ...headers];
  socket.write(`GET ${path} HTTP/1.1\r\n${upgrade.join('\r\n')}\r\n\r\n`);
  const [data] = await once(socket, 'data');
  return { socket, status: String(data).split(' ', 2)[1] ?? '' };
}

const upgradeHeaders = () => [
  `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
  `Sec-WebSocket-Protocol: ${SUBPROTOCOL}`,
  `${NONCE_HEADER}: ${newNonce()}`,
];

test('upgrades that are none are answered as HTTP', async () => {
  await using center = await TestCenter.start({ publicKeysOf });
  const statusOf = async (path: string, headers: readonly string[]): Promise<string> => {
    const { socket, status } = await upgradeOf(center, path, headers);
    socket.destroy();
    return status;
  };
  assert.equal(await statusOf('/v1/other', upgradeHeaders()), '404');
  for (const without of [0, 1, 2]) {
    const headers = upgradeHeaders().filter((_, nth) => nth !== without);
    assert.equal(await statusOf('/v1/clients', headers), '400', `without ${upgradeHeaders()[without]}`);
  }
  assert.equal(await statusOf('/v1/clients', upgradeHeaders()), '101');
});

test('of thousands that connect and say nothing a few hundred are let in, and only they', async () => {
  await using center = await TestCenter.start({ publicKeysOf, clock: hurried(1 / 100) });
  const statuses = new Map<string, number>();
  const sockets: Socket[] = [];
  const lane = async () => {
    for (let nth = 0; nth < 30; nth++) {
      const { socket, status } = await upgradeOf(center, '/v1/clients', upgradeHeaders());
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (status === '101') sockets.push(socket);
      else socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: 100 }, lane));
  assert.deepEqual(Object.fromEntries(statuses), { 101: UNPROVED_MAX, 503: 3_000 - UNPROVED_MAX });
  for (const socket of sockets) socket.destroy();
  await using dialler = new TestDialler({
    centerUrl: center.url,
    key: application.private,
    trusted: [center.key.public],
  });
  await dialler.event('connected');
});

test('whoever connects and says nothing is there only for a moment', async () => {
  await using center = await TestCenter.start({ publicKeysOf, clock: hurried(100) });
  const silent = await rawClient(center);
  await silent.channel.next('hello', within());
  const { reason } = await silent.channel.closed;
  assert.equal(reason, 'the center cannot take clients just now');
  assert.match(JSON.stringify(refusals(center)), /did not answer within 10 s/);
});

test('so many connections of one key are taken, and no more', async () => {
  await using center = await TestCenter.start({ publicKeysOf });
  const clients = await Promise.all(Array.from({ length: CONNECTIONS_PER_KEY_MAX }, () => provedClient(center)));
  await center.connected(CONNECTIONS_PER_KEY_MAX);
  const surplus = await rawClient(center);
  await prove(surplus, center);
  const { code, reason } = await surplus.channel.closed;
  assert.equal(code, 4401);
  assert.match(reason, /8 clients with this key are connected already/);
  for (const { channel } of clients) channel.cut('over');
});
