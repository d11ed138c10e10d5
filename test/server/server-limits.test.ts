import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { type ShellServer, startShell } from '../support/shell-server.ts';
import { eventually } from '../support/workload.ts';

// Bad clients, and a great many good ones.

function dial({ url }: ShellServer): Socket {
  const { hostname, port } = new URL(url);
  return connect(Number(port), hostname).on('error', () => undefined);
}

const statusOf = async ({ url }: ShellServer, path = '/healthz') => (await fetch(new URL(path, url))).status;

test('a head that never ends is not waited for', async () => {
  await using server = await startShell({ headWaitMs: 200 });
  const slow = dial(server);
  slow.write('GET /healthz HTTP/1.1\r\nhost: a\r\nx-');
  await once(slow, 'close');
  assert.equal(await statusOf(server), 200);
});

test('a head that is too long, and what is no HTTP, ends the connection', async () => {
  await using server = await startShell();
  for (const text of [`GET / HTTP/1.1\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`, 'hello\r\n\r\n', '\x16\x03\x01\x00']) {
    const rude = dial(server);
    rude.resume();
    rude.write(text);
    await once(rude, 'close');
  }
  assert.equal(await statusOf(server), 200);
});

test('more connections than the bound are not taken, and those that end make room', async () => {
  await using server = await startShell({ connectionsMax: 10 });
  const taken = Array.from({ length: 10 }, () => dial(server));
  for (const socket of taken) {
    socket.write('GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n');
    await once(socket, 'data');
  }
  const eleventh = dial(server);
  await once(eleventh, 'close');
  for (const socket of taken) socket.destroy();
  await eventually(async () => assert.equal(await statusOf(server), 200));
});

test('where tokens are demanded, strangers from one address hold half of the connections at most', async () => {
  await using server = await startShell({ connectionsMax: 10, requireToken: true });
  const token = readFileSync(server.instance.tokenFile, 'utf8').trim();
  const strangers = Array.from({ length: 5 }, () => dial(server));
  for (const socket of strangers) {
    socket.write('GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n');
    await once(socket, 'data');
  }
  const sixth = dial(server);
  await once(sixth, 'close');
  strangers[0]?.write(`GET /admin/status HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${token}\r\n\r\n`);
  await once(strangers[0] as Socket, 'data');
  assert.equal(await statusOf(server), 200);
  for (const socket of strangers) socket.destroy();
});

test('a thousand clients at once are served', async () => {
  await using server = await startShell();
  await server.instance.create('shop');
  const agent = new Agent({ keepAlive: true, maxSockets: 1_000, maxFreeSockets: 1_000 });
  const ask = async () => {
    const sent = request(new URL('/shop/v3/pipeline', server.url), { method: 'POST', agent }).end();
    const [response] = await once(sent, 'response');
    response.resume();
    await once(response, 'end');
    return response.statusCode;
  };
  const statuses = await Promise.all(Array.from({ length: 1_000 }, ask));
  assert.deepEqual(new Set(statuses), new Set([200]));
  assert.ok(Object.values(agent.freeSockets).flat().length > 900);
  agent.destroy();
});

test('who is refused while it is still sending reads why', async () => {
  await using server = await startShell();
  const sending = request(new URL('/admin/databases/x', server.url), {
    method: 'PUT',
    headers: { authorization: 'Bearer wrong', 'content-length': 10_000_000 },
  });
  sending.on('error', () => undefined);
  sending.write(Buffer.alloc(100_000));
  const [response] = await once(sending, 'response');
  assert.equal(response.statusCode, 401);
  const closed = once(response, 'close');
  response.resume();
  sending.end(Buffer.alloc(9_900_000));
  await closed;
});

test('a body for administration that is too large, or no JSON, is refused', async () => {
  await using server = await startShell();
  const post = async (body: string) => {
    const response = await fetch(new URL('/admin/databases', server.url), { method: 'POST', body });
    return [response.status, ((await response.json()) as { code: string }).code];
  };
  assert.deepEqual(await post('x'.repeat(70_000)), [413, 'REQUEST_TOO_LARGE']);
  assert.deepEqual(await post('{'), [400, 'USAGE']);
  assert.deepEqual(await post('{"name":"../x"}'), [400, 'USAGE']);
  assert.deepEqual(await post('{"name":"x","more":1}'), [400, 'USAGE']);
});

test('a file that arrives becomes a database, and what is cut, empty or none leaves nothing', async () => {
  await using server = await startShell();
  const folder = mkdtempSync(join(tmpdir(), 'speil-upload-'));
  const file = join(folder, 'a.db');
  new DatabaseSync(file).exec('CREATE TABLE item (id INTEGER PRIMARY KEY); INSERT INTO item VALUES (1), (2)');
  const whole = readFileSync(file);
  rmSync(folder, { recursive: true });
  const put = async (body: Uint8Array) =>
    (await fetch(new URL('/admin/databases/shop', server.url), { method: 'PUT', body })).status;
  assert.equal(await put(Buffer.alloc(0)), 400);
  assert.equal(await put(Buffer.from('SQLite format 3\0 and then nothing of the kind')), 400);
  const cut = request(new URL('/admin/databases/shop', server.url), {
    method: 'PUT',
    headers: { 'content-length': whole.length },
  });
  cut.on('error', () => undefined);
  cut.write(whole.subarray(0, 1_000));
  const transfers = join(server.data, '.transfers');
  await eventually(() => assert.equal(readdirSync(transfers).length, 1));
  cut.destroy();
  await eventually(() => assert.equal(readdirSync(transfers).length, 0));
  assert.equal(await put(whole), 201);
  const response = await fetch(new URL('/admin/databases/shop/backup', server.url));
  const copy = Buffer.from(await response.arrayBuffer());
  assert.deepEqual(
    [response.headers.get('x-speil-lsn'), Number(response.headers.get('content-length'))],
    ['7', copy.length],
  );
  assert.equal(copy.subarray(0, 15).toString(), 'SQLite format 3');
  await eventually(() => assert.deepEqual(readdirSync(transfers), []));
});
