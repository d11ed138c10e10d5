import assert from 'node:assert/strict';
import { test } from 'node:test';
import { APPLICATION, CycleFarm } from '../support/cycle-farm.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { withDirectory } from '../support/workload.ts';

test('a center’s database that is thrown away costs nothing but its history: mirrors go on where they were', async () => {
  using directory = withDirectory('speil-farm-');
  const server = await sharedPostgres();
  const sql = `CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO person (name) VALUES ('Kari');`;
  {
    await using farm = await CycleFarm.open({ folder: directory.path, database: await server.createDatabase() });
    await farm.addTenant('acme', sql);
    await farm.startRunner('before');
    await farm.runsOf('acme', 1);
    farm.plain('acme').exec("INSERT INTO person (name) VALUES ('Ola')");
  }
  await using farm = await CycleFarm.open({ folder: directory.path, database: await server.createDatabase() });
  await farm.addTenant('acme', '');
  await farm.startRunner('after');
  const [run] = await farm.runsOf('acme', 1);
  const [table] = run?.report?.tables ?? [];
  assert.deepEqual([table?.table, table?.repopulated, table?.inserted], ['person', undefined, 1]);
  await farm.assertEqual('acme');
});

test('a center that ends or is killed leaves what it was doing to the next one, also with PGlite', async () => {
  using directory = withDirectory('speil-farm-');
  const sql = 'CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT)';
  {
    let stop = async () => {};
    const hooks = { onWipe: () => stop() };
    await using farm = await CycleFarm.open({ folder: directory.path, hooks });
    await farm.addTenant('acme', sql);
    let stopped: Promise<void> | null = null;
    const runner = await farm.startRunner('before', { cyclesMax: 2 });
    stop = async () => {
      stopped = runner.stop();
    };
    const [run] = await farm.runsOf('acme', 1);
    assert.equal(run?.status, 'interrupted');
    assert.match(run.error?.message ?? '', /operation center is stopping/);
    await stopped;
    assert.deepEqual(runner.state(), { running: 0, queued: 0, ready: false });
  }
  await using farm = await CycleFarm.open({ folder: directory.path });
  const { id } = await farm.store.mirror('acme', APPLICATION);
  await farm.store.saveMirror(id, { transport: { kind: 'http', url: farm.clientUrl } });
  await farm.store.beginRun({ tenant: 'acme', application: APPLICATION, trigger: 'schedule', center: 'killed' });
  await farm.startRunner('after');
  const runs = await farm.runsOf('acme', 3);
  assert.deepEqual(
    runs.map(({ status, center }) => [status, center]),
    [
      ['interrupted', 'before'],
      ['interrupted', 'killed'],
      ['completed', 'after'],
    ],
  );
  await farm.assertEqual('acme');
});
