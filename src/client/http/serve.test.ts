import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { eventually } from '../../../test/support/workload.ts';
import { systemClock } from '../../runtime/system-clock.ts';
import { listenFailure } from '../../service/listener.ts';
import type { CallAnswer, CallHandler, CallRequest } from '../exchange.ts';
import { decodeError } from '../wire/messages.ts';
import { httpExchange } from './call.ts';
import { HEARTBEAT_MS } from './paths.ts';
import { type CallServer, type ServeOptions, serveCalls } from './serve.ts';

const BODY_MAX = 100_000;
const echo: CallHandler = async ({ encoding, body }) => ({ status: 200, encoding, body });

const serve = (options: Partial<ServeOptions> = {}): Promise<CallServer> =>
  serveCalls({
    listen: { host: '127.0.0.1', port: 0 },
    handler: echo,
    callBytesMax: BODY_MAX,
    clock: systemClock,
    ...options,
  });

const CALL = '/v1/calls/row-data';
const headers = { authorization: 'Bearer a-token' };
const post = (server: CallServer, body: string | Buffer, more: RequestInit = {}): Promise<Response> =>
  fetch(new URL(CALL, server.url), { method: 'POST', headers, body, ...more });

const errorOf = async (answer: Response) => ({ status: answer.status, code: decodeError(await answer.bytes()).code });

/** A handler that waits until it is told what to answer. */
function waitingHandler() {
  const requests: CallRequest[] = [];
  const { promise, resolve } = Promise.withResolvers<CallAnswer>();
  const handler: CallHandler = (call) => {
    requests.push(call);
    return promise;
  };
  return { handler, requests, answer: () => resolve({ status: 200, encoding: 'identity', body: Buffer.from('done') }) };
}

async function rawSocket(server: CallServer, head: string): Promise<Socket> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.write(head);
  return socket;
}

async function textOf(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  } catch {
    // A reset ends it as well.
  }
  return Buffer.concat(chunks).toString();
}

test('a call reaches the handler as it was sent, and the answer comes back as it was given', async () => {
  const calls: CallRequest[] = [];
  await using server = await serve({
    handler: (call) => {
      calls.push(call);
      return echo(call);
    },
  });
  const answer = await post(server, 'a body', { headers: { ...headers, 'content-encoding': 'zstd' } }).catch(
    () => null,
  );
  assert.deepEqual(
    calls.map(({ call, token, encoding, body }) => [call, token, encoding, String(body)]),
    [['row-data', 'a-token', 'zstd', 'a body']],
  );
  assert.equal(answer?.headers.get('content-encoding'), 'zstd');
  assert.equal(await (await post(server, 'another')).text(), 'another');
});

test('health, other paths and other methods', async () => {
  await using server = await serve({
    extra: ({ url }, response) => url === '/soap' && response.writeHead(200).end('soap') !== null,
  });
  const get = (path: string) => fetch(new URL(path, server.url));
  assert.deepEqual(await (await get('/healthz')).json(), { status: 'ok' });
  assert.equal(await (await get('/soap')).text(), 'soap');
  assert.equal((await get('/')).status, 404);
  assert.equal((await get('/v1/calls/other')).status, 404);
  const wrongMethod = await get(CALL);
  assert.deepEqual([wrongMethod.status, wrongMethod.headers.get('allow')], [405, 'POST']);
});

test('a body that says it is too large is refused before it is sent', async () => {
  const { handler, requests } = waitingHandler();
  await using server = await serve({ handler });
  const socket = await rawSocket(server, `POST ${CALL} HTTP/1.1\r\nHost: x\r\nContent-Length: ${BODY_MAX + 1}\r\n\r\n`);
  const [data] = await once(socket, 'data');
  assert.match(String(data), /^HTTP\/1.1 413 .*CALL_TOO_LARGE/s);
  socket.destroy();
  assert.equal(requests.length, 0);
});

