import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Run } from '../../src/operation-center/model.ts';
import { CycleFarm } from '../support/cycle-farm.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { eventually } from '../support/workload.ts';

const CHILD = fileURLToPath(new URL('../support/center-child.ts', import.meta.url));
const TENANTS = Array.from({ length: 20 }, (_, index) => `tenant${index}`);
const LEASE_MS = 2_000;

/** Fills a table so that its copy takes several batches, and with them some time. */
const filled = (rows: number): string =>
  `CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
   WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
   INSERT INTO item SELECT i, 'item ' || i FROM n;`;

type Center = ChildProcess & Disposable & { said: () => string };

async function startCenter(farm: CycleFarm, address: string, name: string): Promise<Center> {
  const child = spawn(process.execPath, [CHILD, farm.folder, address, name, String(LEASE_MS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (data) => (said += data));
  await once(child.stdout, 'data');
  return Object.assign(child, { said: () => said, [Symbol.dispose]: () => void child.kill('SIGKILL') });
}

const allRuns = (farm: CycleFarm) => farm.store.runs({ limit: 1_000 });

/** Two cycles of a tenant never overlap, whichever centers ran them. A killed one ends when it was found dead. */
function assertInSequence(runs: readonly Run[]): void {
  for (const tenant of TENANTS) {
    const own = runs
      .filter((run) => run.tenant === tenant && run.status !== 'interrupted')
      .toSorted((a, b) => a.startedAt.localeCompare(b.startedAt));
    for (const [index, run] of own.entries()) {
      const before = own[index - 1];
      assert.ok(before === undefined || (before.finishedAt ?? '~') <= run.startedAt, JSON.stringify([before, run]));
    }
  }
}

test('two centers share the tenants; when one is killed the other does what it left, nothing lost and nothing twice', async () => {
  const address = await (await sharedPostgres()).createDatabase();
  await using farm = await CycleFarm.open({ database: address });
  for (const tenant of TENANTS) await farm.addTenant(tenant, filled(3_000), { everyMs: 1_500 });
  using first = await startCenter(farm, address, 'first');
  using second = await startCenter(farm, address, 'second');
  await eventually(
    async () => {
      const running = (await allRuns(farm)).filter(({ status }) => status === 'running');
      assert.ok(running.some(({ center }) => center === 'first') && running.some(({ center }) => center === 'second'));
    },
    { withinMs: 8_000, everyMs: 5 },
  );
  first.kill('SIGKILL');
  const killedAt = new Date().toISOString();
  for (const tenant of TENANTS) {
    using source = new DatabaseSync(farm.source(tenant), { timeout: 5_000 });
    source.exec("INSERT INTO item (text) VALUES ('after the end')");
  }
  const changedAt = new Date().toISOString();
  await eventually(
    async () => {
      const good = (await allRuns(farm)).filter((run) => run.status === 'completed' && run.startedAt > changedAt);
      assert.equal(new Set(good.map(({ tenant }) => tenant)).size, TENANTS.length);
    },
    { withinMs: 15_000, everyMs: 50 },
  );
  second.kill('SIGKILL');
  const runs = await allRuns(farm);
  assertInSequence(runs);
  const lost = runs.filter(({ center, status }) => center === 'first' && status === 'interrupted');
  assert.ok(lost.length > 0, 'the first center ran nothing when it was killed');
  assert.ok(lost.every(({ finishedAt }) => (finishedAt ?? '') >= killedAt));
  assert.deepEqual(
    runs.filter(({ center, status }) => center === 'first' && status === 'running'),
    [],
  );
  for (const tenant of TENANTS) await farm.assertEqual(tenant);
});

test('a center that was frozen and comes back leaves its cycle to the one that took it over', async () => {
  const address = await (await sharedPostgres()).createDatabase();
  let copying = () => {};
  const isCopying = new Promise<void>((resolve) => (copying = resolve));
  let goOn = () => {};
  const held = new Promise<void>((resolve) => (goOn = resolve));
  let wipes = 0;
  const onWipe = async () => {
    wipes += 1;
    copying();
    if (wipes === 1) await held;
  };
  await using farm = await CycleFarm.open({ database: address, hooks: { onWipe } });
  await farm.addTenant('acme', filled(2_000));
  using frozen = await startCenter(farm, address, 'frozen');
  await isCopying;
  frozen.kill('SIGSTOP');
  goOn();
  await farm.startRunner('other', { leaseMs: LEASE_MS });
  const [interrupted, completed] = await farm.runsOf('acme', 2);
  assert.deepEqual([interrupted?.center, interrupted?.status], ['frozen', 'interrupted']);
  assert.deepEqual([completed?.center, completed?.status], ['other', 'completed']);
  frozen.kill('SIGCONT');
  await eventually(() => assert.match(frozen.said(), /was not renewed in time and was left to others/));
  await farm.assertEqual('acme');
  assert.deepEqual((await farm.store.runs({ tenant: 'acme', limit: 9 })).map(({ status }) => status).toSorted(), [
    'completed',
    'interrupted',
  ]);
});

test('the cycle of a client that has dialled one of two centers is run by that one', async () => {
  const address = await (await sharedPostgres()).createDatabase();
  await using farm = await CycleFarm.open({ database: address });
  const mirror = await farm.addTenant('acme', filled(10));
  const clients = farm.clients();
  const unreachable = { ...clients, connect: clients.connect.bind(clients), isReachable: () => false };
  const without = await farm.startRunner('without', { clients: unreachable });
  await eventually(async () => assert.ok((await farm.store.schedules()).length > 0 && without.state().ready));
  await farm.startRunner('with');
  const [run] = await farm.runsOf('acme', 1);
  assert.deepEqual([run?.center, run?.status], ['with', 'completed']);
  assert.equal((await farm.store.schedule(mirror.id)).failuresInRow, 0);
});
