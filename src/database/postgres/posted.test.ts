import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharedPostgres } from '../../../test/support/shared-postgres.ts';
import { parseLocation } from '../parse-location.ts';
import { PostgresConnection, type PostgresLocation } from './connection.ts';

async function open(): Promise<PostgresConnection> {
  const server = await sharedPostgres();
  const url = await server.createDatabase();
  const connection = await PostgresConnection.open(parseLocation(url) as PostgresLocation, 'test');
  await connection.query('CREATE TABLE public.t (a int PRIMARY KEY)');
  return connection;
}

const insert = (value: number): string => `INSERT INTO public.t VALUES (${value})`;

const valuesOf = async (connection: PostgresConnection): Promise<unknown> =>
  (await connection.query('SELECT a FROM public.t ORDER BY a')).map(({ a }) => a);

test('a commit brings what was posted, or fails with it', async () => {
  await using connection = await open();
  connection.begin('');
  connection.post(insert(1));
  await connection.commit();
  connection.begin('');
  connection.post(insert(2));
  connection.post(insert(1));
  await assert.rejects(connection.commit(), { code: 'KEY_VIOLATED' });
  await connection.query('ROLLBACK');
  assert.deepEqual(await valuesOf(connection), [1]);
});

test('a commit fails with the first failure of the transaction, also where that was caught', async () => {
  await using connection = await open();
  connection.begin('');
  connection.post(insert(1));
  await assert.rejects(connection.query('SELECT FROM nowhere'), /nowhere/);
  await assert.rejects(connection.query('SELECT 1'), /aborted/);
  await assert.rejects(connection.commit(), /nowhere/);
  assert.deepEqual(await valuesOf(connection), []);
});

test('a savepoint ends when all that was posted in it is done, and undoes it when it fails', async () => {
  await using connection = await open();
  connection.begin('');
  await connection.query(insert(1));
  await assert.rejects(
    connection.savepoint(async () => {
      connection.post(insert(2));
      connection.post(insert(1));
    }),
    { code: 'KEY_VIOLATED' },
  );
  assert.equal(connection.isAborted, false);
  await connection.savepoint(async () => {
    await connection.savepoint(() => connection.query(insert(3)));
    connection.post(insert(4));
  });
  await connection.commit();
  assert.deepEqual(await valuesOf(connection), [1, 3, 4]);
});

test('work that throws by itself leaves nothing of what it posted', async () => {
  await using connection = await open();
  connection.begin('');
  connection.post(insert(1));
  const work = async () => {
    connection.post(insert(2));
    throw new Error('changed my mind');
  };
  await assert.rejects(connection.savepoint(work), /changed my mind/);
  await connection.commit();
  assert.deepEqual(await valuesOf(connection), [1]);
});

test('what failed before a savepoint is not undone with it, and the commit tells of it', async () => {
  await using connection = await open();
  connection.begin('');
  connection.post(insert(1));
  connection.post('INSERT INTO nowhere VALUES (1)');
  await assert.rejects(
    connection.savepoint(() => connection.query(insert(2))),
    /nowhere/,
  );
  assert.equal(connection.isAborted, true);
  await assert.rejects(
    connection.savepoint(() => connection.query(insert(3))),
    /aborted/,
  );
  await assert.rejects(connection.commit(), /nowhere/);
  assert.deepEqual(await valuesOf(connection), []);
});

test('several statements in one round trip answer the rows of each', async () => {
  await using connection = await open();
  connection.post(insert(7));
  const rows = await connection.queryEach(['SELECT 1 AS n', 'SELECT 2 AS n WHERE false', 'SELECT a FROM public.t']);
  assert.deepEqual(rows, [[{ n: 1 }], [], [{ a: 7 }]]);
});
