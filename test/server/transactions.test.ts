import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SqlStream } from '../../src/server/sql.ts';
import { failure, outcome, rows, run, serve, step, until } from '../support/streams/served-streams.ts';

const COUNT = 'select count(*) from t';
const schema = 'create table t(a integer primary key, b)';

test('a transaction goes on from request to request, and others write after it', async (t) => {
  const { streams, file } = serve(t, { schema });
  const [a, b] = [streams.openStream('write'), streams.openStream('write')];
  await run(a, 'begin immediate');
  assert.equal(a.isAutocommit, false);
  await run(a, 'insert into t values (1, 1)');
  const waiting = run(b, 'insert into t values (2, 2)');
  assert.deepEqual(await rows(b === a ? b : streams.openStream('read'), COUNT), [[0n]]);
  assert.deepEqual(await rows(a, COUNT), [[1n]]);
  await run(a, 'commit');
  assert.equal(a.isAutocommit, true);
  await waiting;
  assert.equal(file.value(COUNT), 2);
});

test('a deferred transaction reads its snapshot and becomes a writer when it writes', async (t) => {
  const { streams, file } = serve(t, { schema });
  const [a, b] = [streams.openStream('write'), streams.openStream('write')];
  await run(a, 'begin');
  await run(a, 'insert into t values (1, 1)');
  const waiting = run(b, 'insert into t values (2, 2)');
  assert.deepEqual(await rows(a, COUNT), [[1n]]);
  await run(a, 'rollback');
  await waiting;
  assert.equal(file.value('select group_concat(a) from t'), '2');
  await run(a, 'begin');
  assert.deepEqual(await rows(a, COUNT), [[1n]]);
  await run(b, 'insert into t values (3, 3)');
  assert.deepEqual(await rows(a, COUNT), [[1n]]);
  assert.match(await failure(a, 'insert into t values (4, 4)'), /^SQLITE_BUSY/);
  await run(a, 'rollback');
  await run(a, 'insert into t values (4, 4)');
  assert.equal(file.value(COUNT), 3);
});

test('savepoints, and a transaction that is begun in the middle of a batch', async (t) => {
  const { streams, file } = serve(t, { schema });
  const stream = streams.openStream('write');
  await run(stream, 'savepoint one');
  await run(stream, 'insert into t values (1, 1)');
  await run(stream, 'savepoint two');
  await run(stream, 'insert into t values (2, 2)');
  await run(stream, 'rollback to two');
  assert.deepEqual(await rows(stream, COUNT), [[1n]]);
  await run(stream, 'release one');
  assert.equal(stream.isAutocommit, true);
  await stream.batch([step('insert into t values (3, 3)'), step('begin'), step('insert into t values (4, 4)')]);
  assert.equal(stream.isAutocommit, false);
  const other = run(streams.openStream('write'), 'insert into t values (5, 5)');
  await run(stream, 'rollback');
  await other;
  assert.equal(file.value('select group_concat(a) from t'), '1,3,5');
});

test('programs that turn out to be transactions among a hundred others hold them up and lose none', async (t) => {
  const { streams, file } = serve(t, { schema });
  const open: SqlStream[] = [];
  const script = async (index: number) => {
    const stream = streams.openStream('write');
    if (index % 10 === 3) {
      await stream.sequence(`savepoint a; savepoint b; insert into t values (${index}, 'tx'); release b`);
      assert.equal(stream.isAutocommit, false);
      open.push(stream);
      await run(stream, 'release a');
    } else await run(stream, 'insert into t values (?, ?)', [BigInt(index), 'alone']);
  };
  await Promise.all(Array.from({ length: 100 }, (_, index) => script(index)));
  assert.deepEqual([file.value(COUNT), open.length], [100, 10]);
});

