import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { newKeys, onlyMirror } from '../../test/support/pushed-mirror.ts';
import { SqliteFixture } from '../../test/support/sqlite-fixture.ts';
import { column, schemaOf } from '../../test/support/sqlite-mirror.ts';
import { SpeilError } from '../core/error.ts';
import { Lsn } from '../core/lsn.ts';
import type { RowDataRequest } from '../task/contract.ts';
import { type CallHandlerOptions, type CallLogEntry, createCallHandler } from './call-handler.ts';
import type { CallAnswer, CallRequest, Exchange } from './exchange.ts';
import { createRemoteClient, type RemoteClientOptions } from './remote-client.ts';
import type { TenantMirrors } from './tenant-mirrors.ts';
import { encodeError } from './wire/messages.ts';

const center = newKeys();
const application = newKeys();
const clock = new ManualClock();

const handlerOf = (mirrors: TenantMirrors, more: Partial<CallHandlerOptions> = {}) =>
  createCallHandler({
    mirrors,
    application: 'my-app',
    key: application.secret,
    trusted: [center.open],
    clock,
    build: 'test',
    callBytesMax: 1_000_000,
    ...more,
  });

const clientOf = (send: Exchange['send'], more: Partial<RemoteClientOptions> = {}) =>
  createRemoteClient({
    exchange: { display: 'here', send },
    tenant: 'acme',
    application: 'my-app',
    signingKey: center.secret,
    clientPublicKey: application.open,
    clock,
    ...more,
  });

/** Mirrors whose use fails. */
const failing = (error: unknown): TenantMirrors => ({
  use: () => Promise.reject(error),
  async [Symbol.asyncDispose]() {},
});

/** The longest that a call token is good for. */
const TOKEN_HOLDS_MS = 360_000;

const hello = { tenant: 'acme', clientState: '' };

/** A schema call whose body is long, and its answer too. */
const longCall = {
  clientState: '',
  leaveAlone: [],
  tables: Array.from({ length: 100 }, (_, at) =>
    schemaOf([column('id', 'INTEGER', { nullable: false })], { table: { schema: null, name: `table_${at}` } }),
  ),
};

test('a failure of the mirror is thrown to the task with all that it says', async () => {
  const busy = new SpeilError('MIRROR_BUSY', 'another process holds it', { hint: 'End it.', recovery: 'retry' });
  const statuses: number[] = [];
  const handler = handlerOf(failing(busy));
  const client = clientOf(async (request) => {
    const answer = await handler(request);
    statuses.push(answer.status);
    return answer;
  });
  await assert.rejects(client.authenticate(hello), {
    name: 'SpeilError',
    code: 'MIRROR_BUSY',
    message: 'another process holds it',
    hint: 'End it.',
    recovery: 'retry',
  });
  assert.deepEqual(statuses, [503]);
});

test('a failure that nobody foresaw is told without its stack', async () => {
  const client = clientOf(handlerOf(failing(new TypeError('x is not a function'))));
  await assert.rejects(client.authenticate(hello), { code: 'INTERNAL', message: 'x is not a function' });
});

test('what goes wrong on the way is thrown as the exchange throws it', async () => {
  const lost = new SpeilError('CONNECTION_LOST', 'cut', { recovery: 'retry' });
  await assert.rejects(clientOf(() => Promise.reject(lost)).authenticate(hello), lost);
});

test('an answer that is no success and does not say why is a broken contract', async () => {
  const body = Buffer.from('{"code":"NEW_IN_VERSION_9","message":"","hint":null,"recovery":"retry"}');
  for (const answer of [body, Buffer.alloc(0), Buffer.from('<html>')]) {
    const client = clientOf(async () => ({ status: 500, encoding: 'identity', body: answer }));
    await assert.rejects(client.wipe({ clientState: '', schema: longCall.tables[0] ?? schemaOf([]), start }), {
      code: 'CONTRACT_BROKEN',
    });
  }
});

const start = { lsn: Lsn.of(1), token: '', lineage: '', bookmark: null };

test('a call that is larger than the client said it takes is not sent', async () => {
  await using fixture = new SqliteFixture();
  const handler = handlerOf(onlyMirror(await fixture.mirror()), { callBytesMax: 5_000 });
  const sent: CallRequest[] = [];
  const client = clientOf(async (request) => {
    sent.push(request);
    return handler(request);
  });
  await assert.rejects(client.tableSchema(longCall), { code: 'CALL_TOO_LARGE' });
  assert.equal(sent.length, 1, 'the client did not say yet');
  await client.authenticate(hello);
  await assert.rejects(client.tableSchema(longCall), { code: 'CALL_TOO_LARGE' });
  assert.equal(sent.length, 2);
});

test('bodies and answers are compressed only when the task wants it', async () => {
  await using fixture = new SqliteFixture();
  const handler = handlerOf(onlyMirror(await fixture.mirror()));
  const seen: (readonly [CallRequest, CallAnswer])[] = [];
  const send: Exchange['send'] = async (request) => {
    const answer = await handler(request);
    seen.push([request, answer]);
    return answer;
  };
  const plain = await clientOf(send).tableSchema(longCall);
  const compressed = await clientOf(send, { compress: true }).tableSchema(longCall);
  assert.deepEqual(
    seen.map(([request, answer]) => [request.encoding, answer.encoding]),
    [
      ['identity', 'identity'],
      ['zstd', 'zstd'],
    ],
  );
  assert.equal(compressed.tables.length, plain.tables.length);
});

