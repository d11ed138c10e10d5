import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import type { DirectSqlDatabase } from '../support/direct-sql-database.ts';
import { HranaFailure, integer, type Response } from '../support/hrana-json.ts';
import { type HranaService, openHranaService, type Token } from '../support/hrana-service.ts';
import { openSocket, type Socket } from '../support/hrana-socket.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { until, untilStill } from '../support/until.ts';

const TOKENS: Record<string, Token> = {
  ann: { access: 'write', identity: 'ann' },
  eve: { access: 'read', identity: 'eve' },
};

/** A beat of the server's. */
const BEAT_MS = 10_000;

async function greeted(service: HranaService, subprotocol = 'hrana3'): Promise<Socket> {
  const socket = await openSocket(service.url('ws'), subprotocol);
  await socket.hello(null);
  return socket;
}

async function withStream(service: HranaService, subprotocol?: string): Promise<Socket> {
  const socket = await greeted(service, subprotocol);
  await socket.ask({ type: 'open_stream', stream_id: 1 });
  return socket;
}

const execute = (socket: Socket, sql: string, stream_id = 1): Promise<Response> =>
  socket.ask({ type: 'execute', stream_id, stmt: { sql } });

const database = (service: HranaService) => service.databases[0] as DirectSqlDatabase;

const refuses = (promise: Promise<unknown>, code: string) =>
  assert.rejects(promise, (error) => error instanceof HranaFailure && assert.equal(error.code, code) === undefined);

const closedWith = async (socket: Socket, code: number, reason: RegExp) => {
  const closed = await socket.closed;
  assert.equal(closed.code, code, closed.reason);
  assert.match(closed.reason, reason);
};

test('the subprotocol that the server likes best is chosen, and one there has to be', async () => {
  await using service = await openHranaService();
  const url = service.url('ws');
  await using best = await openSocket(url, ['hrana1', 'hrana2', 'hrana3', 'hrana3-protobuf']);
  assert.equal(best.raw.protocol, 'hrana3-protobuf');
  await using two = await openSocket(url, ['hrana2', 'hrana1', 'graphql']);
  assert.equal(two.raw.protocol, 'hrana2');
  for (const offered of [['hrana4'], ['graphql', 'json'], []]) {
    const socket = new WebSocket(url, offered);
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
    assert.equal(response.statusCode, 400);
  }
});

test('a client has to say hello first, with a good token', async () => {
  await using service = await openHranaService({ tokens: TOKENS });
  const hasty = await openSocket(service.url('ws'), 'hrana3');
  await refuses(hasty.ask({ type: 'open_stream', stream_id: 1 }), 'CLOSED_1008');
  await closedWith(hasty, 1008, /before hello/);
  const stranger = await openSocket(service.url('ws'), 'hrana3-protobuf');
  await refuses(stranger.hello('nobody'), 'AUTHENTICATION_REFUSED');
  await closedWith(stranger, 1008, /token is not good/);
  assert.equal(database(service).openStreams, 0);
});

test('a client may say hello again: streams that it opens then are of the new token', async () => {
  await using service = await openHranaService({ tokens: TOKENS });
  await using socket = await openSocket(service.url('ws'), 'hrana2');
  await socket.hello('eve');
  await socket.ask({ type: 'open_stream', stream_id: 1 });
  await refuses(execute(socket, 'CREATE TABLE t (a)'), 'SQLITE_READONLY');
  await socket.hello('ann');
  await socket.ask({ type: 'open_stream', stream_id: 2 });
  await execute(socket, 'CREATE TABLE t (a)', 2);
  await refuses(socket.hello('nobody'), 'AUTHENTICATION_REFUSED');
  await closedWith(socket, 1008, /token/);
});

test('who never says hello is shown the door', async () => {
  const clock = new ManualClock();
  await using service = await openHranaService({ clock });
  const socket = await openSocket(service.url('ws'), 'hrana3');
  await until(() => clock.sleepers === 1, 'the server to wait for a beat');
  clock.advance(BEAT_MS);
  await until(() => clock.sleepers === 1, 'the server to wait for a beat');
  clock.advance(BEAT_MS);
  await closedWith(socket, 1008, /no hello/);
});

test('who has not said hello may not send much', async () => {
  await using service = await openHranaService();
  const socket = await openSocket(service.url('ws'), 'hrana3');
  socket.send({ type: 'hello', jwt: 'x'.repeat(1_000_000) }, () => new Uint8Array());
  assert.equal((await socket.closed).code, 1006);
});

