import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { DirectSqlDatabase } from '../support/direct-sql-database.ts';
import type { Batch, Condition, Entry, Request } from '../support/hrana-json.ts';
import { encode } from '../support/hrana-schema.ts';
import { type HranaService, openHranaService } from '../support/hrana-service.ts';
import { failureOf, post } from '../support/hrana-transports.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { until, untilStill } from '../support/until.ts';

const execute = (sql: string): Request => ({ type: 'execute', stmt: { sql } });
const CREATE = execute('CREATE TABLE was_carried_out (a)');

const pipeline = (requests: readonly unknown[], baton: string | null = null) => JSON.stringify({ baton, requests });

const refused = async (url: string, body: string | Uint8Array, status = 400, code = 'PROTOCOL_BROKEN') => {
  const failure = await failureOf(await post(url, body));
  assert.deepEqual([failure.status, failure.code], [status, code], `${failure.message} for ${`${body}`.slice(0, 200)}`);
  return failure.message;
};

const tablesOf = async (service: HranaService) => {
  const response = await post(`${service.url()}v2/pipeline`, pipeline([execute('SELECT name FROM sqlite_schema')]));
  const { results } = (await response.json()) as { results: [{ response: { result: { rows: unknown[] } } }] };
  return results[0].response.result.rows.length;
};

/** A pipeline that is broken in its last request. */
const BROKEN: readonly (readonly [request: unknown, says: RegExp])[] = [
  [null, /request has to be an object/],
  [7, /request has to be an object/],
  [[], /request has to be an object/],
  [{}, /request has no type/],
  [{ type: 'drop' }, /unknown type of request: drop/],
  [{ type: 'toString' }, /unknown type of request: toString/],
  [{ type: 'execute' }, /stmt is missing/],
  [{ type: 'execute', stmt: [] }, /stmt has to be an object/],
  [{ type: 'execute', stmt: {} }, /one of sql and sql_id/],
  [{ type: 'execute', stmt: { sql: 'SELECT 1', sql_id: 1 } }, /one of sql and sql_id/],
  [{ type: 'execute', stmt: { sql: 1 } }, /sql has to be a string/],
  [{ type: 'execute', stmt: { sql_id: 1 } }, /no SQL text is stored under 1/],
  [{ type: 'execute', stmt: { sql_id: 2 ** 31 } }, /sql_id has to be an integer of 32 bits/],
  [{ type: 'execute', stmt: { sql: 'SELECT 1', args: {} } }, /args has to be an array/],
  [{ type: 'execute', stmt: { sql: 'SELECT 1', want_rows: 'yes' } }, /want_rows has to be a boolean/],
  [{ type: 'execute', stmt: { sql: 'SELECT \ud800' } }, /half a surrogate/],
  [{ type: 'batch' }, /batch is missing/],
  [{ type: 'batch', batch: {} }, /steps is missing/],
  [{ type: 'batch', batch: { steps: [{}] } }, /stmt is missing/],
  [{ type: 'sequence' }, /one of sql and sql_id/],
  [{ type: 'describe', sql_id: 'x' }, /sql_id has to be an integer/],
  [{ type: 'store_sql', sql: 'SELECT 1' }, /sql_id is missing/],
  [{ type: 'store_sql', sql_id: 1.5, sql: 'SELECT 1' }, /sql_id has to be an integer/],
  [{ type: 'close_sql' }, /sql_id is missing/],
];

const BROKEN_VALUES: readonly (readonly [value: unknown, says: RegExp])[] = [
  [null, /value has to be an object/],
  [{}, /value has no type/],
  [{ type: 'date' }, /unknown type of value: date/],
  [{ type: 'integer', value: '9223372036854775808' }, /64 bits/],
  [{ type: 'integer', value: '-9223372036854775809' }, /64 bits/],
  [{ type: 'integer', value: '1'.repeat(1_000) }, /text of digits/],
  [{ type: 'integer', value: '1.5' }, /text of digits/],
  [{ type: 'integer', value: '0x10' }, /text of digits/],
  [{ type: 'integer', value: '' }, /text of digits/],
  [{ type: 'integer', value: 2 ** 53 }, /integer has to be a string/],
  [{ type: 'float', value: '1.5' }, /float has to be a number/],
  [{ type: 'float', value: null }, /float has to be a number/],
  [{ type: 'text', value: 1 }, /text has to be a string/],
  [{ type: 'text' }, /text is missing/],
  [{ type: 'blob', base64: '!!!!' }, /not base64/],
  [{ type: 'blob', base64: 'AAAAA' }, /not base64/],
  [{ type: 'blob', base64: 'AA=A' }, /not base64/],
  [{ type: 'blob', base64: 'AA===' }, /not base64/],
  [{ type: 'blob', value: 'AAAA' }, /base64 is missing/],
];

