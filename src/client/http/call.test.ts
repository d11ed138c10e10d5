import assert from 'node:assert/strict';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { type CertificateOptions, selfSigned } from '../../../test/support/certificate.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { eventually } from '../../../test/support/workload.ts';
import type { Clock } from '../../core/clock.ts';
import { CONNECT_WAIT_MS } from '../../core/limits.ts';
import { systemClock } from '../../runtime/system-clock.ts';
import type { CallAnswer } from '../exchange.ts';
import { httpExchange } from './call.ts';
import { HEARTBEAT_MS, INTERFACE_HEADER, SILENCE_MS } from './paths.ts';

type Listening = AsyncDisposable & { readonly port: number; readonly sockets: Set<Socket> };

async function listening(server: Server): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

const body = Buffer.from('a body');
const request = { call: 'wipe', token: 'a-token', encoding: 'identity', body } as const;

type Calling = { readonly url: string; readonly ca?: string; readonly clock?: Clock; readonly signal?: AbortSignal };

async function call({
  url,
  ca,
  clock = systemClock,
  signal = new AbortController().signal,
}: Calling): Promise<CallAnswer> {
  await using exchange = httpExchange({ url, ca, clock });
  return await exchange.send(request, signal);
}

const answering =
  (status: number, headers: Record<string, string> = {}, text = ''): RequestListener =>
  (incoming, response) =>
    incoming.resume().on('end', () => response.writeHead(status, headers).end(text));

const ours = { [INTERFACE_HEADER]: '1' };
const overHttp = (listener: RequestListener): Promise<Listening> => listening(createHttpServer(listener));

async function overHttps(options: CertificateOptions) {
  const certificate = selfSigned(options);
  return { server: await listening(createHttpsServer(certificate, answering(200, ours))), ca: certificate.cert };
}

test('an answer of a mirror client comes as it is, whatever its status', async () => {
  await using server = await overHttp(answering(503, { ...ours, 'content-encoding': 'zstd' }, 'busy'));
  const answer = await call({ url: `http://127.0.0.1:${server.port}` });
  assert.deepEqual(answer, { status: 503, encoding: 'zstd', body: Buffer.from('busy') });
});

test('the path of the address is kept before that of the call', async () => {
  const paths: unknown[] = [];
  await using server = await overHttp((incoming, response) => {
    paths.push(`${incoming.method} ${incoming.url} ${incoming.headers.authorization}`);
    answering(200, ours)(incoming, response);
  });
  for (const path of ['', '/', '/mirrors/one', '/mirrors/one/'])
    await call({ url: `http://127.0.0.1:${server.port}${path}` });
  const [plain, below] = ['POST /v1/calls/wipe Bearer a-token', 'POST /mirrors/one/v1/calls/wipe Bearer a-token'];
  assert.deepEqual(paths, [plain, plain, below, below]);
});

test('calls one after another share a connection', async () => {
  await using server = await overHttp(answering(200, ours));
  await using exchange = httpExchange({ url: `http://127.0.0.1:${server.port}`, clock: systemClock });
  for (const _ of [1, 2, 3]) await exchange.send(request, new AbortController().signal);
  assert.equal(server.sockets.size, 1);
});

for (const [status, code, recovery] of [
  [200, 'CONTRACT_BROKEN', 'operator'],
  [302, 'NOT_FOUND', 'operator'],
  [401, 'AUTHENTICATION_REFUSED', 'operator'],
  [404, 'NOT_FOUND', 'operator'],
  [413, 'CALL_TOO_LARGE', 'operator'],
  [500, 'CONTRACT_BROKEN', 'operator'],
  [502, 'UNREACHABLE', 'retry'],
] as const) {
  test(`${status} from something else than a mirror client is ${code}`, async () => {
    await using server = await overHttp(answering(status, { location: 'https://elsewhere/' }, '<html>'));
    await assert.rejects(call({ url: `http://127.0.0.1:${server.port}` }), {
      code,
      recovery,
      message: new RegExp(`/v1/calls/wipe answers ${status}`),
    });
  });
}

const YESTERDAY = new Date(Date.now() - 86_400_000);
const TOMORROW = new Date(Date.now() + 86_400_000);

for (const [what, options, trusted, message] of [
  ['that is expired', { until: YESTERDAY }, true, /has expired/],
  ['that is not valid yet', { from: TOMORROW }, true, /not valid yet/],
  ['for another name', { names: ['elsewhere.example'] }, true, /for another name/],
  ['that signed itself', {}, false, /signed by itself/],
] as const) {
  test(`a certificate ${what} is refused, and it is said why`, async () => {
    const { server, ca } = await overHttps(options);
    await using _server = server;
    const calling = { url: `https://127.0.0.1:${server.port}`, ...(trusted ? { ca } : {}) };
    await assert.rejects(call(calling), { code: 'TLS_FAILED', recovery: 'operator', message });
  });
}

