import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { Streams } from '../../src/server/streams/streams.ts';
import { outcome, rows, run, serve, step, until } from '../support/streams/served-streams.ts';

const schema = `create table t(a integer primary key, b);
  insert into t with recursive n(x) as (values (1) union all select x + 1 from n where x < 1000) select x, x from n`;
const ENDLESS = 'with recursive n(x) as (values (1) union all select x + 1 from n) select count(*) from n';
const ENDLESS_UPDATE = `update t set b = (${ENDLESS}) where a = 1`;

/** Until a statement runs that does not end by itself. */
const running = (streams: Streams) => until(() => streams.executorCounts.busy > 0, 'it runs');

const children = (): string[] =>
  execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes('executor.ts'));

test('a long SELECT stops nobody, and is cancelled', async (t) => {
  const { streams } = serve(t, { schema, settings: { readersMax: 2 } });
  const cancel = new AbortController();
  const long = streams.openStream('read').batch([step(ENDLESS)], { signal: cancel.signal });
  await running(streams);
  await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      const stream = streams.openStream('write');
      assert.deepEqual(await rows(stream, 'select b from t where a = 7'), [[7n]]);
      await run(stream, 'insert into t values (?, 0)', [BigInt(5_000 + index)]);
    }),
  );
  cancel.abort(new Error('not wanted any more'));
  await assert.rejects(long, /not wanted any more/);
  const all = [streams.openStream('read'), streams.openStream('read')].map((stream) =>
    rows(stream, 'select count(*) from t'),
  );
  assert.deepEqual(await Promise.all(all), [[[1_050n]], [[1_050n]]]);
});

test('a long UPDATE that is cancelled frees the queue, and those behind it are carried out once', async (t) => {
  const { streams, file } = serve(t, { schema });
  await run(streams.openStream('write'), 'insert into t values (2000, 0)');
  const cancel = new AbortController();
  const long = streams.openStream('write').batch([step(ENDLESS_UPDATE)], { signal: cancel.signal });
  const behind = Array.from({ length: 20 }, (_, index) =>
    run(streams.openStream('write'), 'insert into t values (?, 0)', [BigInt(3_000 + index)]),
  );
  const transaction = streams.openStream('write');
  const begun = run(transaction, 'begin immediate');
  await running(streams);
  cancel.abort(new Error('not wanted any more'));
  await assert.rejects(long, /not wanted any more/);
  await Promise.all(behind);
  await begun;
  await run(transaction, 'commit');
  assert.equal(file.value('select count(*) from t'), 1_021);
  assert.equal(file.value('select b from t where a = 1'), 1);
});

test('cancelling within a transaction rolls it back, and the stream is of use again', async (t) => {
  const { streams, file } = serve(t, { schema });
  for (const [begin, statement] of [
    ['begin immediate', ENDLESS_UPDATE],
    ['begin', ENDLESS],
    ['begin', ENDLESS_UPDATE],
  ] as const) {
    const stream = streams.openStream('write');
    await run(stream, begin);
    await run(stream, begin === 'begin' && statement === ENDLESS ? 'select 1' : 'insert into t values (9000, 0)');
    const cancel = new AbortController();
    const long = stream.batch([step(statement)], { signal: cancel.signal });
    await running(streams);
    cancel.abort(new Error('not wanted any more'));
    await assert.rejects(long, /not wanted any more/);
    assert.equal(stream.isAutocommit, true);
    assert.deepEqual(await rows(stream, 'select count(*) from t'), [[1_000n]]);
    await run(stream, 'update t set b = b where a = 2');
  }
  assert.equal(file.value('select count(*) from t'), 1_000);
});

test('what waits in the queue is cancelled without anybody noticing', async (t) => {
  const { streams, file } = serve(t, { schema });
  const holder = streams.openStream('write');
  await run(holder, 'begin immediate');
  const cancel = new AbortController();
  const options = { signal: cancel.signal };
  const waiting = [
    streams.openStream('write').batch([step('delete from t')], options),
    streams.openStream('write').batch([step('begin immediate')], options),
    streams.openStream('write').sequence('create temp table x(a); delete from t', options),
  ];
  await until(() => streams.waitingWriters === 3, 'they wait');
  cancel.abort(new Error('not wanted any more'));
  for (const answer of waiting) await assert.rejects(answer, /not wanted any more/);
  await assert.rejects(streams.openStream('write').batch([step('delete from t')], options), /not wanted any more/);
  await run(holder, 'commit');
  await run(streams.openStream('write'), 'update t set b = 0 where a = 1');
  assert.equal(file.value('select count(*) from t'), 1_000);
});

test('others that have a connection where a statement was ended are told, and lose nothing that was committed', async (t) => {
  const { streams } = serve(t, { schema, settings: { readersMax: 1 } });
  const [pinned, long] = [streams.openStream('write'), streams.openStream('read')];
  await run(pinned, 'create temp table x(a)');
  const cancel = new AbortController();
  const answer = long.batch([step(ENDLESS)], { signal: cancel.signal });
  await running(streams);
  const waiting = rows(streams.openStream('read'), 'select count(*) from t');
  cancel.abort();
  await assert.rejects(answer, { name: 'AbortError' });
  await assert.rejects(run(pinned, 'select * from x'), { code: 'STREAM_EXPIRED' });
  assert.deepEqual(await waiting, [[1_000n]]);
});

