import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { selfSigned } from '../support/certificate.ts';
import { aCall, echo, never, newKey, TestCenter, TestDialler } from '../support/dialled.ts';

const application = newKey();
const publicKeysOf = async () => [application.publicPem];

async function secureCenter(names?: readonly string[]) {
  const tls = selfSigned(names === undefined ? {} : { names });
  const center = await TestCenter.start({ publicKeysOf, tls });
  const options = { centerUrl: center.url, key: application.private, trusted: [center.key.public] };
  return { center, options, ca: tls.cert, [Symbol.asyncDispose]: () => center[Symbol.asyncDispose]() };
}

async function assertServes(center: TestCenter): Promise<void> {
  await center.connected(1);
  const call = aCall(Buffer.from('x'));
  assert.deepEqual(await center.clients.exchange('app', application.publicPem).send(call, never), await echo(call));
}

/** A proxy as companies have them: it takes CONNECT, and wants a login if told so. */
async function companyProxy(login: string | null) {
  const asked: string[] = [];
  const server = createServer((_request, response) => response.writeHead(405).end());
  server.on('connect', ({ url = '', headers }: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => undefined);
    asked.push(url);
    const expected = login === null ? undefined : `Basic ${Buffer.from(login).toString('base64')}`;
    if (headers['proxy-authorization'] !== expected) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    const target = connect(Number(url.split(':')[1]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      target.write(head);
      target.pipe(socket).pipe(target);
    });
    target.on('error', () => socket.destroy());
    target.on('close', () => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { asked, port, [Symbol.asyncDispose]: async () => void server.close() };
}

test('a client dials over TLS when it trusts the certificate', async () => {
  await using secure = await secureCenter();
  await using _dialler = new TestDialler({ ...secure.options, ca: secure.ca });
  await assertServes(secure.center);
});

test('a certificate that nobody vouches for, or of another name, is no way to the center', async () => {
  await using secure = await secureCenter();
  await using dialler = new TestDialler(secure.options);
  const { error } = await dialler.event('disconnected');
  assert.equal(error.code, 'TLS_FAILED');
  assert.match(error.message, /signed by itself/);
  await using other = await secureCenter(['center.example.com']);
  await using second = new TestDialler({ ...other.options, ca: other.ca });
  assert.match((await second.event('disconnected')).error.message, /for another name/);
});

test('a client dials through a proxy that wants a login', async () => {
  await using secure = await secureCenter();
  await using proxy = await companyProxy('me:secret');
  const url = `http://me:secret@127.0.0.1:${proxy.port}`;
  await using _dialler = new TestDialler({ ...secure.options, ca: secure.ca, proxy: { url } });
  await assertServes(secure.center);
  assert.deepEqual(proxy.asked, [`127.0.0.1:${secure.center.port}`]);
});

test('a proxy that refuses is named, without the password', async () => {
  await using secure = await secureCenter();
  await using proxy = await companyProxy('me:secret');
  const url = `http://me:wrong@127.0.0.1:${proxy.port}`;
  await using dialler = new TestDialler({ ...secure.options, ca: secure.ca, proxy: { url } });
  const refused = await dialler.event('refused');
  assert.equal(refused.error.code, 'FORBIDDEN');
  assert.match(refused.error.message, /the proxy http:\/\/127\.0\.0\.1:\d+ answered 407/);
  assert.ok(!JSON.stringify(dialler.events).includes('wrong'));
});

test('NO_PROXY leads past the proxy', async () => {
  await using secure = await secureCenter();
  await using proxy = await companyProxy(null);
  const settings = { url: `http://127.0.0.1:${proxy.port}`, noProxy: 'localhost,127.0.0.1' };
  await using _dialler = new TestDialler({ ...secure.options, ca: secure.ca, proxy: settings });
  await assertServes(secure.center);
  assert.deepEqual(proxy.asked, []);
});

test('a proxy that is not there, or does not reach the center, is no connection', async () => {
  await using secure = await secureCenter();
  const proxy = await companyProxy(null);
  await proxy[Symbol.asyncDispose]();
  const url = `http://127.0.0.1:${proxy.port}`;
  await using dialler = new TestDialler({ ...secure.options, ca: secure.ca, proxy: { url } });
  assert.match((await dialler.event('disconnected')).error.message, /cannot connect to 127.0.0.1:\d+: nobody listens/);
});

test('what answers and is no center is said to be none', async () => {
  const statuses = [404, 502, 401];
  const server = createServer((_request, response) => response.writeHead(statuses.shift() ?? 200).end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const options = { centerUrl: `http://127.0.0.1:${port}`, key: application.private, trusted: [newKey().public] };
  await using dialler = new TestDialler(options);
  assert.match((await dialler.event('disconnected')).error.message, /no center answers there \(404\)/);
  assert.match((await dialler.event('disconnected', 1)).error.message, /it answered 502/);
  const { error, retryInMs } = await dialler.event('refused');
  assert.equal(error.code, 'FORBIDDEN');
  assert.ok(retryInMs >= 30_000);
  server.close();
});