test('messages that are none close the connection and say why', async () => {
  await using service = await openHranaService({ limits: { requestBytes: 100_000 } });
  const cases: readonly (readonly [subprotocol: string, message: string | Buffer, code: number, reason: RegExp])[] = [
    ['hrana3', Buffer.from('{}'), 1003, /text frames/],
    ['hrana3-protobuf', '{}', 1003, /binary frames/],
    ['hrana3', '{', 1007, /not JSON/],
    ['hrana3', '[]', 1007, /has to be an object/],
    ['hrana3', '{"type":"farewell"}', 1007, /unknown type of message: farewell/],
    ['hrana3', '{"type":"request","request_id":1}', 1007, /request is missing/],
    ['hrana3', '{"type":"request","request_id":"1","request":{}}', 1007, /request_id/],
    ['hrana3', '{"type":"request","request_id":1,"request":{"type":"fly"}}', 1007, /unknown type of request: fly/],
    ['hrana3', '{"type":"request","request_id":1,"request":{"type":"execute","stmt":{"sql":""}}}', 1007, /stream_id/],
    ['hrana3-protobuf', Buffer.from([0xff]), 1007, /protobuf/],
    ['hrana3-protobuf', Buffer.alloc(0), 1007, /missing/],
    ['hrana3', 'x'.repeat(100_001), 1009, /^/],
    [`hrana3`, `"${'\u{1f600}'.repeat(500)}`, 1007, /not JSON/],
  ];
  for (const [subprotocol, message, code, reason] of cases) {
    const socket = await greeted(service, subprotocol);
    socket.raw.send(message);
    await closedWith(socket, code, reason);
  }
  const socket = await greeted(service);
  socket.raw.send(Buffer.from([0x22, 0xff, 0xfe]), { binary: false });
  assert.equal((await socket.closed).code, 1007);
  assert.deepEqual(service.defects, []);
});

test('ids that are in use close the connection', async () => {
  await using service = await openHranaService();
  const cursor = { type: 'open_cursor', cursor_id: 5, batch: { steps: [] } } as const;
  const twice = [
    [{ type: 'open_stream', stream_id: 1 }, /stream 1 is open/],
    [{ type: 'store_sql', sql_id: 9, sql: 'SELECT 1' }, /stored under 9/],
    [{ ...cursor, stream_id: 2 }, /cursor 5 is open/],
    [{ ...cursor, cursor_id: 6, stream_id: 1 }, /stream 1 has a cursor/],
    [{ type: 'execute', stream_id: 1, stmt: { sql_id: 10 } }, /no SQL text is stored under 10/],
  ] as const;
  for (const [again, reason] of twice) {
    const socket = await withStream(service);
    await socket.ask({ type: 'open_stream', stream_id: 2 });
    await socket.ask({ type: 'store_sql', sql_id: 9, sql: 'SELECT 1' });
    await socket.ask({ ...cursor, stream_id: 1 });
    await refuses(socket.ask(again), 'CLOSED_1008');
    await closedWith(socket, 1008, reason);
  }
  await until(() => database(service).openStreams === 0, 'all streams to end');
});

test('a stream that is not open is an answer, and the connection goes on', async () => {
  await using service = await openHranaService();
  await using socket = await withStream(service, 'hrana3-protobuf');
  await refuses(execute(socket, 'SELECT 1', 2), 'STREAM_CLOSED');
  await refuses(socket.ask({ type: 'fetch_cursor', cursor_id: 1, max_count: 1 }), 'STREAM_CLOSED');
  await refuses(socket.ask({ type: 'open_cursor', stream_id: 2, cursor_id: 1, batch: { steps: [] } }), 'STREAM_CLOSED');
  await socket.ask({ type: 'close_stream', stream_id: 2 });
  await socket.ask({ type: 'close_cursor', cursor_id: 1 });
  await socket.ask({ type: 'open_stream', stream_id: 2 });
  await execute(socket, 'SELECT 1', 2);
});

test('streams and texts of a connection are bounded', async () => {
  await using service = await openHranaService();
  await using socket = await greeted(service);
  const open = (stream_id: number) => socket.ask({ type: 'open_stream', stream_id });
  await Promise.all(Array.from({ length: 256 }, (_, id) => open(id)));
  await refuses(open(256), 'TOO_MANY_STREAMS');
  await refuses(execute(socket, 'SELECT 1', 256), 'STREAM_CLOSED');
  await socket.ask({ type: 'close_stream', stream_id: 256 });
  await socket.ask({ type: 'close_stream', stream_id: 0 });
  await open(256);
  const store = (sql_id: number, sql = 'SELECT 1') => socket.ask({ type: 'store_sql', sql_id, sql });
  await Promise.all(Array.from({ length: 255 }, (_, id) => store(id)));
  await refuses(store(255, 'x'.repeat(5_000_000)), 'TOO_MANY_TEXTS');
  await store(255);
  await refuses(store(256), 'TOO_MANY_TEXTS');
  await socket.ask({ type: 'close_sql', sql_id: 0 });
  await store(256);
});

