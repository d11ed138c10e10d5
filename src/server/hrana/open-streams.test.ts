import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DirectSqlDatabase } from '../../../test/support/direct-sql-database.ts';
import type { ConnectionRequest, SqlRequest } from './messages.ts';
import { OpenStreams } from './open-streams.ts';

const execute = (sql: string, streamId = 1): ConnectionRequest => {
  const statement = { text: sql, positional: [], named: new Map(), wantRows: true };
  return { kind: 'sql', streamId, request: { kind: 'execute', statement } satisfies SqlRequest };
};
const open: ConnectionRequest = { kind: 'open_stream', streamId: 1 };
const close: ConnectionRequest = { kind: 'close_stream', streamId: 1 };

const openStreams = (database: DirectSqlDatabase) =>
  new OpenStreams({ database, signal: new AbortController().signal, room: async () => {} });

const ask = (streams: OpenStreams, requests: readonly ConnectionRequest[]) =>
  Promise.all(requests.map((request) => streams.handle(request, 'write')));

test('a statement whose close came along is told to be the last, and no other', async () => {
  await using database = new DirectSqlDatabase();
  const streams = openStreams(database);
  await ask(streams, [open, execute('SELECT 1'), execute('SELECT 2')]);
  await ask(streams, [close]);
  assert.equal(database.done.lastRequests, 0);
  const answers = await ask(streams, [open, execute('SELECT 1'), execute('SELECT 2'), close]);
  assert.equal(database.done.lastRequests, 1);
  assert.deepEqual(
    answers.map(({ kind }) => kind),
    ['open_stream', 'execute', 'execute', 'close_stream'],
  );
  assert.equal(database.openStreams, 0);
});

test('nothing is begun before there is room', async () => {
  await using database = new DirectSqlDatabase();
  const { promise: room, resolve } = Promise.withResolvers<void>();
  const streams = new OpenStreams({ database, signal: new AbortController().signal, room: () => room });
  const asked = ask(streams, [open, execute('SELECT 1')]);
  await new Promise(setImmediate);
  assert.equal(database.done.statements, 0);
  resolve();
  await asked;
  assert.equal(database.done.statements, 1);
});

test('what is open ends with the connection', async () => {
  await using database = new DirectSqlDatabase();
  const streams = openStreams(database);
  await ask(streams, [open, execute('BEGIN IMMEDIATE')]);
  await ask(streams, [{ kind: 'open_cursor', streamId: 1, cursorId: 1, steps: [] }]);
  assert.equal(streams.count, 1);
  await streams.close();
  assert.deepEqual([streams.count, database.openStreams], [0, 0]);
});