test('every call has a token of its own', async () => {
  const tokens = new Set<string>();
  const client = clientOf(async ({ token }) => {
    tokens.add(token);
    return {
      status: 500,
      encoding: 'identity',
      body: encodeError({ code: 'INTERNAL', message: '', hint: null, recovery: 'retry' }),
    };
  });
  for (const _ of [1, 2, 3]) await assert.rejects(client.authenticate(hello), { code: 'INTERNAL' });
  assert.equal(tokens.size, 3);
});

/** Rows that no mirror takes, and that compress well. */
const rowsCall = (): RowDataRequest => ({
  clientState: '',
  batches: [
    {
      table: { schema: null, name: 'person' },
      schemaHash: 'none',
      format: 'typed',
      rows: Buffer.alloc(4_000, 'row\n'),
      rowCount: 1_000,
      phase: { kind: 'copy', progress: '', done: false },
    },
  ],
});

test('a call that was prepared is sent at once, with a token of that moment, and may be repeated', async () => {
  await using fixture = new SqliteFixture();
  const handler = handlerOf(onlyMirror(await fixture.mirror()));
  const sent: CallRequest[] = [];
  const client = clientOf(
    (request) => {
      sent.push(request);
      return handler(request);
    },
    { compress: true },
  );
  const request = rowsCall();
  await client.prepareRowData?.(request);
  assert.equal(sent.length, 0);
  clock.advance(TOKEN_HOLDS_MS);
  const answer = client.rowData(request);
  assert.equal(sent.length, 1, 'compressed before');
  const { tables } = await answer;
  assert.match(tables[0]?.error?.message ?? '', /not one of the mirror’s tables/, 'it was trusted and read');
  await client.rowData(request);
  await client.rowData(rowsCall());
  const [first, ...others] = sent;
  for (const { token, encoding, body } of others) {
    assert.notEqual(token, first?.token);
    assert.deepEqual([encoding, body], ['zstd', first?.body]);
  }
});

test('a call that is prepared and larger than the client takes is refused when it is made', async () => {
  await using fixture = new SqliteFixture();
  const handler = handlerOf(onlyMirror(await fixture.mirror()), { callBytesMax: 3_000 });
  const client = clientOf(handler, { compress: true });
  await client.authenticate(hello);
  const request = rowsCall();
  await client.prepareRowData?.(request);
  await assert.rejects(client.rowData(request), { code: 'CALL_TOO_LARGE' });
});

test('a call is sent before whoever waits for the next turn has it, a source that reads for instance', async () => {
  let turns = 0;
  const client = clientOf(async () => {
    assert.equal(turns, 0);
    throw new SpeilError('INTERRUPTED', 'enough');
  });
  setImmediate(() => turns++);
  await assert.rejects(client.rowData({ clientState: '', batches: [] }), { code: 'INTERRUPTED' });
});

test('the signal of the task reaches the exchange', async () => {
  const { signal } = new AbortController();
  const client = clientOf(
    async (_request, given) => {
      assert.equal(given, signal);
      throw new SpeilError('INTERRUPTED', 'enough');
    },
    { signal },
  );
  await assert.rejects(client.authenticate(hello), { code: 'INTERRUPTED' });
});

test('the log has each call with its tenant, once it is trusted, and never a token', async () => {
  await using fixture = new SqliteFixture();
  const entries: CallLogEntry[] = [];
  const handler = handlerOf(onlyMirror(await fixture.mirror()), { log: (entry) => void entries.push(entry) });
  await clientOf(handler).authenticate(hello);
  await assert.rejects(clientOf(handler, { signingKey: newKeys().secret }).authenticate(hello));
  assert.notEqual(await handler.refusal('wipe', 'no token'), null);
  assert.deepEqual(
    entries.map(({ call, tenant, status, error }) => [call, tenant, status, error?.code]),
    [
      ['authenticate', 'acme', 200, undefined],
      ['authenticate', null, 401, 'TRUST_REFUSED'],
      ['wipe', null, 401, 'TRUST_REFUSED'],
    ],
  );
  assert.doesNotMatch(JSON.stringify(entries), /eyJ/);
});

test('a call of one tenant uses the mirror of that tenant only', async () => {
  await using fixture = new SqliteFixture();
  const mirror = await fixture.mirror();
  const used: string[] = [];
  const mirrors: TenantMirrors = {
    ...onlyMirror(mirror),
    use: (tenant, _state, work) => {
      used.push(tenant);
      return work(mirror);
    },
  };
  const handler = handlerOf(mirrors);
  for (const tenant of ['acme', 'other']) await clientOf(handler, { tenant }).authenticate({ tenant, clientState: '' });
  await assert.rejects(clientOf(handler).authenticate({ tenant: 'other', clientState: '' }), /^SpeilError: tenant/);
  assert.deepEqual(used, ['acme', 'other']);
});
