import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DirectSqlDatabase } from '../../../test/support/direct-sql-database.ts';
import type { StreamRequest } from './messages.ts';
import { closes, plan, runPipeline } from './pipeline.ts';
import { StoredTexts } from './stored-texts.ts';

const execute = (text: string | number): StreamRequest => ({
  kind: 'execute',
  statement: { text, positional: [], named: new Map(), wantRows: true },
});
const CLOSE: StreamRequest = { kind: 'close' };
const store = (sqlId: number, sql = 'SELECT 1'): StreamRequest => ({ kind: 'store_sql', sqlId, sql });
const drop = (sqlId: number): StreamRequest => ({ kind: 'close_sql', sqlId });

const signal = new AbortController().signal;

async function run(database: DirectSqlDatabase, requests: readonly StreamRequest[]) {
  const stream = database.openStream('write');
  const answers = await runPipeline(stream, plan(requests, new StoredTexts()), signal);
  await stream[Symbol.asyncDispose]();
  return answers.map(({ kind }) => kind);
}

test('the last operation before a close is told so', async () => {
  await using database = new DirectSqlDatabase();
  const lastOf = async (requests: readonly StreamRequest[]) => {
    const before = database.done.lastRequests;
    await run(database, requests);
    return database.done.lastRequests - before;
  };
  assert.equal(await lastOf([execute('SELECT 1')]), 0);
  assert.equal(await lastOf([execute('SELECT 1'), CLOSE]), 1);
  assert.equal(await lastOf([execute('SELECT 1'), { kind: 'sequence', text: 'SELECT 1' }, CLOSE]), 1);
  assert.equal(await lastOf([store(1), execute(1), drop(1), CLOSE]), 1);
  assert.equal(await lastOf([execute('SELECT 1'), { kind: 'get_autocommit' }, CLOSE]), 0);
});

test('a failure does not stop the rest, and nothing is done after a close', async () => {
  await using database = new DirectSqlDatabase();
  const requests = [execute('SELEC'), execute('SELECT 1'), CLOSE, execute('SELECT 1'), CLOSE];
  assert.deepEqual(await run(database, requests), ['error', 'execute', 'close', 'error', 'error']);
  assert.equal(database.done.statements, 2);
  assert.equal(closes(plan(requests, new StoredTexts())), true);
});

test('texts are good from where they are stored to where they are closed', () => {
  const good = [store(1), execute(1), drop(1), store(1, 'SELECT 2'), execute(1)];
  const steps = plan(good, new StoredTexts());
  const sqlOf = (index: number) => {
    const step = steps[index];
    return step?.kind === 'execute' ? step.steps[0]?.statement.sql : null;
  };
  assert.deepEqual([sqlOf(1), sqlOf(4)], ['SELECT 1', 'SELECT 2']);
  const broken = { code: 'PROTOCOL_BROKEN' };
  assert.throws(() => plan([execute(1), store(1)], new StoredTexts()), broken);
  assert.throws(() => plan([store(1), drop(1), execute(1)], new StoredTexts()), broken);
  assert.throws(() => plan([store(1), store(1)], new StoredTexts()), broken);
});