test('requests of a stream are done in their order, without waiting for answers; streams do not wait for each other', async () => {
  await using service = await openHranaService();
  await using socket = await greeted(service);
  const answers: string[] = [];
  const note = async (name: string, promise: Promise<Response>) => {
    await promise;
    answers.push(name);
  };
  void socket.ask({ type: 'open_stream', stream_id: 1 });
  void socket.ask({ type: 'open_stream', stream_id: 2 });
  await execute(socket, 'CREATE TABLE t (a)');
  await execute(socket, 'BEGIN IMMEDIATE');
  const waiting = note('insert', execute(socket, 'INSERT INTO t SELECT count(*) FROM t', 2));
  const asked = [1, 2, 3].map(() => note('first', execute(socket, 'INSERT INTO t SELECT count(*) FROM t')));
  await Promise.all(asked);
  await note('first', execute(socket, 'COMMIT'));
  await waiting;
  assert.deepEqual(answers, ['first', 'first', 'first', 'first', 'insert']);
  const { result } = await execute(socket, 'SELECT a FROM t ORDER BY a');
  assert.deepEqual(result.rows.flat(), [0, 1, 2, 3].map(integer));
});

test('a close comes after all that was asked before it, and then the id is free', async () => {
  await using service = await openHranaService();
  await using socket = await greeted(service);
  const done: string[] = [];
  const asked = [
    socket.ask({ type: 'open_stream', stream_id: 1 }),
    execute(socket, 'CREATE TABLE t (a)'),
    execute(socket, 'INSERT INTO t VALUES (1)'),
    socket.ask({ type: 'close_stream', stream_id: 1 }),
  ].map((each) => each.then(({ type }) => done.push(type)));
  await Promise.all(asked);
  assert.deepEqual(done, ['open_stream', 'execute', 'execute', 'close_stream']);
  assert.equal(database(service).openStreams, 0);
  await socket.ask({ type: 'open_stream', stream_id: 1 });
  assert.deepEqual((await execute(socket, 'SELECT * FROM t')).result.rows, [[integer(1)]]);
});

const ENDLESS = 'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, hex(zeroblob(500)) FROM n';

const openCursor = (socket: Socket, sql = ENDLESS) =>
  socket.ask({ type: 'open_cursor', stream_id: 1, cursor_id: 1, batch: { steps: [{ stmt: { sql } }] } });

const fetchCursor = async (socket: Socket, max_count: number) =>
  (await socket.ask({ type: 'fetch_cursor', cursor_id: 1, max_count })) as unknown as {
    entries: unknown[];
    done: boolean;
  };

test('a cursor hands out no more than was asked for, and not too many bytes', async () => {
  await using service = await openHranaService();
  await using socket = await withStream(service);
  await openCursor(socket);
  assert.deepEqual(await fetchCursor(socket, 0), { type: 'fetch_cursor', entries: [], done: false });
  assert.equal((await fetchCursor(socket, 5)).entries.length, 5);
  const large = (await fetchCursor(socket, 4_000_000_000)).entries.length;
  assert.ok(large > 500 && large < 5_000, `${large} entries`);
  await refuses(execute(socket, 'SELECT 1'), 'STREAM_CLOSED');
  await socket.ask({ type: 'close_cursor', cursor_id: 1 });
  await execute(socket, 'SELECT 1');
});

test('a cursor that has ended goes on ending', async () => {
  await using service = await openHranaService();
  await using socket = await withStream(service, 'hrana3-protobuf');
  await openCursor(socket, 'SELECT 1');
  const fetched = await Promise.all([10, 10, 10].map((count) => fetchCursor(socket, count)));
  assert.deepEqual(
    fetched.map(({ entries, done }) => [entries.length, done]),
    [
      [3, true],
      [0, true],
      [0, true],
    ],
  );
});

test('closing a stream, or the connection, in the middle of a cursor', async () => {
  await using service = await openHranaService();
  const socket = await withStream(service);
  await openCursor(socket);
  const fetching = fetchCursor(socket, 100);
  await socket.ask({ type: 'close_stream', stream_id: 1 });
  assert.equal((await fetching).entries.length, 100);
  await refuses(fetchCursor(socket, 1), 'STREAM_CLOSED');
  await socket.ask({ type: 'open_stream', stream_id: 1 });
  await openCursor(socket);
  await fetchCursor(socket, 1);
  socket.raw.terminate();
  await until(() => database(service).openStreams === 0, 'the stream to end');
  assert.deepEqual(service.defects, []);
});

