import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { composedTask, type TaskPoint } from '../support/composed-task.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { assertAllCopied, assertNothingCopied, SHOP, Shop, trade } from './shop.ts';

/** What becomes of a mirror when its PostgreSQL source is put back or crashes. Guarantee T5. */
let server: PostgresServer;
let mirrors: PostgresServer;
/** Tells its clients of commits that are not on disk yet. */
let careless: PostgresServer;

before(async () => {
  [server, mirrors, careless] = await Promise.all([
    startPostgres({ settings: { synchronous_commit: 'on' } }),
    startPostgres(),
    startPostgres({ settings: { synchronous_commit: 'off', wal_writer_delay: '10s' } }),
  ]);
});

after(async () => {
  for (const one of [server, mirrors, careless]) await one[Symbol.asyncDispose]();
});

async function shop(): Promise<Shop> {
  const made = new Shop(await server.createDatabase(), await mirrors.createDatabase());
  await made.source.sql(SHOP);
  await made.follow();
  return made;
}

test('restored to an earlier time: the mirror is ahead, and everything is copied', async () => {
  const made = await shop();
  const backup = await server.backup();
  await trade(made.source);
  await made.follow();
  await server.restore(backup);
  assertAllCopied(await made.follow(), /ahead of the source: .*restored/);
  await trade(made.source);
  assertNothingCopied(await made.follow());
});

test('restored to an earlier time and then written so much that the positions look right again', async () => {
  const made = await shop();
  const backup = await server.backup();
  await trade(made.source);
  await made.follow();
  await server.restore(backup);
  for (let day = 0; day < 4; day++) await trade(made.source);
  assertAllCopied(await made.follow(), /does not know the mirror’s last bookmark: it was restored/);
  await trade(made.source);
  assertNothingCopied(await made.follow());
});

test('restored to a time that the mirror has not passed: it goes on as if nothing had happened', async () => {
  const made = await shop();
  await trade(made.source);
  const backup = await server.backup();
  await trade(made.source);
  await server.restore(backup);
  await trade(made.source);
  assertNothingCopied(await made.follow());
});

test('a crash of the source after which it has less than the mirror saw: it does not come to that', async () => {
  const made = new Shop(await careless.createDatabase(), await mirrors.createDatabase());
  await made.source.sql(SHOP);
  await twoCyclesAndCrash(made, async () => {
    await careless.sql('postgres', 'CHECKPOINT');
    await trade(made.source);
  });
  for (let day = 0; day < 3; day++) await trade(made.source);
  assertNothingCopied(await made.follow());
});

/** Cycles of one task leave one bookmark; what is written after it is in the second cycle. Then the power goes. */
async function twoCyclesAndCrash({ source, mirror }: Shop, between: () => Promise<void>): Promise<void> {
  const stop = new AbortController();
  let cycles = 0;
  const reach = async (point: TaskPoint): Promise<void> => {
    if (point !== 'after replicationCompleted') return;
    if (++cycles === 1) await between();
    else stop.abort();
  };
  const schedule = { kind: 'every', everyMs: 1 } as const;
  const task = composedTask({ source: source.address, mirror: mirror.address, reach, schedule, signal: stop.signal });
  await assert.rejects(task, { code: 'INTERRUPTED' });
  await careless.kill();
  await careless.start();
}

test('a crash of the source in the middle of a first copy, with commits that were not on disk', async () => {
  const made = new Shop(await careless.createDatabase(), await mirrors.createDatabase());
  await made.source.sql(SHOP);
  await made.source.sql("INSERT INTO customer SELECT i, repeat('x', 200), 0 FROM generate_series(5000, 9000) i");
  await careless.sql('postgres', 'CHECKPOINT');
  let chunks = 0;
  const reach = async (point: TaskPoint): Promise<void> => {
    if (point === 'before copyStart') await trade(made.source);
    if (point !== 'chunk of copy') return;
    chunks++;
    await made.source.sql(`INSERT INTO customer VALUES (${chunks}00000, 'lost', 0) ON CONFLICT DO NOTHING`);
    if (chunks !== 8) return;
    await careless.kill();
    await careless.start();
    for (let day = 0; day < 8; day++) await trade(made.source);
  };
  const report = await composedTask({
    source: made.source.address,
    mirror: made.mirror.address,
    reach,
    batchBytes: 50_000,
  });
  assert.equal(report.status, 'completed');
  await made.follow();
});

test('the mirror is restored from an older backup: it catches up and copies nothing', async () => {
  const made = await shop();
  const backup = await mirrors.backup();
  for (let day = 0; day < 3; day++) {
    await trade(made.source);
    await made.cycle();
  }
  await mirrors.restore(backup);
  assertNothingCopied(await made.follow());
});

test('a source that is put back together with its mirror, and a mirror put back further than the source', async () => {
  const made = await shop();
  const mirrorBackup = await mirrors.backup();
  await trade(made.source);
  await made.follow();
  const backup = await server.backup();
  await trade(made.source);
  await made.follow();
  await server.restore(backup);
  await mirrors.restore(mirrorBackup);
  for (let day = 0; day < 3; day++) await trade(made.source);
  assertNothingCopied(await made.follow());
});
