import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { selfSigned } from '../support/certificate.ts';
import { assertSameRows } from '../support/dump.ts';
import { withClient } from '../support/postgres-client.ts';
import { PushedMirror, type PushOptions } from '../support/pushed-mirror.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { withDirectory } from '../support/workload.ts';

const TABLES = ['person', 'project', 'sale'];
const SHOP = TABLES.map(
  (table) => `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, note TEXT);
    INSERT INTO ${table} WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
      SELECT i, 'row ' || i || ' of the table ${table}' FROM n;`,
).join('\n');
const CHANGES = `UPDATE person SET note = 'changed' WHERE id < 10; DELETE FROM project WHERE id = 7;
  INSERT INTO sale VALUES (1000, NULL);`;

const FIRST_CYCLE = ['wipe', 'row-data', 'wipe', 'row-data', 'wipe', 'row-data'];
const firstCycle = ['authenticate', 'table-schema', ...FIRST_CYCLE, 'replication-completed'];
const nextCycle = ['authenticate', 'table-schema', 'row-data', 'replication-completed'];

type Sql = (sql: string) => Promise<unknown>;

/** A first cycle and one with changes: the mirror equals the source, and the calls come in the order of the contract. */
async function pushTwice(addresses: { source: string; mirror: string }, sql: Sql, options: PushOptions): Promise<void> {
  await sql(SHOP);
  await using pushed = await PushedMirror.start(addresses, { batchBytes: 5_000, ...options });
  assert.equal((await pushed.cycle()).status, 'completed');
  assert.deepEqual(pushed.callNames(), firstCycle);
  assert.ok(pushed.calls.filter(({ call }) => call === 'row-data').length > 6, 'several batches a table');
  await assertSameRows(addresses.source, addresses.mirror);
  pushed.calls.length = 0;
  await sql(CHANGES);
  assert.equal((await pushed.cycle()).status, 'completed');
  assert.deepEqual(pushed.callNames(), nextCycle);
  await assertSameRows(addresses.source, addresses.mirror);
}

const execute = (path: string) => async (sql: string) => {
  using database = new DatabaseSync(path);
  database.exec(sql);
};

for (const [name, options] of Object.entries<PushOptions>({
  HTTP: {},
  HTTPS: { tls: selfSigned() },
  'HTTPS, compressed': { tls: selfSigned(), compress: true },
})) {
  test(`SQLite → SQLite over ${name}`, async () => {
    using directory = withDirectory();
    const source = directory.file('source.db');
    await pushTwice({ source, mirror: directory.file('mirror.db') }, execute(source), options);
  });
}

test('PostgreSQL → PostgreSQL over HTTPS', async () => {
  const server = await sharedPostgres();
  const [source, mirror] = [await server.createDatabase(), await server.createDatabase()];
  await pushTwice({ source, mirror }, (sql) => withClient(source, (client) => client.query(sql)), {
    tls: selfSigned(),
    compress: true,
  });
});