const BROKEN_CONDITIONS: readonly (readonly [condition: unknown, says: RegExp])[] = [
  [{}, /condition has no type/],
  [{ type: 'maybe' }, /unknown type of condition: maybe/],
  [{ type: 'ok' }, /step is missing/],
  [{ type: 'ok', step: 1 }, /step 1, which is not before it/],
  [{ type: 'error', step: 4_000_000_000 }, /not before it/],
  [{ type: 'ok', step: -1 }, /unsigned integer/],
  [{ type: 'not' }, /condition is missing/],
  [{ type: 'and', conds: {} }, /conds has to be an array/],
  [{ type: 'or', conds: [{ type: 'not', cond: { type: 'ok', step: 9 } }] }, /not before it/],
];

test('what is no protocol is refused with a reason, and nothing of it is carried out', async () => {
  await using service = await openHranaService();
  const url = `${service.url()}v3/pipeline`;
  const withValue = (value: unknown) => ({ type: 'execute', stmt: { sql: 'SELECT ?', args: [value] } });
  const withCondition = (condition: unknown) => {
    const stmt = { sql: 'SELECT 1' };
    return { type: 'batch', batch: { steps: [{ stmt }, { stmt, condition }] } };
  };
  const cases = [
    ...BROKEN,
    ...BROKEN_VALUES.map(([value, says]) => [withValue(value), says] as const),
    ...BROKEN_CONDITIONS.map(([condition, says]) => [withCondition(condition), says] as const),
  ];
  for (const [request, says] of cases) assert.match(await refused(url, pipeline([CREATE, request])), says);
  assert.equal(await tablesOf(service), 0);
  assert.deepEqual(service.defects, []);
});

test('bodies that are no JSON, no UTF-8 and no protobuf', async () => {
  await using service = await openHranaService();
  const url = `${service.url()}v2/pipeline`;
  assert.match(await refused(url, ''), /not JSON/);
  assert.match(await refused(url, '{"requests":['), /not JSON/);
  assert.match(await refused(url, 'null'), /body has to be an object/);
  assert.match(await refused(url, '{"requests":{}}'), /requests has to be an array/);
  assert.match(await refused(url, '{"baton":1,"requests":[]}'), /baton has to be a string/);
  assert.match(await refused(url, Buffer.from([0x22, 0xff, 0xfe, 0x22])), /not UTF-8/);
  const protobuf = `${service.url()}v3-protobuf/pipeline`;
  const good = encode('PipelineRequest', { requests: [{ execute: { stmt: { sql: 'SELECT 1' } } }] });
  for (let length = 1; length < good.length; length++) await refused(protobuf, good.subarray(0, length));
  await refused(protobuf, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]));
  const badText = Buffer.from(good);
  badText[good.length - 1] = 0xff;
  await refused(protobuf, badText);
  assert.match(await refused(protobuf, encode('PipelineRequest', { requests: [{}] })), /request is missing/);
  assert.deepEqual(service.defects, []);
});

test('fields that are not known are ignored', async () => {
  await using service = await openHranaService();
  const stmt = { sql: 'SELECT 1', replication_index: 5, __proto__: { sql: 'SELECT 2' }, constructor: 1 };
  const body = JSON.stringify({ requests: [{ type: 'execute', stmt, hint: {} }], extra: [[[]]] });
  assert.equal((await post(`${service.url()}v2/pipeline`, body)).status, 200);
});

test('conditions that are nested ten thousand deep', async () => {
  await using service = await openHranaService();
  const nest = (depth: number) => {
    let condition: Condition = { type: 'ok', step: 0 };
    for (let each = 1; each < depth; each++) condition = { type: 'not', cond: condition };
    return condition;
  };
  const steps = (depth: number): Batch['steps'] => [
    { stmt: { sql: 'SELECT 1' } },
    { stmt: { sql: 'SELECT 1' }, condition: nest(depth) },
  ];
  const url = `${service.url()}v3/pipeline`;
  assert.equal((await post(url, pipeline([{ type: 'batch', batch: { steps: steps(64) } }]))).status, 200);
  assert.match(await refused(url, pipeline([{ type: 'batch', batch: { steps: steps(65) } }])), /more than 64 deep/);
  const text = `${'{"type":"not","cond":'.repeat(10_000)}{"type":"ok","step":0}${'}'.repeat(10_000)}`;
  const body = `{"requests":[{"type":"batch","batch":{"steps":[{"stmt":{"sql":"SELECT 1"},"condition":${text}}]}}]}`;
  assert.match(await refused(url, body), /more than 64 deep/);
  assert.match(await refused(`${service.url()}v3-protobuf/pipeline`, nestedProtobuf(10_000)), /more than 64 deep/);
  assert.match(await refused(url, '['.repeat(1_000_000)), /not JSON/);
});