test('temporary tables and settings are the stream’s own, and go with it', async (t) => {
  const { streams } = serve(t, { schema });
  const [a, b] = [streams.openStream('write'), streams.openStream('write')];
  await run(a, 'create temp table x(a)');
  await run(a, 'insert into x values (7)');
  await run(a, 'pragma foreign_keys = off');
  await run(a, 'insert into t select a, 1 from x');
  assert.deepEqual(await rows(a, 'select t.a from t join x on x.a = t.a'), [[7n]]);
  assert.deepEqual(await rows(a, 'pragma foreign_keys'), [[0n]]);
  assert.deepEqual(await rows(b, 'pragma foreign_keys'), [[1n]]);
  await run(a, 'pragma foreign_keys = on');
  assert.deepEqual(await rows(a, 'pragma foreign_keys'), [[1n]]);
  assert.match(await failure(b, 'select * from x'), /no such table/);
  await a[Symbol.asyncDispose]();
  for (let index = 0; index < 10; index++) {
    const stream = streams.openStream('write');
    assert.match(await failure(stream, 'select * from x'), /no such table/);
    await run(stream, 'begin');
    assert.deepEqual(await rows(stream, 'pragma foreign_keys'), [[1n]]);
    assert.match(await failure(stream, 'select * from x'), /no such table/);
    await run(stream, 'rollback');
  }
});

test('temporary tables of a write transaction stay with the stream and out of the way', async (t) => {
  const { streams, file } = serve(t, { schema });
  const [a, b] = [streams.openStream('write'), streams.openStream('write')];
  await run(a, 'begin immediate');
  await run(a, 'create temp table x as select 5 as a');
  await run(a, 'insert into t select a, a from x');
  await run(a, 'commit');
  await run(b, 'insert into t values (6, 6)');
  assert.match(await failure(b, 'select * from x'), /no such table/);
  assert.deepEqual(await rows(a, 'select a from x'), [[5n]]);
  await run(a, 'insert into t values (7, 7)');
  assert.equal(file.value('select group_concat(a) from t'), '5,6,7');
});

test('a stream remembers its last rowid and counts, whoever writes in between', async (t) => {
  const { streams } = serve(t, {
    schema: `${schema}; create table child(parent, c); create table w(k primary key, n) without rowid;
      create trigger g after insert on child begin insert into t(b) values (last_insert_rowid()); end`,
  });
  const [a, b] = [streams.openStream('write'), streams.openStream('write')];
  const memory = async (stream: SqlStream) =>
    (await rows(stream, 'select last_insert_rowid(), changes(), total_changes()'))[0]?.map(Number).join();
  assert.equal(await memory(a), '0,0,0');
  await run(a, 'insert into t values (10, 1), (11, 1)');
  await run(b, 'insert into t values (500, 1)');
  assert.deepEqual([await memory(a), await memory(b)], ['11,2,2', '500,1,1']);
  const named = await run(a, 'select last_insert_rowid(), changes() as n');
  assert.deepEqual(
    named.columns.map(({ name }) => name),
    ['last_insert_rowid()', 'n'],
  );
  await run(a, 'insert into child values (last_insert_rowid(), changes())');
  assert.deepEqual(await rows(a, 'select * from child'), [[11n, 2n]]);
  assert.deepEqual(await rows(a, 'select b from t where a = 501'), [[1n]]);
  await run(b, 'insert into t values (600, 1)');
  assert.equal(await memory(a), '1,1,4');
  await run(a, 'insert into w values (1, 1)');
  assert.equal(await memory(a), '1,1,5');
  await run(a, 'insert into t values (600, 2) on conflict do update set b = 3');
  assert.equal(await memory(a), '1,1,6');
  await run(a, 'update t set b = 9 where a < 12');
  assert.equal(await memory(a), '1,2,8');
  await run(a, 'insert or ignore into t values (600, 4)');
  assert.equal(await memory(a), '1,0,8');
  await run(b, 'insert into t values (700, 1)');
  await run(a, 'begin');
  assert.equal(await memory(a), '1,0,8');
  await run(a, 'insert into t values (800, last_insert_rowid())');
  await run(a, 'commit');
  assert.equal(await memory(a), '800,1,9');
  assert.deepEqual(await rows(b, 'select b from t where a = 800'), [[1n]]);
  const [, result] = await a.batch([
    step('insert into t values (900, 1)'),
    step('select last_insert_rowid() + changes()'),
  ]);
  assert.deepEqual(result?.kind === 'result' && result.result.rows, [[901n]]);
});