test('http where https is spoken, and the other way round, is explained', async () => {
  const { server, ca } = await overHttps({});
  await using _secure = server;
  await using plain = await overHttp(answering(200, ours));
  await assert.rejects(call({ url: `https://127.0.0.1:${plain.port}`, ca }), { code: 'TLS_FAILED', hint: /http:\/\// });
  await assert.rejects(call({ url: `http://127.0.0.1:${server.port}` }), { recovery: /retry|operator/ });
});

test('nobody there, and a name that nobody has', async () => {
  const { port } = await using_(overHttp(answering(200)));
  await assert.rejects(call({ url: `http://127.0.0.1:${port}` }), {
    code: 'UNREACHABLE',
    recovery: 'retry',
    message: /nothing listens/,
  });
  await assert.rejects(call({ url: 'https://nobody.invalid' }), {
    code: 'UNREACHABLE',
    recovery: 'retry',
    message: /host name/,
  });
});

/** A port that was free a moment ago. */
async function using_(opened: Promise<Listening>): Promise<Listening> {
  await using server = await opened;
  return server;
}

const CUTS: Readonly<Record<string, (socket: Socket) => void>> = {
  'before the answer': (socket) => void socket.destroy(),
  'in the head': (socket) => void socket.end('HTTP/1.1 200 OK\r\nspeil-'),
  'in the body': (socket) =>
    void socket.end('HTTP/1.1 200 OK\r\nspeil-interface: 1\r\ncontent-length: 100\r\n\r\nsome'),
  'by a reset': (socket) => void socket.resetAndDestroy(),
};
for (const [where, cut] of Object.entries(CUTS)) {
  test(`an answer that is cut ${where} is a lost connection`, async () => {
    await using server = await listening(
      createServer((socket) => socket.once('data', () => cut(socket)).on('error', () => {})),
    );
    await assert.rejects(call({ url: `http://127.0.0.1:${server.port}` }), {
      code: 'CONNECTION_LOST',
      recovery: 'retry',
    });
  });
}

test('what does not speak HTTP is told apart', async () => {
  await using server = await listening(createServer((socket) => void socket.end('220 mail.example ESMTP\r\n')));
  await assert.rejects(call({ url: `http://127.0.0.1:${server.port}` }), {
    code: 'CONTRACT_BROKEN',
    message: /does not speak HTTP/,
  });
});

test('a server that accepts and says nothing is given up, first as a connection, then as an answer', async () => {
  const clock = new ManualClock();
  await using server = await listening(createServer((socket) => void socket.on('error', () => {})));
  const handshake = assert.rejects(call({ url: `https://127.0.0.1:${server.port}`, clock }), {
    code: 'UNREACHABLE',
    message: /no connection within 10 s/,
  });
  await eventually(async () => assert.equal(clock.sleepers, 1));
  clock.advance(CONNECT_WAIT_MS);
  await handshake;
  const silent = assert.rejects(call({ url: `http://127.0.0.1:${server.port}`, clock }), {
    code: 'CONNECTION_LOST',
    message: /not a word/,
  });
  await eventually(async () => assert.ok([...server.sockets].some(({ bytesRead }) => bytesRead > 100)));
  await passing(clock, silent, SILENCE_MS);
});

/** Time goes by until it is over. */
async function passing(clock: ManualClock, over: Promise<unknown>, stepMs: number): Promise<void> {
  let done = false;
  const watched = over.finally(() => (done = true));
  await eventually(async () => {
    clock.advance(stepMs);
    assert.ok(done);
  });
  await watched;
}

test('a server that says that it works is waited for', async () => {
  const clock = new ManualClock();
  let beat = () => {};
  let finish = () => {};
  await using server = await overHttp((incoming, response) => {
    incoming.resume();
    beat = () => response.writeProcessing();
    finish = () => response.writeHead(200, ours).end('done');
  });
  const answer = call({ url: `http://127.0.0.1:${server.port}`, clock });
  await eventually(async () => assert.equal(server.sockets.size, 1));
  for (let passedMs = 0; passedMs < 10 * SILENCE_MS; passedMs += HEARTBEAT_MS) {
    beat();
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(HEARTBEAT_MS);
  }
  finish();
  assert.equal(String((await answer).body), 'done');
  assert.equal(clock.sleepers, 0);
});

test('a call that is interrupted ends at once with the reason', async () => {
  const interrupted = new AbortController();
  await using server = await listening(createServer(() => {}));
  const calling = call({ url: `http://127.0.0.1:${server.port}`, signal: interrupted.signal });
  await eventually(async () => assert.equal(server.sockets.size, 1));
  interrupted.abort(new Error('enough'));
  await assert.rejects(calling, /enough/);
  await assert.rejects(call({ url: `http://127.0.0.1:${server.port}`, signal: interrupted.signal }), /enough/);
});

test('addresses that are none, and those that are not encrypted, are refused', () => {
  for (const url of ['', 'mirror', 'ftp://host', 'https://user:secret@host', 'https://host/?a=b']) {
    assert.throws(() => httpExchange({ url, clock: systemClock }), { code: 'USAGE' }, url);
  }
  assert.throws(() => httpExchange({ url: 'http://mirror.example', clock: systemClock }), {
    code: 'USAGE',
    message: /not encrypted/,
  });
  assert.ok(httpExchange({ url: 'http://mirror.example', clock: systemClock, insecure: true }));
});

test('calls that wait for a connection of others take it over, and have as much time as those', async () => {
  const clock = new ManualClock();
  const held: (() => void)[] = [];
  await using server = await overHttp((incoming, response) => {
    incoming.resume().on('end', () => held.push(() => response.writeHead(200, ours).end()));
  });
  await using exchange = httpExchange({ url: `http://127.0.0.1:${server.port}`, clock });
  const calls = Array.from({ length: 18 }, () => exchange.send(request, new AbortController().signal));
  await eventually(() => assert.equal(held.length, 16));
  clock.advance(CONNECT_WAIT_MS);
  held.shift()?.();
  held.shift()?.();
  await eventually(() => assert.equal(held.length, 16));
  await eventually(() => assert.equal(clock.sleepers, 16));
  clock.advance(CONNECT_WAIT_MS);
  for (const answer of held) answer();
  assert.deepEqual(
    (await Promise.all(calls)).map(({ status }) => status),
    calls.map(() => 200),
  );
});