/** A pipeline with a condition of so many `not`s, put together from the inside. */
function nestedProtobuf(depth: number): Uint8Array {
  const wrap = (field: number, inner: Buffer) => {
    const length: number[] = [];
    for (let left = inner.length; ; left >>>= 7) {
      length.push(left > 0x7f ? (left & 0x7f) | 0x80 : left);
      if (left <= 0x7f) break;
    }
    return Buffer.concat([Buffer.from([(field << 3) | 2, ...length]), inner]);
  };
  let condition = Buffer.from([0x08, 0x00]);
  for (let each = 0; each < depth; each++) condition = wrap(3, condition);
  const step = Buffer.concat([wrap(1, condition), wrap(2, wrap(1, Buffer.from('SELECT 1')))]);
  return wrap(2, wrap(3, wrap(1, wrap(1, step))));
}

test('a pipeline of thousands is served, one of more is refused', async () => {
  await using service = await openHranaService();
  const url = `${service.url()}v3/pipeline`;
  const many = (count: number) => pipeline(Array.from({ length: count }, () => execute('SELECT 1')));
  const response = await post(url, many(10_000));
  assert.equal(((await response.json()) as { results: unknown[] }).results.length, 10_000);
  assert.match(await refused(url, many(10_001)), /more than 10000 requests/);
});

test('paths and methods that there are not', async () => {
  await using service = await openHranaService();
  const url = service.url();
  for (const path of ['v2', 'v3', 'v3-protobuf']) assert.equal((await fetch(`${url}${path}`)).status, 200, path);
  for (const path of ['', 'v1', 'v4/pipeline', 'v2/cursor', 'v3/', 'v3/pipeline/x', 'v3-json/pipeline'])
    await refused(`${url}${path}`, '{}', 404, 'NOT_FOUND');
  const wrong = await fetch(`${url}v3/pipeline`);
  assert.deepEqual([wrong.status, wrong.headers.get('allow')], [405, 'POST']);
  assert.equal((await post(`${url}v3`, '')).status, 405);
});

test('a body beyond the bound is refused when it is announced, and when it does not end', async () => {
  await using service = await openHranaService({ limits: { requestBytes: 100_000 } });
  const url = `${service.url()}v2/pipeline`;
  const large = pipeline([execute(`SELECT '${'x'.repeat(100_000)}'`)]);
  await refused(url, large, 413, 'REQUEST_TOO_LARGE');
  const socket = connect(service.port, '127.0.0.1');
  socket.write('POST /main/v2/pipeline HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
  const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
  const goOn = () => {
    while (!socket.destroyed && socket.write(chunk));
  };
  const closed = new Promise((done) => socket.on('error', () => {}).on('close', done));
  socket.on('drain', goOn);
  goOn();
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1.1 413 .*REQUEST_TOO_LARGE/s);
  await closed;
});

