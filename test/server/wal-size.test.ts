import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { test } from 'node:test';
import { run, serve } from '../support/streams/served-streams.ts';

test('the room that a large transaction took in the WAL is given back when the WAL begins anew', async (t) => {
  const { streams, file } = serve(t, { schema: 'create table t(a)' });
  const stream = streams.openStream('write');
  const walBytes = () => statSync(`${file.path}-wal`).size;
  await run(stream, 'insert into t values (zeroblob(100000000))');
  assert.ok(walBytes() > 100_000_000);
  file.keeper.exec('pragma wal_checkpoint(restart)');
  await run(stream, 'insert into t values (1)');
  assert.ok(walBytes() <= 64 << 20, `${walBytes()}`);
});
