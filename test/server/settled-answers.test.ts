import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SpeilError } from '../../src/core/error.ts';
import { failure, rows, run, serve, step, until } from '../support/streams/served-streams.ts';

const schema = 'create table t(a integer primary key)';

/** Whether a promise is settled by now, all that is under way in this process and the executors having had its time. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = () => {
    settled = true;
  };
  promise.then(note, note);
  await new Promise((resolve) => setTimeout(resolve, 60));
  return settled;
}

test('S8: no write is answered before it is hardened', async (t) => {
  const { streams, gate, file } = serve(t, { schema });
  const stream = streams.openStream('write');
  await run(stream, 'insert into t values (1)');
  gate.shut();
  const write = run(stream, 'insert into t values (2)');
  await until(() => file.value('select count(*) from t') === 2, 'the write is committed');
  assert.equal(await isSettled(write), false);
  gate.open();
  assert.equal((await write).affectedRows, 1n);
});

test('S8: a read that saw what is not hardened waits; one that saw nothing of it does not', async (t) => {
  const { streams, gate, file } = serve(t, { schema });
  const [writer, reader, early] = [streams.openStream('write'), streams.openStream('read'), streams.openStream('read')];
  await run(writer, 'insert into t values (1)');
  gate.shut();
  assert.deepEqual(await rows(reader, 'select count(*) from t'), [[1n]]);
  const write = run(writer, 'insert into t values (2)');
  await until(() => file.value('select count(*) from t') === 2, 'the write is committed');
  const read = rows(reader, 'select count(*) from t');
  const broken = failure(early, 'select nothing from t');
  const described = streams.openStream('read').describe('select * from t');
  const entries = Array.fromAsync(streams.openStream('read').cursor([step('select a from t')]));
  for (const answer of [write, read, broken, described, entries]) assert.equal(await isSettled(answer), false);
  gate.open();
  assert.deepEqual(await read, [[2n]]);
  assert.match(await broken, /syntax error/);
  assert.equal((await entries).filter(({ kind }) => kind === 'row').length, 2);
  await Promise.all([write, described]);
});

test('S8: what was undone was never answered', async (t) => {
  const { streams, gate, file } = serve(t, { schema });
  const [writer, reader] = [streams.openStream('write'), streams.openStream('read')];
  await run(writer, 'insert into t values (1)');
  gate.shut();
  const write = run(writer, 'insert into t values (2)');
  await until(() => file.value('select count(*) from t') === 2, 'the write is committed');
  const read = rows(reader, 'select count(*) from t');
  await until(() => gate.asked.length >= 2, 'both wait at the gate');
  gate.fail(new SpeilError('DISK_FULL', 'the journal has no room'));
  await assert.rejects(write, { code: 'DISK_FULL' });
  await assert.rejects(read, { code: 'DISK_FULL' });
  assert.deepEqual(await rows(reader, 'select count(*) from t'), [[2n]]);
});

test('while no write can be taken, writes are refused with the reason and reads go on', async (t) => {
  const { streams, gate } = serve(t, { schema });
  const stream = streams.openStream('write');
  await run(stream, 'insert into t values (1)');
  gate.refusal = new SpeilError('DISK_FULL', 'the journal has no room');
  await assert.rejects(run(stream, 'insert into t values (2)'), { code: 'DISK_FULL' });
  await assert.rejects(run(stream, 'begin immediate'), { code: 'DISK_FULL' });
  assert.deepEqual(await rows(stream, 'select a from t'), [[1n]]);
  await run(stream, 'begin');
  await assert.rejects(run(stream, 'insert into t values (2)'), { code: 'DISK_FULL' });
  await run(stream, 'rollback');
  gate.refusal = null;
  await run(stream, 'insert into t values (2)');
});

test('a pause ends all processes; what waits is carried out after it', async (t) => {
  const { streams, file } = serve(t, { schema });
  const [stream, pinned] = [streams.openStream('write'), streams.openStream('write')];
  await run(stream, 'insert into t values (1)');
  await run(pinned, 'begin');
  await run(pinned, 'select * from t');
  await streams.pause();
  file.keeper.exec('insert into t values (2)');
  const write = run(stream, 'insert into t values (3)');
  const read = rows(streams.openStream('read'), 'select count(*) from t where a < 3');
  assert.equal(await isSettled(Promise.race([write, read])), false);
  const cancel = new AbortController();
  const unwanted = streams.openStream('write').batch([step('insert into t values (4)')], { signal: cancel.signal });
  const rejected = assert.rejects(unwanted, { name: 'AbortError' });
  await new Promise((resolve) => setImmediate(resolve));
  cancel.abort();
  await rejected;
  streams.resume();
  await write;
  assert.deepEqual(await read, [[2n]]);
  await assert.rejects(run(pinned, 'select * from t'), { code: 'STREAM_EXPIRED' });
  assert.equal(file.value('select max(a) from t'), 3);
  await streams.pause();
  const stranded = assert.rejects(run(stream, 'insert into t values (5)'), { code: 'DATABASE_STOPPED' });
  await new Promise((resolve) => setImmediate(resolve));
  await streams.close();
  await stranded;
});