/** Sends a request and returns the connection that its answer would come on. */
async function send(service: HranaService, path: string, body: string): Promise<Socket> {
  const socket = connect(service.port, '127.0.0.1');
  socket.on('error', () => {});
  const head = `POST /main/${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
  socket.write(head + body);
  await once(socket, 'connect');
  return socket;
}

test('a client that goes away ends what it asked for', async () => {
  await using service = await openHranaService({ databases: [new DirectSqlDatabase({ busyMs: 600_000 })] });
  const [database] = service.databases as [DirectSqlDatabase];
  const holder = database.openStream('write');
  await holder.sequence('CREATE TABLE t (a); BEGIN IMMEDIATE');
  const socket = await send(service, 'v2/pipeline', pipeline([execute('INSERT INTO t VALUES (1)')]));
  await until(() => database.busyStreams === 1, 'the insert to wait for the writer');
  socket.destroy();
  await until(() => database.openStreams === 1, 'the stream of the client to end');
  await holder.sequence('COMMIT');
  await holder[Symbol.asyncDispose]();
  assert.deepEqual(service.defects, []);
});

test('a client that goes away while it sends leaves nothing behind', async () => {
  await using service = await openHranaService();
  const socket = connect(service.port, '127.0.0.1');
  socket.write('POST /main/v2/pipeline HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"requests":');
  await once(socket, 'connect');
  socket.destroy();
  await once(socket, 'close');
  assert.equal((await fetch(`${service.url()}v2`)).status, 200);
  assert.deepEqual(service.defects, []);
});

const ENDLESS = 'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, hex(zeroblob(500)) FROM n';
const cursorBody = (sql: string, baton: string | null = null) =>
  JSON.stringify({ baton, batch: { steps: [{ stmt: { sql } }] } });

test('a cursor reads no further than its client, and a client that takes nothing is cut off', async () => {
  const clock = new ManualClock();
  await using service = await openHranaService({ clock });
  const [database] = service.databases as [DirectSqlDatabase];
  const socket = await send(service, 'v3/cursor', cursorBody(ENDLESS));
  socket.pause();
  const rows = await untilStill(() => database.done.cursorRows);
  assert.ok(rows > 0 && rows < 50_000, `${rows} rows are held`);
  assert.equal(database.openStreams, 1);
  clock.advance(60_000);
  socket.resume();
  await once(socket, 'close');
  await until(() => service.hrana.keptStreams === 1, 'the stream to wait');
  clock.advance(10_000);
  await until(() => database.openStreams === 0, 'the stream to end');
});

test('a stream goes on when its client has read enough of a cursor', async () => {
  await using service = await openHranaService();
  const begun = await post(`${service.url()}v3/pipeline`, pipeline([execute('BEGIN'), execute('CREATE TABLE t (a)')]));
  const { baton } = (await begun.json()) as { baton: string };
  const response = await post(`${service.url()}v3/cursor`, cursorBody(ENDLESS, baton));
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const { value } = await reader.read();
  const next = JSON.parse(
    Buffer.from(value ?? [])
      .toString()
      .split('\n')[0] ?? '',
  ) as { baton: string };
  const after = post(`${service.url()}v3/pipeline`, pipeline([execute('SELECT count(*) FROM t')], next.baton));
  await reader.cancel();
  const { results } = (await (await after).json()) as { results: [{ response: { result: { rows: unknown } } }] };
  assert.deepEqual(results[0].response.result.rows, [[{ type: 'integer', value: '0' }]]);
});

test('a cursor that cannot go on says so in its last entry', async () => {
  await using service = await openHranaService();
  const response = await post(`${service.url()}v3/cursor`, cursorBody(ENDLESS));
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  const closing = service.hrana.close();
  const chunks: Uint8Array[] = [];
  for (let read = await reader.read(); !read.done; read = await reader.read()) chunks.push(read.value);
  const lines = Buffer.concat(chunks).toString().trimEnd().split('\n');
  const last = JSON.parse(lines.at(-1) ?? '') as Entry;
  assert.deepEqual([last.type, last.error?.code], ['error', 'DATABASE_STOPPED']);
  await closing;
});

test('too many streams, and a database that may only be read', async () => {
  const databases = [new DirectSqlDatabase({ streamsMax: 2 })];
  await using service = await openHranaService({ databases, tokens: { eve: { access: 'read', identity: 'eve' } } });
  const url = `${service.url()}v2/pipeline`;
  const write = await post(url, pipeline([CREATE, { type: 'close' }]), 'eve');
  const { results } = (await write.json()) as { results: [{ error: { code: string } }] };
  assert.equal(results[0].error.code, 'SQLITE_READONLY');
  for (let each = 0; each < 2; each++) await post(url, pipeline([execute('SELECT 1')]));
  await refused(url, pipeline([execute('SELECT 1')]), 503, 'TOO_MANY_STREAMS');
});

test('what is running when the server closes is cancelled and answered', async () => {
  await using service = await openHranaService();
  const [database] = service.databases as [DirectSqlDatabase];
  const holder = database.openStream('write');
  await holder.sequence('CREATE TABLE t (a); BEGIN IMMEDIATE');
  const asked = refused(
    `${service.url()}v2/pipeline`,
    pipeline([execute('INSERT INTO t VALUES (1)')]),
    503,
    'DATABASE_STOPPED',
  );
  await until(() => database.busyStreams === 1, 'the insert to wait for the writer');
  await service.hrana.close();
  await asked;
  await holder[Symbol.asyncDispose]();
});
