import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { createKeyPair } from '../../src/client/trust/keys.ts';
import { serveClient } from '../../src/client-service.ts';
import { assertSameRows } from '../support/dump.ts';
import { pushCycle } from '../support/push-cycle.ts';
import { withDirectory } from '../support/workload.ts';

const TENANTS = Array.from({ length: 20 }, (_, index) => `Cust${10_000 + index}`);
const TABLES = Array.from({ length: 50 }, (_, index) => `t${index}`);

/** Every row says whose it is, and every tenant has other keys. */
function makeSource(path: string, tenant: string): void {
  using database = new DatabaseSync(path);
  const first = Number(tenant.slice(4)) * 1_000;
  database.exec('PRAGMA journal_mode = WAL; BEGIN');
  for (const table of TABLES) {
    database.exec(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, v INTEGER);
      INSERT INTO ${table} VALUES (${first}, '${tenant}', 1), (${first + 1}, '${tenant}', 2)`);
  }
  database.exec('COMMIT');
}

function change(path: string, round: number): void {
  using database = new DatabaseSync(path);
  const updates = TABLES.map((table) => `UPDATE ${table} SET v = v + ${round} WHERE id % 2 = ${round % 2}`);
  database.exec(`BEGIN; ${updates.join(';')}; COMMIT`);
}

const count = (path: string, sql: string): number => {
  using database = new DatabaseSync(path, { readOnly: true });
  return Number(Object.values(database.prepare(sql).get() ?? {})[0]);
};

test('20 tenants of 50 tables at the same time over HTTP: each has its own rows, and nobody else’s', async () => {
  using directory = withDirectory();
  const [app, center] = [createKeyPair('ed25519'), createKeyPair('ed25519')];
  const sources = new Map(TENANTS.map((tenant) => [tenant, directory.file(`source-${tenant}.db`)]));
  for (const [tenant, path] of sources) makeSource(path, tenant);
  await using server = await serveClient({
    mirror: `sqlite:${directory.file('mirrors')}/{tenant}.db`,
    application: 'app',
    keys: [app.privatePem],
    trust: [center.publicPem],
    listen: { host: '127.0.0.1', port: 0 },
    hooks: { onAuthenticate: ({ tenant }) => ({ clientState: `state of ${tenant}` }) },
  });
  const cycle = async (tenant: string) => {
    const report = await pushCycle({
      to: server.url,
      source: `sqlite:${sources.get(tenant)}`,
      tenant,
      application: 'app',
      centerKey: center.privatePem,
      applicationKey: app.publicPem,
      batchBytes: 1_000,
    });
    assert.equal(report.status, 'completed', tenant);
  };
  await Promise.all(TENANTS.map(cycle));
  for (const path of sources.values()) change(path, 1);
  await Promise.all(TENANTS.map(cycle));
  for (const [tenant, path] of sources) {
    const mirror = directory.file(`mirrors/${tenant}.db`);
    await assertSameRows(`sqlite:${path}`, `sqlite:${mirror}`);
    assert.equal(count(mirror, `SELECT count(*) FROM t0 WHERE owner <> '${tenant}'`), 0);
    assert.equal(count(mirror, `SELECT count(*) FROM "${tenant}_mirroring"`), TABLES.length);
    assert.equal(count(mirror, `SELECT count(*) FROM sqlite_schema WHERE name LIKE '%\\_mirroring' ESCAPE '\\'`), 1);
    assert.doesNotMatch(readFileSync(mirror, 'latin1').replaceAll(tenant, ''), /Cust10\d{3}/);
  }
});