test('a caller that sends all of a body that is too large reads why it was refused', async () => {
  await using server = await serve();
  assert.deepEqual(await errorOf(await post(server, Buffer.alloc(BODY_MAX * 2))), {
    status: 413,
    code: 'CALL_TOO_LARGE',
  });
});

test('a task that is still sending a body that is too large reads why it was refused', async () => {
  await using server = await serve();
  await using exchange = httpExchange({ url: server.url, clock: systemClock });
  const body = Buffer.alloc(300 * BODY_MAX);
  const call = { call: 'row-data', token: 'a-token', encoding: 'identity', body } as const;
  for (const _ of [1, 2, 3]) {
    const answer = await exchange.send(call, new AbortController().signal);
    assert.deepEqual([answer.status, decodeError(answer.body).code], [413, 'CALL_TOO_LARGE']);
  }
});

test('a body without a length is refused where it becomes too large, and its sender is cut off', async () => {
  await using server = await serve();
  const socket = await rawSocket(server, `POST ${CALL} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
  const answered = textOf(socket);
  const chunk = `${(1000).toString(16)}\r\n${'x'.repeat(1000)}\r\n`;
  let sent = 0;
  await eventually(async () => {
    sent += socket.destroyed ? 0 : chunk.length * 20;
    if (!socket.destroyed) socket.write(chunk.repeat(20));
    assert.ok(socket.destroyed);
  });
  assert.match(await answered, /^HTTP\/1.1 413 /);
  assert.ok(sent < 50 * BODY_MAX, `${sent} bytes`);
});

test('who is not trusted is refused before the body is read', async () => {
  const refused: CallAnswer = { status: 401, encoding: 'identity', body: Buffer.from('no') };
  const { handler, requests } = waitingHandler();
  await using server = await serve({ handler: Object.assign(handler, { refusal: async () => refused }) });
  const socket = await rawSocket(server, `POST ${CALL} HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\nsome of it`);
  const [data] = await once(socket, 'data');
  assert.match(String(data), /^HTTP\/1.1 401 /);
  socket.destroy();
  assert.equal(requests.length, 0);
});

test('a caller that is refused is not cut off while it is still sending', async () => {
  const refused: CallAnswer = { status: 401, encoding: 'identity', body: Buffer.from('no') };
  await using server = await serve({ handler: Object.assign(async () => refused, { refusal: async () => refused }) });
  const socket = await rawSocket(server, `POST ${CALL} HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n`);
  await once(socket, 'data');
  await new Promise((resolve) => socket.write(Buffer.alloc(40_000), resolve));
  socket.write(Buffer.alloc(10_000));
  const [hadError] = await once(socket, 'close');
  assert.equal(hadError, false);
});

test('another compression is refused', async () => {
  await using server = await serve();
  const answer = await post(server, 'x', { headers: { ...headers, 'content-encoding': 'gzip' } });
  assert.deepEqual(await errorOf(answer), { status: 400, code: 'CONTRACT_BROKEN' });
});

test('bodies that are in memory have a bound together; what goes beyond is answered 503', async () => {
  const { handler, requests, answer } = waitingHandler();
  await using server = await serve({ handler });
  const body = Buffer.alloc(BODY_MAX);
  const waiting = Array.from({ length: 2 }, () => post(server, body));
  await eventually(async () => assert.equal(requests.length, 2));
  assert.deepEqual(await errorOf(await post(server, 'x')), { status: 503, code: 'MIRROR_BUSY' });
  answer();
  for (const one of await Promise.all(waiting)) assert.equal(one.status, 200);
  assert.equal((await post(server, 'x')).status, 200);
});

test('a head that comes too slowly is not waited for', async () => {
  await using server = await serve({ headWaitMs: 100 });
  const socket = await rawSocket(server, `POST ${CALL} HTTP/1.1\r\nHost: x\r\nX-Slow: `);
  assert.equal(await textOf(socket), '');
});

test('a head that is too large is cut off', async () => {
  await using server = await serve();
  const socket = await rawSocket(
    server,
    `POST ${CALL} HTTP/1.1\r\nHost: x\r\nAuthorization: ${'x'.repeat(20_000)}\r\n\r\n`,
  );
  assert.equal(await textOf(socket), '');
});

function waitFor(outgoing: ClientRequest): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  outgoing.on('response', resolve).on('error', reject);
  return promise;
}

test('while a call is worked on, its caller hears so', async () => {
  const clock = new ManualClock();
  const { handler, requests, answer } = waitingHandler();
  const server = await serve({ handler, clock });
  const outgoing = request(new URL(CALL, server.url), { method: 'POST', headers });
  const response = waitFor(outgoing);
  outgoing.end('x');
  await eventually(async () => assert.equal(requests.length, 1));
  for (const _ of [1, 2]) {
    const heard = once(outgoing, 'information');
    clock.advance(HEARTBEAT_MS);
    assert.equal((await heard)[0].statusCode, 102);
  }
  answer();
  assert.equal((await response).statusCode, 200);
  (await response).resume();
  await server[Symbol.asyncDispose]();
  assert.equal(clock.sleepers, 0);
});

test('a server that ends lets a call that is under way end, and keeps no connection', async () => {
  const { handler, requests, answer } = waitingHandler();
  const server = await serve({ handler, clock: new ManualClock() });
  using agent = Object.assign(new Agent({ keepAlive: true }), { [Symbol.dispose]: () => agent.destroy() });
  const outgoing = request(new URL(CALL, server.url), { method: 'POST', headers, agent });
  const response = waitFor(outgoing);
  outgoing.end('x');
  await eventually(async () => assert.equal(requests.length, 1));
  const ended = server[Symbol.asyncDispose]();
  await assert.rejects(fetch(new URL('/healthz', server.url)));
  answer();
  assert.equal((await response).statusCode, 200);
  (await response).resume();
  await ended;
});

test('a call that does not end is cut off when the server has waited long enough', async () => {
  const clock = new ManualClock();
  const { handler, requests } = waitingHandler();
  const server = await serve({ handler, clock });
  const outcome = post(server, 'x').then(
    () => 'answered',
    () => 'cut off',
  );
  await eventually(async () => assert.equal(requests.length, 1));
  const ended = server[Symbol.asyncDispose]();
  clock.advance(10_000);
  await ended;
  assert.equal(await outcome, 'cut off');
});

/** A handler that refuses every call, before its body or after it. */
const refused: CallAnswer = { status: 401, encoding: 'identity', body: Buffer.from('no') };
const refuseEarly = Object.assign(async () => refused, { refusal: async () => refused });
const refuseLate = Object.assign(async () => refused, { refusal: async () => null });

test('only a trusted call keeps its connection; all other answers end theirs', async () => {
  await using server = await serve({
    extra: ({ url }, response, trusted) => {
      if (url === '/proved') trusted();
      return url !== '/none' && response.writeHead(200).end('soap') !== null;
    },
  });
  await using early = await serve({ handler: refuseEarly });
  await using late = await serve({ handler: refuseLate });
  const get = (path: string) => fetch(new URL(path, server.url));
  const connectionOf = async (answer: Promise<Response>) => (await answer).headers.get('connection');
  assert.equal(await connectionOf(post(server, 'x')), 'keep-alive');
  assert.equal(await connectionOf(get('/proved')), 'keep-alive');
  for (const path of ['/healthz', '/none', CALL, '/soap']) assert.equal(await connectionOf(get(path)), 'close', path);
  for (const other of [early, late]) assert.equal(await connectionOf(post(other, 'x')), 'close');
});

test('strangers from one address leave room for those whose calls are trusted', async () => {
  await using server = await serve({ connectionsMax: 4 });
  using agent = Object.assign(new Agent({ keepAlive: true, maxSockets: 1 }), {
    [Symbol.dispose]: () => agent.destroy(),
  });
  const call = async (): Promise<number> => {
    const outgoing = request(new URL(CALL, server.url), { method: 'POST', headers, agent });
    const response = waitFor(outgoing);
    outgoing.end('x');
    const { statusCode = 0, socket } = (await response).resume();
    await once(await response, 'end');
    return statusCode * 100_000 + (socket.localPort ?? 0);
  };
  const first = await call();
  const strangers = [await rawSocket(server, ''), await rawSocket(server, '')];
  for (const _ of [1, 2]) assert.equal(await textOf(await rawSocket(server, '')), '');
  assert.deepEqual(
    strangers.map(({ readyState }) => readyState),
    ['open', 'open'],
  );
  assert.equal(await call(), first);
  for (const stranger of strangers) stranger.destroy();
  await eventually(async () => assert.equal((await post(server, 'x')).status, 200));
});

test('a connection over which nothing comes is not waited for', { timeout: 5_000 }, async () => {
  await using server = await serve({ headWaitMs: 100 });
  assert.equal(await textOf(await rawSocket(server, '')), '');
});

test('a stranger that goes on sending after its refusal has a moment for it; one that is trusted has more', {
  timeout: 5_000,
}, async () => {
  for (const [handler, length, status] of [
    [refuseEarly, 50_000, 401],
    [echo, BODY_MAX + 1, 413],
  ] as const) {
    const clock = new ManualClock();
    await using server = await serve({ handler, clock });
    const head = `POST ${CALL} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;
    const socket = await rawSocket(server, head);
    const [data] = await once(socket, 'data');
    assert.match(String(data), new RegExp(`^HTTP/1.1 ${status} `));
    await eventually(async () => assert.equal(clock.sleepers, 1));
    clock.advance(5_000);
    assert.equal(clock.sleepers, status === 401 ? 0 : 1);
    clock.advance(300_000);
    assert.equal(await textOf(socket), '');
  }
});