test('a statement that runs for longer than allowed is cancelled', async (t) => {
  const { streams } = serve(t, { schema, settings: { readMsMax: 300, writeMsMax: 300 } });
  const stream = streams.openStream('write');
  await assert.rejects(run(stream, ENDLESS), { code: 'STATEMENT_CANCELLED' });
  await assert.rejects(run(stream, ENDLESS_UPDATE), { code: 'STATEMENT_CANCELLED' });
  await run(stream, 'begin');
  await run(stream, 'select 1');
  await assert.rejects(run(stream, ENDLESS), { code: 'STATEMENT_CANCELLED' });
  assert.equal(stream.isAutocommit, true);
  assert.deepEqual(await rows(stream, 'select b from t where a = 1'), [[1n]]);
});

test('a stream that is closed while its statement runs has it cancelled', async (t) => {
  const { streams } = serve(t, { schema });
  const stream = streams.openStream('write');
  const answer = outcome(stream, ENDLESS_UPDATE);
  const other = run(streams.openStream('write'), 'update t set b = 5 where a = 5');
  await running(streams);
  await stream[Symbol.asyncDispose]();
  await assert.rejects(answer, { code: 'STREAM_EXPIRED' });
  await other;
});

test('a statement that ends its process is not carried out for ever', async (t) => {
  const lost: string[] = [];
  const { streams } = serve(t, { schema, observer: { onExecutorLost: ({ role }) => lost.push(role) } });
  const answer = rows(streams.openStream('read'), ENDLESS);
  const ended = assert.rejects(answer, { code: 'INTERNAL', message: /ended twice/ });
  for (let kill = 1; kill <= 2; kill++) {
    await running(streams);
    for (const line of children()) process.kill(Number.parseInt(line, 10), 'SIGKILL');
    await until(() => lost.length === kill, 'the process ends');
  }
  await ended;
  assert.deepEqual(lost, ['pool', 'pool']);
  assert.deepEqual(await rows(streams.openStream('read'), 'select count(*) from t'), [[1_000n]]);
});

test('a transaction whose process ended while it waited to write is not carried on without it', async (t) => {
  const { streams, file } = serve(t, { schema });
  const [holder, stream] = [streams.openStream('write'), streams.openStream('write')];
  await run(holder, 'begin immediate');
  await run(stream, 'begin');
  await run(stream, 'select count(*) from t');
  const waiting = assert.rejects(run(stream, 'delete from t'), { code: 'STREAM_EXPIRED' });
  await until(() => streams.waitingWriters === 1, 'it waits');
  const processes = streams.executorCounts.running;
  for (const line of children()) if (line.includes('"pool"')) process.kill(Number.parseInt(line, 10), 'SIGKILL');
  await until(() => streams.executorCounts.running < processes, 'the process ends');
  await run(holder, 'commit');
  await waiting;
  assert.equal(file.value('select count(*) from t'), 1_000);
});

test('when it cannot be told whether a write was committed, that is what is said', async (t) => {
  const { streams, gate, file } = serve(t, { schema });
  const stream = streams.openStream('write');
  const said = assert.rejects(run(stream, ENDLESS_UPDATE), { code: 'OUTCOME_UNKNOWN' });
  await until(() => children().some((line) => line.includes('"writer"')), 'it runs');
  await running(streams);
  gate.isUnreadable = true;
  for (const line of children()) process.kill(Number.parseInt(line, 10), 'SIGKILL');
  await said;
  gate.isUnreadable = false;
  await run(stream, 'update t set b = 5 where a = 2');
  assert.equal(file.value('select group_concat(b) from t where a < 3'), '1,5');
});

test('no process is left when the database is closed, and nothing is answered any more', async (t) => {
  const { streams } = serve(t, { schema });
  const [stream, waiting] = [streams.openStream('write'), streams.openStream('write')];
  await run(stream, 'begin immediate');
  await run(stream, 'delete from t');
  await rows(streams.openStream('read'), 'select 1');
  const queued = run(waiting, 'update t set b = 9 where a = 1');
  assert.ok(children().length >= 2);
  const closed = streams.close();
  await assert.rejects(queued, { code: 'DATABASE_STOPPED' });
  await closed;
  assert.deepEqual(children(), []);
  await assert.rejects(run(stream, 'commit'), { code: 'DATABASE_STOPPED' });
  assert.throws(() => streams.openStream('read'), { code: 'DATABASE_STOPPED' });
});

test('processes that are not needed end, and are started again when they are', async (t) => {
  const { streams } = serve(t, { schema, settings: { executorIdleMsMax: 100 } });
  const stream = streams.openStream('write');
  for (let round = 0; round < 2; round++) {
    await run(stream, 'update t set b = b + 1 where a = 1');
    assert.deepEqual(await rows(stream, 'select b from t where a = 1'), [[BigInt(2 + round)]]);
    await until(() => children().length === 0, 'the processes end');
  }
});
