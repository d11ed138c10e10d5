import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Grant, RequestKind } from '../../src/server/executor/protocol.ts';
import { ExecutorProcess } from '../../src/server/executors/executor-process.ts';
import { run, serve } from '../support/streams/served-streams.ts';

test('the last executor of a server that was killed moves nothing into the file: it may not be hardened', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'speil-executor-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'database.db');
  const cache = { sharedKiB: 1_024, ownKiB: 1_024 };
  const answered = Promise.withResolvers<void>();
  const process = new ExecutorProcess(
    { path, role: 'writer', cache },
    { onAnswers: ([, , , answers]) => answers.length > 0 && answered.resolve(), onEnd: () => {} },
  );
  const step = ['CREATE TABLE t (v)', [], null, false, null] as const;
  process.send([[RequestKind.program, 1, 1, Grant.write, [step], [0n, 0n, 0n], []]]);
  await answered.promise;
  const walBytes = () => statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  const before = walBytes();
  assert.ok(before > 0);
  process.end();
  await process.ended;
  assert.equal(walBytes(), before);
});

test('what waits in a pause is refused when the server stops, and begins nothing any more', async (t) => {
  const { streams } = serve(t, { schema: 'create table t(a)' });
  await streams.pause();
  const write = run(streams.openStream('write'), 'insert into t values (1)');
  const read = run(streams.openStream('read'), 'select * from t');
  const refused = Promise.all([write, read].map((it) => assert.rejects(it, { code: 'DATABASE_STOPPED' })));
  await new Promise((resolve) => setImmediate(resolve));
  await streams.close();
  await refused;
  streams.resume();
  assert.deepEqual(streams.executorCounts, { running: 0, busy: 0 });
});
