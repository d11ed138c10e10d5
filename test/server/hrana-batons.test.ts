import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DirectSqlDatabase } from '../support/direct-sql-database.ts';
import type { Request, Response } from '../support/hrana-json.ts';
import { openHranaService, type Token } from '../support/hrana-service.ts';
import { failureOf, post } from '../support/hrana-transports.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { until } from '../support/until.ts';

const TOKENS: Readonly<Record<string, Token>> = {
  ann: { access: 'write', identity: 'ann' },
  bob: { access: 'write', identity: 'bob' },
};

type Answered = { readonly baton: string | null; readonly results: readonly { response: Response }[] };

const execute = (sql: string): Request => ({ type: 'execute', stmt: { sql } });

/** A pipeline of these statements; throws what the server refuses. */
async function ask(url: string, baton: string | null, requests: readonly (Request | string)[], token?: string) {
  const list = requests.map((request) => (typeof request === 'string' ? execute(request) : request));
  const response = await post(`${url}v2/pipeline`, JSON.stringify({ baton, requests: list }), token);
  if (!response.ok) throw await failureOf(response);
  return (await response.json()) as Answered;
}

const value = ({ results }: Answered) => results.at(-1)?.response.result.rows[0]?.[0];

const REFUSED = { code: 'BATON_REFUSED', status: 400 };

test('a baton is good once, and changes with each answer', async () => {
  await using service = await openHranaService();
  const url = service.url();
  const first = await ask(url, null, ['CREATE TABLE t (a)', 'BEGIN', 'INSERT INTO t VALUES (1)']);
  const second = await ask(url, first.baton, ['INSERT INTO t VALUES (2)']);
  assert.notEqual(first.baton, second.baton);
  await assert.rejects(ask(url, first.baton, ['INSERT INTO t VALUES (3)']), REFUSED);
  const third = await ask(url, second.baton, ['SELECT count(*) FROM t', { type: 'close' }]);
  assert.equal(third.baton, null);
  await assert.rejects(ask(url, second.baton, ['SELECT 1']), { code: 'STREAM_EXPIRED', status: 400 });
  assert.equal(service.hrana.keptStreams, 0);
});

test('of two requests with one baton one is served', async () => {
  await using service = await openHranaService();
  const { baton } = await ask(service.url(), null, ['CREATE TABLE t (a)', 'BEGIN']);
  const asked = Array.from({ length: 8 }, () => ask(service.url(), baton, ['INSERT INTO t VALUES (1)']));
  const answered = (await Promise.allSettled(asked)).filter(({ status }) => status === 'fulfilled');
  assert.equal(answered.length, 1);
  const [served] = answered as [PromiseFulfilledResult<Answered>];
  assert.deepEqual(value(await ask(service.url(), served.value.baton, ['SELECT count(*) FROM t'])), {
    type: 'integer',
    value: '1',
  });
});

test('a forged baton is refused, and the stream goes on', async () => {
  await using service = await openHranaService();
  await using other = await openHranaService();
  const { baton } = await ask(service.url(), null, ['SELECT 1']);
  const [stream = '', turn = '', signature = ''] = baton?.split('.') ?? [];
  const flipped = `${signature[0] === 'A' ? 'B' : 'A'}${signature.slice(1)}`;
  const foreign = (await ask(other.url(), null, ['SELECT 1'])).baton;
  const forged = [
    '',
    'baton',
    '\u{1f600}',
    `${stream}.${turn}`,
    `${stream}.${turn}.`,
    `${stream}.${Number(turn) + 1}.${signature}`,
    `${stream}.${turn}.${flipped}`,
    `${stream}.${turn}.${signature}A`,
    `${stream}.0${turn}.${signature}`,
    `${stream.replace(/^./, (digit) => (digit === '0' ? '1' : '0'))}.${turn}.${signature}`,
    'x'.repeat(1_000_000),
    foreign,
  ];
  for (const each of forged)
    await assert.rejects(ask(service.url(), each, ['SELECT 1']), REFUSED, `${each}`.slice(0, 99));
  await ask(service.url(), baton, ['SELECT 1']);
});

test('a baton is good only for the token and the database that it was made for', async () => {
  const databases = [new DirectSqlDatabase({ name: 'main' }), new DirectSqlDatabase({ name: 'other' })];
  const tokens: Record<string, Token> = { ...TOKENS };
  await using service = await openHranaService({ databases, tokens });
  const { baton } = await ask(service.url(), null, ['SELECT 1'], 'ann');
  await assert.rejects(ask(service.url(), baton, ['SELECT 1'], 'bob'), REFUSED);
  await assert.rejects(ask(service.url(), baton, ['SELECT 1']), REFUSED);
  await assert.rejects(ask(service.url('http', 'other'), baton, ['SELECT 1'], 'ann'), REFUSED);
  tokens['ann'] = { access: 'read', identity: 'ann' };
  await assert.rejects(ask(service.url(), baton, ['SELECT 1'], 'ann'), REFUSED);
  tokens['ann'] = { access: 'write', identity: 'ann' };
  await ask(service.url(), baton, ['SELECT 1'], 'ann');
});

test('a stream that nobody asks for expires, and its transaction with it', async () => {
  const clock = new ManualClock();
  await using service = await openHranaService({ clock, limits: { idleMs: 10_000 } });
  const url = service.url();
  await ask(url, null, ['CREATE TABLE t (a)', { type: 'close' }]);
  let { baton } = await ask(url, null, ['BEGIN IMMEDIATE', 'INSERT INTO t VALUES (1)']);
  const idle = await ask(url, null, ['SELECT 1']);
  for (let round = 0; round < 3; round++) {
    clock.advance(9_000);
    ({ baton } = await ask(url, baton, ['SELECT count(*) FROM t']));
  }
  await assert.rejects(ask(url, idle.baton, ['SELECT 1']), { code: 'STREAM_EXPIRED', status: 400 });
  assert.equal(service.hrana.keptStreams, 1);
  clock.advance(10_000);
  await until(() => service.databases[0]?.openStreams === 0, 'the stream to end');
  await assert.rejects(ask(url, baton, ['COMMIT']), { code: 'STREAM_EXPIRED', message: /10 s.*transaction/s });
  const count = await ask(url, null, ['BEGIN IMMEDIATE', 'SELECT count(*) FROM t', { type: 'close' }]);
  assert.deepEqual(count.results[1]?.response.result.rows, [[{ type: 'integer', value: '0' }]]);
  assert.equal(clock.sleepers, 0);
});

test('what a pipeline that is closed does after its end is refused', async () => {
  await using service = await openHranaService();
  const response = await post(
    `${service.url()}v3/pipeline`,
    JSON.stringify({ requests: [{ type: 'close' }, execute('SELECT 1'), { type: 'close' }] }),
  );
  const { results, baton } = (await response.json()) as { results: { error?: { code: string } }[]; baton: null };
  assert.deepEqual(
    results.map(({ error }) => error?.code),
    [undefined, 'STREAM_CLOSED', 'STREAM_CLOSED'],
  );
  assert.equal(baton, null);
});

test('closing the server ends the streams that wait', async () => {
  await using service = await openHranaService();
  await ask(service.url(), null, ['BEGIN IMMEDIATE', 'CREATE TABLE t (a)']);
  await service.hrana.close();
  assert.equal(service.databases[0]?.openStreams, 0);
  assert.equal(service.hrana.keptStreams, 0);
});
