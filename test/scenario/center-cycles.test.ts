import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SpeilError } from '../../src/core/error.ts';
import { openSource } from '../../src/open.ts';
import type { Mirror, Run } from '../../src/operation-center/model.ts';
import type { CenterRunner } from '../../src/operation-center/runner.ts';
import { CycleFarm, type FarmOptions } from '../support/cycle-farm.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const PERSON = `CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
  INSERT INTO person (name) VALUES ('Kari'), ('Ola');`;
const LOG = `CREATE TABLE log (id INTEGER PRIMARY KEY, line TEXT); INSERT INTO log (line) VALUES ('a'), ('b');`;

async function openFarm(options: FarmOptions = {}): Promise<CycleFarm> {
  const server = await sharedPostgres();
  return CycleFarm.open({ database: await server.createDatabase(), ...options });
}

/** A cycle that somebody asks for and waits for. */
async function runNow(runner: CenterRunner, mirror: Mirror): Promise<Run> {
  const { lastRunId } = await runner.requestRun(mirror.id);
  const signal = new AbortController().signal;
  const run = await runner.waitForRun(mirror.id, { afterRunId: lastRunId, waitMs: 8_000, signal });
  assert.ok(run, 'the run did not end in time');
  return run;
}

const eventsOf = async (farm: CycleFarm, tenant: string) => await farm.store.events({ tenant, limit: 100 });

test('a due mirror is copied; one that is asked for starts within a second', async () => {
  await using farm = await openFarm();
  const mirror = await farm.addTenant('acme', PERSON);
  const runner = await farm.startRunner('center-1');
  const [first] = await farm.runsOf('acme', 1);
  assert.deepEqual([first?.status, first?.trigger, first?.center], ['completed', 'schedule', 'center-1']);
  await farm.assertEqual('acme');
  farm.plain('acme').exec("INSERT INTO person (name) VALUES ('Per')");
  const askedAtMs = Date.now();
  const second = await runNow(runner, mirror);
  assert.deepEqual([second.status, second.trigger], ['completed', 'request']);
  assert.ok(Date.parse(second.startedAt) - askedAtMs < 1000, `asked at ${askedAtMs}, began ${second.startedAt}`);
  assert.ok(second.bytes > 0);
  await farm.assertEqual('acme');
  const schedule = await farm.store.schedule(mirror.id);
  assert.deepEqual([schedule.copied, schedule.requested, schedule.failuresInRow], [true, false, 0]);
  assert.equal(schedule.dueAtMs - Date.parse(second.startedAt) > 19 * 60_000, true);
});

test('ten cycles with three faults leave seven informations and three errors, and no password', async () => {
  await using farm = await openFarm();
  const mirror = await farm.addTenant('acme', PERSON);
  const faults = new Set([3, 4, 8]);
  let opened = 0;
  const runner = await farm.startRunner('center-1', {
    openSource: async (address) => {
      opened += 1;
      if (!faults.has(opened)) return await openSource(address);
      throw new SpeilError('AUTHENTICATION_REFUSED', 'refused: postgres://ola:hemmelig@db/crm', {
        hint: 'Check password=hemmelig.',
      });
    },
  });
  await farm.runsOf('acme', 1);
  const failures: number[] = [];
  for (let cycle = 2; cycle <= 10; cycle++) {
    const run = await runNow(runner, mirror);
    assert.equal(run.status, faults.has(cycle) ? 'failed' : 'completed', `cycle ${cycle}`);
    failures.push((await farm.store.schedule(mirror.id)).failuresInRow);
  }
  assert.deepEqual(failures, [0, 1, 2, 0, 0, 0, 1, 0, 0]);
  const events = await eventsOf(farm, 'acme');
  const count = (kind: string) => events.filter((event) => event.kind === kind).length;
  assert.deepEqual([count('information'), count('error'), events.length], [7, 3, 10]);
  const kept = JSON.stringify([events, await farm.store.runs({ tenant: 'acme', limit: 20 }), farm.logged]);
  assert.ok(kept.includes('refused: postgres://ola:***@db/crm'), kept);
  assert.ok(!kept.includes('hemmelig'));
});

test('a failed cycle is tried again by itself after half a minute at most', async () => {
  await using farm = await openFarm();
  const mirror = await farm.addTenant('acme', PERSON);
  await farm.startRunner('center-1', {
    openSource: async () => {
      throw new SpeilError('DATABASE_MISSING', 'there is no database');
    },
  });
  const [run] = await farm.runsOf('acme', 1);
  assert.equal(run?.error?.code, 'DATABASE_MISSING');
  const schedule = await farm.store.schedule(mirror.id);
  const delayMs = schedule.dueAtMs - Date.parse(run?.finishedAt ?? '');
  assert.ok(delayMs > 14_000 && delayMs <= 30_000, `${delayMs} ms`);
});

test('a client that cannot be reached fails its cycles without holding a place for long', async () => {
  await using farm = await openFarm();
  const mirror = await farm.addTenant('acme', PERSON);
  await farm.store.saveMirror(mirror.id, { transport: { kind: 'http', url: 'http://127.0.0.1:9' } });
  const runner = await farm.startRunner('center-1', { cyclesMax: 1 });
  const [first] = await farm.runsOf('acme', 1);
  assert.equal(first?.error?.code, 'UNREACHABLE');
  const again = await runNow(runner, mirror);
  assert.ok(Date.parse(again.finishedAt ?? '') - Date.parse(again.startedAt) < 400, 'it was tried more than once');
  await farm.store.saveMirror(mirror.id, { transport: { kind: 'http', url: farm.clientUrl } });
  assert.equal((await runNow(runner, mirror)).status, 'completed');
});

test('a mirror that asks to be skipped is asked again at the next cycle', async () => {
  let answer: string | null = 'we upgrade';
  await using farm = await openFarm({
    hooks: { onAuthenticate: () => (answer === null ? {} : { doNotReplicate: answer }) },
  });
  const mirror = await farm.addTenant('acme', PERSON);
  const runner = await farm.startRunner('center-1');
  const [first] = await farm.runsOf('acme', 1);
  assert.equal(first?.status, 'skipped');
  const [event] = await eventsOf(farm, 'acme');
  assert.deepEqual([event?.kind, event?.message], ['information', 'the mirror asked to skip this cycle: we upgrade']);
  assert.equal((await farm.store.schedule(mirror.id)).failuresInRow, 0);
  answer = null;
  assert.equal((await runNow(runner, mirror)).status, 'completed');
  await farm.assertEqual('acme');
});

test('a table that becomes skipped is announced by one cycle and dropped by the next', async () => {
  await using farm = await openFarm();
  const mirror = await farm.addTenant('acme', PERSON + LOG);
  const runner = await farm.startRunner('center-1');
  await farm.runsOf('acme', 1);
  const { preferences } = await farm.store.tenant('acme');
  await farm.store.saveTenant('acme', { preferences: { ...preferences, skipTables: [' LOG '] } });
  await runNow(runner, mirror);
  const tables = () => tablesOf(farm, 'acme');
  assert.ok(tables().includes('log'), 'it was dropped before it was announced');
  const warning = (await eventsOf(farm, 'acme')).find(({ kind }) => kind === 'warning');
  assert.match(warning?.message ?? '', /LOG .*skipped from now on; the next cycle drops/);
  await runNow(runner, mirror);
  assert.ok(!tables().includes('log'), 'it is there still');
  assert.equal((await eventsOf(farm, 'acme')).filter(({ kind }) => kind === 'warning').length, 1);
  await farm.store.saveTenant('acme', { preferences });
  await runNow(runner, mirror);
  await farm.assertEqual('acme');
});

function tablesOf(farm: CycleFarm, tenant: string): readonly unknown[] {
  const database = farm.plainMirror(tenant);
  return database
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
    .all()
    .map((row) => row['name']);
}

test('tables that are asked for are copied again, others are not', async () => {
  await using farm = await openFarm();
  const mirror = await farm.addTenant('acme', PERSON + LOG);
  const runner = await farm.startRunner('center-1');
  await farm.runsOf('acme', 1);
  farm.plainMirror('acme').exec('DELETE FROM person; DELETE FROM log');
  await farm.store.addResync(mirror.id, ['Person']);
  const run = await runNow(runner, mirror);
  const copied = run.report?.tables.filter(({ repopulated }) => repopulated !== undefined).map(({ table }) => table);
  assert.deepEqual(copied, ['person']);
  assert.deepEqual((await farm.store.schedule(mirror.id)).resyncTables, []);
  await farm.store.addResync(mirror.id, ['log']);
  await runNow(runner, mirror);
  await farm.assertEqual('acme');
});

test('maintenance that begins during a cycle ends it before its next wipe, and nothing starts until it is over', async () => {
  const wiped: string[] = [];
  let whenWiped = async () => {};
  await using farm = await openFarm({
    hooks: {
      onWipe: async (table) => {
        wiped.push(table.name);
        await whenWiped();
      },
    },
  });
  const mirror = await farm.addTenant('acme', PERSON + LOG);
  whenWiped = async () => void (await farm.store.saveTenant('acme', { maintenance: true }));
  const runner = await farm.startRunner('center-1');
  const [run] = await farm.runsOf('acme', 1);
  assert.equal(run?.status, 'interrupted');
  assert.equal(wiped.length, 1);
  await runner.requestRun(mirror.id);
  const signal = new AbortController().signal;
  assert.equal(await runner.waitForRun(mirror.id, { afterRunId: run.id, waitMs: 700, signal }), null);
  whenWiped = async () => {};
  await farm.store.saveTenant('acme', { maintenance: false });
  const next = await runner.waitForRun(mirror.id, { afterRunId: run.id, waitMs: 5_000, signal });
  assert.equal(next?.status, 'completed');
  assert.equal(wiped.length, 2, 'the copy that was interrupted went on');
  await farm.assertEqual('acme');
});

test('a copy that was asked for and interrupted is gone on with, not begun again', async () => {
  const wiped: string[] = [];
  let whenWiped = async () => {};
  await using farm = await openFarm({
    hooks: {
      onWipe: async (table) => {
        wiped.push(table.name);
        await whenWiped();
      },
    },
  });
  const mirror = await farm.addTenant('acme', PERSON + LOG);
  const runner = await farm.startRunner('center-1');
  await farm.runsOf('acme', 1);
  wiped.length = 0;
  whenWiped = async () => void (await farm.store.saveTenant('acme', { maintenance: true }));
  await farm.store.addResync(mirror.id, ['person', 'log']);
  assert.equal((await runNow(runner, mirror)).status, 'interrupted');
  const [begun] = wiped;
  const left = ['log', 'person'].filter((name) => name !== begun);
  assert.deepEqual((await farm.store.schedule(mirror.id)).resyncTables, left);
  whenWiped = async () => {};
  await farm.store.saveTenant('acme', { maintenance: false });
  await farm.runsOf('acme', 3);
  assert.deepEqual(wiped.toSorted(), ['log', 'person']);
  await farm.assertEqual('acme');
});
