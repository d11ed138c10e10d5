import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from '@libsql/client';
import { openRealServer } from '../support/real-server.ts';

// Dumps hold blobs as they are written in SQL.

test('a statement with a blob of 10 MB written in its text is carried out, alone and in a script', async () => {
  await using real = await openRealServer();
  const client = createClient({ url: real.url('http') });
  const literal = `x'${'ab'.repeat(10_000_000)}'`;
  await client.execute('CREATE TABLE picture (id INTEGER PRIMARY KEY, bytes)');
  await client.execute(`INSERT INTO picture (bytes) VALUES (${literal})`);
  await client.executeMultiple(
    `INSERT INTO picture (bytes) VALUES (${literal}); INSERT INTO picture (bytes) VALUES ('')`,
  );
  const { rows } = await client.execute('SELECT length(bytes) AS bytes FROM picture');
  assert.deepEqual(
    rows.map(({ bytes }) => bytes),
    [10_000_000, 10_000_000, 0],
  );
  client.close();
});