test('a client that opens a transaction and disappears: it is rolled back, others go on', async (t) => {
  const { streams, file } = serve(t, { schema, settings: { writeIdleMsMax: 300, readIdleMsMax: 300 } });
  const [gone, other, reader] = [streams.openStream('write'), streams.openStream('write'), streams.openStream('write')];
  await run(reader, 'begin');
  await run(reader, COUNT);
  await run(gone, 'begin immediate');
  await run(gone, 'insert into t values (1, 1)');
  await run(other, 'insert into t values (2, 2)');
  assert.equal(file.value('select group_concat(a) from t'), '2');
  assert.equal(await failure(gone, 'insert into t values (3, 3)'), 'TRANSACTION_TIMEOUT Transaction timed out');
  assert.equal(gone.isAutocommit, true);
  await until(() => reader.isAutocommit, 'the read transaction ends');
  assert.match(await failure(reader, COUNT), /^TRANSACTION_TIMEOUT/);
  await run(gone, 'insert into t values (4, 4)');
  assert.deepEqual(await rows(reader, COUNT), [[2n]]);
});

test('a stream that is closed in a transaction rolls it back at once', async (t) => {
  const { streams, file } = serve(t, { schema });
  const stream = streams.openStream('write');
  await run(stream, 'begin immediate');
  await run(stream, 'insert into t values (1, 1)');
  await stream[Symbol.asyncDispose]();
  await run(streams.openStream('write'), 'insert into t values (2, 2)');
  assert.equal(file.value('select group_concat(a) from t'), '2');
  await assert.rejects(run(stream, COUNT), { code: 'STREAM_EXPIRED' });
  const last = streams.openStream('write');
  await last.batch([step('begin immediate'), step('insert into t values (3, 3)')], { last: true });
  await run(streams.openStream('write'), 'insert into t values (4, 4)');
  assert.equal(file.value('select group_concat(a) from t'), '2,4');
});

test('who waits too long for others to write is told so', async (t) => {
  const { streams } = serve(t, { schema, settings: { waitMsMax: 300 } });
  const [a, b] = [streams.openStream('write'), streams.openStream('write')];
  await run(a, 'begin immediate');
  const [first, second] = await Promise.all([
    failure(b, 'insert into t values (1, 1)'),
    failure(streams.openStream('write'), 'begin immediate'),
  ]);
  assert.match(first, /^SQLITE_BUSY /);
  assert.match(second, /^SQLITE_BUSY /);
  await run(a, 'commit');
  await run(b, 'insert into t values (1, 1)');
});

test('requests of one stream are carried out one after another', async (t) => {
  const stream = serve(t, { schema }).streams.openStream('write');
  const answers = await Promise.all([
    outcome(stream, 'begin'),
    ...Array.from({ length: 20 }, (_, index) => outcome(stream, `insert into t values (${index}, 0)`)),
    outcome(stream, 'commit'),
    outcome(stream, COUNT),
  ]);
  const last = answers.at(-1);
  assert.deepEqual(last?.kind === 'result' && last.result.rows, [[20n]]);
});

test('1,000 streams write and read at the same time, and each has a transaction of its own', async (t) => {
  const { streams, file } = serve(t, { schema, settings: { writeIdleMsMax: 60_000 } });
  await Promise.all(
    Array.from({ length: 1_000 }, async (_, index) => {
      const stream = streams.openStream('write');
      await run(stream, 'insert into t values (?, 1)', [BigInt(index)]);
      await run(stream, index % 4 === 0 ? 'begin' : 'begin transaction readonly');
      assert.deepEqual(await rows(stream, 'select b from t where a = ?', [BigInt(index)]), [[1n]]);
      await run(stream, 'commit');
      await stream[Symbol.asyncDispose]();
    }),
  );
  assert.equal(file.value(COUNT), 1_000);
});

test('streams have a bound, and so have those with a connection of their own', async (t) => {
  const { streams } = serve(t, { schema, settings: { streamsMax: 3, ownConnectionsMax: 1 } });
  const [a, b] = [streams.openStream('write'), streams.openStream('write')];
  await run(a, 'begin');
  await assert.rejects(run(b, 'begin'), { code: 'TOO_MANY_STREAMS' });
  await run(a, 'commit');
  await run(b, 'begin');
  streams.openStream('read');
  assert.throws(() => streams.openStream('read'), { code: 'TOO_MANY_STREAMS' });
  await a[Symbol.asyncDispose]();
  streams.openStream('read');
});