test('a client that goes away ends its transactions and what it waits for', async () => {
  await using service = await openHranaService();
  const socket = await withStream(service);
  await socket.ask({ type: 'open_stream', stream_id: 2 });
  await execute(socket, 'CREATE TABLE t (a)');
  await execute(socket, 'BEGIN IMMEDIATE');
  await execute(socket, 'INSERT INTO t VALUES (1)');
  execute(socket, 'INSERT INTO t VALUES (2)', 2).catch(() => {});
  await until(() => database(service).busyStreams === 1, 'the second insert to wait');
  socket.raw.terminate();
  await until(() => database(service).openStreams === 0, 'both streams to end');
  await using after = await withStream(service);
  assert.deepEqual((await execute(after, 'SELECT count(*) FROM t')).result.rows, [[integer(0)]]);
});

test('a slow reader is not read from: what it asks for waits', async () => {
  await using service = await openHranaService();
  await using socket = await withStream(service);
  socket.raw.pause();
  const before = database(service).done.statements;
  const asked = Array.from({ length: 80 }, () => execute(socket, 'SELECT hex(zeroblob(500000))'));
  const begun = (await untilStill(() => database(service).done.statements)) - before;
  assert.ok(begun > 0 && begun < 40, `${begun} answers of a megabyte are held`);
  socket.raw.resume();
  assert.equal((await Promise.all(asked)).length, 80);
});

test('who asks faster than is answered is read from no further', async () => {
  await using service = await openHranaService();
  await using socket = await withStream(service);
  const other = await withStream(service);
  await execute(other, 'CREATE TABLE t (a)');
  await execute(other, 'BEGIN IMMEDIATE');
  const asked = Array.from({ length: 5_000 }, () =>
    execute(socket, `INSERT INTO t VALUES (1) -- ${'x'.repeat(2_000)}`),
  );
  const unread = await untilStill(() => socket.raw.bufferedAmount);
  assert.ok(unread > 1_000_000, `${unread} bytes wait at the client`);
  await execute(other, 'COMMIT');
  await Promise.all(asked);
  assert.deepEqual((await execute(other, 'SELECT count(*) FROM t')).result.rows, [[integer(5_000)]]);
  await other[Symbol.asyncDispose]();
});

test('a peer that is only half there is cut off, one that answers pings is not', async () => {
  const clock = new ManualClock();
  await using service = await openHranaService({ clock });
  await using alive = await withStream(service);
  const half = connect(service.port, '127.0.0.1');
  const key = Buffer.alloc(16).toString('base64');
  half.write(
    `GET /main/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: hrana3\r\n\r\n`,
  );
  await once(half, 'data');
  const hello = Buffer.from('{"type":"hello"}');
  half.write(Buffer.concat([Buffer.from([0x81, 0x80 | hello.length, 0, 0, 0, 0]), hello]));
  half.resume();
  const closed = once(half, 'close');
  await until(() => service.hrana.connections === 2, 'both to be there');
  for (let beat = 0; beat < 6; beat++) {
    const ponged = beat < 5 ? once(alive.raw, 'ping') : null;
    await until(() => clock.sleepers > 0, 'the server to wait for a beat');
    clock.advance(BEAT_MS);
    await ponged;
  }
  await closed;
  await execute(alive, 'SELECT 1');
  assert.equal(service.hrana.connections, 1);
});

test('closing the server says goodbye and ends all streams', async () => {
  await using service = await openHranaService();
  const socket = await withStream(service);
  await socket.ask({ type: 'open_stream', stream_id: 2 });
  await execute(socket, 'CREATE TABLE t (a)');
  await execute(socket, 'BEGIN IMMEDIATE');
  const waiting = execute(socket, 'INSERT INTO t VALUES (2)', 2);
  waiting.catch(() => {});
  await until(() => database(service).busyStreams === 1, 'the insert to wait');
  await service.hrana.close();
  await closedWith(socket, 1001, /stopping/);
  await refuses(waiting, 'CLOSED_1001');
  assert.equal(database(service).openStreams, 0);
  const late = new WebSocket(service.url('ws'), 'hrana3');
  const [, response] = (await once(late, 'unexpected-response')) as [unknown, { statusCode: number }];
  assert.equal(response.statusCode, 503);
});
