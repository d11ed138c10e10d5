import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { PgBoss } from 'pg-boss';
import { overBothDatabases, temporaryFolder } from '../../test/support/center-database.ts';
import { prepareCenterDatabase } from '../../test/support/center-template.ts';
import { startPostgres } from '../../test/support/postgres-server.ts';
import { SpeilError } from '../core/error.ts';
import { type CenterDatabase, openCenterDatabase } from './database.ts';

const now = () => 0;

const failsWith = (work: Promise<unknown>, code: string, ...patterns: readonly RegExp[]) =>
  assert.rejects(work, (error) => {
    assert.ok(error instanceof SpeilError, String(error));
    assert.equal(error.code, code);
    for (const pattern of patterns) assert.match(`${error.message}\n${error.hint}`, pattern);
    return true;
  });

const one = async (database: CenterDatabase): Promise<unknown> => (await database.query('SELECT 1 AS one'))[0]?.['one'];

overBothDatabases((opened) => {
  const database = () => opened().database;

  test('a transaction is kept whole or not at all', async () => {
    await database().exec(
      'CREATE TABLE IF NOT EXISTS speil_center.trial (n integer PRIMARY KEY); DELETE FROM speil_center.trial',
    );
    const insert = 'INSERT INTO speil_center.trial VALUES ($1)';
    const answer = await database().transaction(async (session) => {
      await session.query(insert, [1]);
      return 'done';
    });
    const undone = database().transaction(async (session) => {
      await session.query(insert, [2]);
      throw new Error('changed my mind');
    });
    await assert.rejects(undone, /changed my mind/);
    const broken = database().transaction(async (session) => {
      await session.query(insert, [3]);
      await session.query(insert, [1]);
    });
    await failsWith(broken, 'CENTER_DATABASE_FAILED', /duplicate key/);
    assert.equal(answer, 'done');
    assert.deepEqual(await database().query('SELECT n FROM speil_center.trial'), [{ n: 1 }]);
  });

  test('transactions of several callers do not mix', async () => {
    await database().exec(
      'DROP TABLE IF EXISTS speil_center.sum; CREATE TABLE speil_center.sum (n integer); INSERT INTO speil_center.sum VALUES (0)',
    );
    const add = () =>
      database().transaction(async (session) => {
        const [row] = await session.query('SELECT n FROM speil_center.sum FOR UPDATE');
        await session.query('UPDATE speil_center.sum SET n = $1', [Number(row?.['n']) + 1]);
      });
    await Promise.all(Array.from({ length: 30 }, add));
    assert.deepEqual(await database().query('SELECT n FROM speil_center.sum'), [{ n: 30 }]);
  });

  test('a statement that fails says why, and the next one works', async () => {
    await failsWith(
      database().query('SELECT $1::text FROM nowhere', ['hemmelig']),
      'CENTER_DATABASE_FAILED',
      /nowhere/,
    );
    await failsWith(database().exec('BEGIN; SELECT 1 / 0; COMMIT'), 'CENTER_DATABASE_FAILED', /division by zero/);
    assert.equal(await one(database()), 1);
    await assert.rejects(database().executeSql('BEGIN; SELECT 1 / 0; COMMIT'), /division by zero/);
    assert.equal(await one(database()), 1);
  });

  test('pg-boss works on it', async () => {
    const { kind, executeSql } = { kind: database().kind, executeSql: database().executeSql.bind(database()) };
    const boss = new PgBoss({
      db: { executeSql },
      backend: kind,
      schema: 'trial_jobs',
      supervise: false,
      schedule: false,
    });
    await boss.start();
    await boss.createQueue('cycles', { policy: 'exclusive' });
    const id = await boss.send('cycles', { mirror: 'acme' }, { singletonKey: 'acme' });
    assert.equal(await boss.send('cycles', { mirror: 'acme' }, { singletonKey: 'acme' }), null);
    const [job] = await boss.fetch('cycles');
    assert.deepEqual([job?.id, job?.data], [id, { mirror: 'acme' }]);
    await boss.complete('cycles', id ?? '', { rows: 1 });
    assert.equal((await boss.findJobs('cycles', { id: id ?? '' }))[0]?.state, 'completed');
    await boss.stop({ graceful: false, close: false });
  });
});

