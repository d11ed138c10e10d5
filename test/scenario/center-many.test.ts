import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { CycleFarm } from '../support/cycle-farm.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const TENANTS = Array.from({ length: 20 }, (_, index) => `tenant${index}`);
const TABLES = 50;

/** The same tables for every tenant, and rows that say whose they are. */
const fiftyTables = (tenant: string): string =>
  Array.from(
    { length: TABLES },
    (_, table) => `CREATE TABLE t${table} (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, n INTEGER);
      INSERT INTO t${table} VALUES (1, '${tenant}', ${table}), (2, '${tenant}', NULL);`,
  ).join('');

test('20 tenants of 50 tables in parallel through one client: each mirror has its tenant’s rows and no others', async () => {
  await using farm = await CycleFarm.open({ database: await (await sharedPostgres()).createDatabase() });
  for (const tenant of TENANTS) await farm.addTenant(tenant, fiftyTables(tenant));
  const runner = await farm.startRunner('center-1', { cyclesMax: 40 });
  for (const tenant of TENANTS) {
    const [run] = await farm.runsOf(tenant, 1, 30_000);
    assert.equal(run?.status, 'completed', JSON.stringify(run?.error));
    assert.equal(run.report?.tables.length, TABLES);
  }
  for (const [index, tenant] of TENANTS.entries()) {
    using source = new DatabaseSync(farm.source(tenant), { timeout: 5_000 });
    source.exec(`UPDATE t7 SET n = ${index}; DELETE FROM t8 WHERE id = 2; INSERT INTO t9 VALUES (3, '${tenant}', 3)`);
  }
  for (const { id } of await farm.store.mirrors()) await runner.requestRun(id);
  for (const tenant of TENANTS) {
    const [, run] = await farm.runsOf(tenant, 2, 30_000);
    const counts = (run?.report?.tables ?? []).map((table) => [table.inserted, table.updated, table.deleted]);
    assert.deepEqual(counts.filter((count) => count.some((rows) => rows > 0)).toSorted(), [
      [0, 0, 1],
      [0, 2, 0],
      [1, 0, 0],
    ]);
    await farm.assertEqual(tenant);
  }
  for (const { tenant, application } of await farm.store.runs({ limit: 100 })) {
    assert.ok(TENANTS.includes(tenant) && application === 'my-app');
  }
});
