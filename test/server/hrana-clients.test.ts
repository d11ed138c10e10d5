import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from '@libsql/client';
import { openHranaService } from '../support/hrana-service.ts';

test('libSQL client over HTTP: a query, an insert, a batch, a transaction', async () => {
  await using service = await openHranaService();
  const client = createClient({ url: service.url() });
  assert.deepEqual((await client.execute('SELECT 1 AS one')).rows[0]?.['one'], 1);
  await client.batch([
    'CREATE TABLE t (a INTEGER PRIMARY KEY, b)',
    { sql: 'INSERT INTO t VALUES (?, ?)', args: [1, 'x'] },
  ]);
  const transaction = await client.transaction('write');
  await transaction.execute("INSERT INTO t VALUES (2, 'y')");
  await transaction.commit();
  assert.equal((await client.execute('SELECT count(*) AS n FROM t')).rows[0]?.['n'], 2);
  await assert.rejects(client.execute('SELEC'), { code: 'SQLITE_ERROR' });
  client.close();
});

test('libSQL client over WebSocket: a query, a batch, a transaction', async () => {
  await using service = await openHranaService();
  const client = createClient({ url: service.url('ws') });
  assert.deepEqual((await client.execute('SELECT 1 AS one')).rows[0]?.['one'], 1);
  await client.batch([
    'CREATE TABLE t (a INTEGER PRIMARY KEY, b)',
    { sql: 'INSERT INTO t VALUES (?, ?)', args: [1, 'x'] },
  ]);
  const transaction = await client.transaction('write');
  await transaction.execute("INSERT INTO t VALUES (2, 'y')");
  await transaction.commit();
  assert.equal((await client.execute('SELECT count(*) AS n FROM t')).rows[0]?.['n'], 2);
  await assert.rejects(client.execute('SELEC'), { code: 'SQLITE_ERROR' });
  client.close();
});