test('a data folder is for one process, and the next is told whose it is', async () => {
  using folder = temporaryFolder();
  const location = { dataFolder: join(folder.path, 'center') };
  await prepareCenterDatabase(location.dataFolder);
  {
    await using _ = await openCenterDatabase(location, { now });
    await failsWith(
      openCenterDatabase(location, { now }),
      'CONFLICT',
      new RegExp(`process ${process.pid} on .* since 1970-01-01`),
      new RegExp(`kill ${process.pid}`),
    );
  }
  await using again = await openCenterDatabase(location, { now });
  assert.equal(await one(again), 1);
});

/** Adds events, and says the id of each once it is committed. */
const WRITER = `
import { openCenterDatabase } from ${JSON.stringify(new URL('./database.ts', import.meta.url).href)};
const database = await openCenterDatabase({ dataFolder: process.argv[1] }, { now: () => 0 });
for (let id = 1; ; id++) {
  await database.query("INSERT INTO speil_center.event (id, at, kind, message) VALUES ($1, now(), 'information', $2)", [id, 'x'.repeat(2000)]);
  console.log(id);
}`;

test('what was committed survives kill -9, and the lock does not', async () => {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, 'database.new'));
  writeFileSync(join(folder.path, 'database.new', 'PG_VERSION'), 'of an earlier start that was ended in the middle');
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', WRITER, folder.path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const last = await killAfter(child, 200);
  await using database = await openCenterDatabase({ dataFolder: folder.path }, { now });
  const [row] = await database.query('SELECT count(*) AS count, max(id) AS last FROM speil_center.event');
  assert.ok(Number(row?.['last']) >= last, `${row?.['last']} of ${last}`);
  assert.equal(Number(row?.['count']), Number(row?.['last']));
});

async function killAfter(child: ChildProcess, id: number): Promise<number> {
  let last = 0;
  for await (const line of createInterface({ input: child.stdout ?? assert.fail() })) {
    last = Number(line);
    if (last >= id) child.kill('SIGKILL');
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return last;
}

test('a server that restarts costs a statement at most, and one that is away is told without its password', async () => {
  await using server = await startPostgres();
  const address = await server.createDatabase();
  await using database = await openCenterDatabase({ address }, { now });
  const held = database.transaction(async (session) => {
    await server.restart('immediate');
    await session.query('SELECT 1');
  });
  await failsWith(held, 'CENTER_DATABASE_FAILED', /terminat|ended|closed|connection error/);
  await one(database).catch(() => undefined);
  assert.equal(await one(database), 1);
  await server.stop('immediate');
  await one(database).catch(() => undefined);
  await assert.rejects(one(database), (error) => error instanceof SpeilError && error.recovery === 'retry');
  const secret = address.replace('://', '://ola:hemmelig@').replace(/@[^@]*@/, '@');
  await failsWith(openCenterDatabase({ address: secret }, { now }), 'CENTER_DATABASE_FAILED', /ECONNREFUSED/);
  await assert.rejects(
    openCenterDatabase({ address: secret }, { now }),
    (error: Error) => !/hemmelig/.test(error.message),
  );
});

test('a database that a power cut damaged is told with the way out', async () => {
  using folder = temporaryFolder();
  await prepareCenterDatabase(folder.path);
  writeFileSync(join(folder.path, 'database/global/pg_control'), Buffer.alloc(8_192));
  const opened = openCenterDatabase({ dataFolder: folder.path }, { now });
  await failsWith(opened, 'CENTER_DATABASE_FAILED', /Remove .*database, start again, and add tenants/);
});

test('an address of another kind is refused', async () => {
  await failsWith(openCenterDatabase({ address: 'sqlite:center.db' }, { now }), 'USAGE', /center\.db/, /postgres:/);
});

test('a folder that cannot be made is told', async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'file'), '');
  const dataFolder = join(folder.path, 'file', 'center');
  await failsWith(openCenterDatabase({ dataFolder }, { now }), 'CENTER_DATABASE_FAILED', /ENOTDIR/);
});