test('a stranger is listened to for a megabyte after its refusal', async () => {
  await using server = await serve({ handler: refuseEarly, callBytesMax: 500_000_000 });
  const socket = await rawSocket(server, `POST ${CALL} HTTP/1.1\r\nHost: x\r\nContent-Length: 400000000\r\n\r\n`);
  socket.resume().on('error', () => undefined);
  let sent = 0;
  await eventually(async () => {
    for (let nth = 0; nth < 20 && !socket.destroyed; nth++, sent += 100_000) {
      await new Promise((resolve) => socket.write(Buffer.alloc(100_000), resolve));
    }
    assert.ok(socket.destroyed);
  });
  assert.ok(sent < 20_000_000, `${sent} bytes`);
});

test('why an address cannot be listened on has a hint of its own', async () => {
  await using server = await serve();
  const port = Number(new URL(server.url).port);
  for (const [listen, hint] of [
    [{ host: '127.0.0.1', port }, /Is it running already/],
    [{ host: '192.0.2.1', port: 0 }, /does not have the address/],
    [{ host: 'nowhere.invalid', port: 0 }, /not known/],
  ] as const) {
    await assert.rejects(serve({ listen, insecure: true }), { code: 'USAGE', hint });
  }
  const denied = Object.assign(new Error('listen EACCES'), { code: 'EACCES' });
  assert.match(listenFailure({ host: '0.0.0.0', port: 80 }, denied).hint ?? '', /may not use the port/);
});

test('what cannot be listened on, and certificates that are none, are explained', async () => {
  await using server = await serve();
  const port = Number(new URL(server.url).port);
  await assert.rejects(serve({ listen: { host: '127.0.0.1', port } }), { code: 'USAGE', message: /EADDRINUSE/ });
  await assert.rejects(serve({ listen: { host: '0.0.0.0', port: 0 } }), { code: 'INSECURE_LISTEN' });
  await assert.rejects(serve({ tls: { cert: 'x', key: 'y' } }), { code: 'USAGE', message: /certificate/ });
});
