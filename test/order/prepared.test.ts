import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mirror } from '../../src/mirror.ts';
import { countsOf, fromPostgres, testPairs } from '../conformance/mirroring.ts';
import { assertSameRows } from '../support/dump.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { withDirectory } from '../support/workload.ts';
import { Session } from './sessions.ts';

const none = { inserted: 0, updated: 0, deleted: 0 };

/** A prepared transaction belongs to no session; its name is the server's, so it holds the database's too. */
async function prepare(address: string, statements: string): Promise<string> {
  const name = `prepared ${new URL(address).pathname} ${statements.length}`;
  await using session = await Session.open(address);
  await session.sql(`BEGIN; ${statements}`);
  await session.sql(`PREPARE TRANSACTION '${name}'`);
  return name;
}

testPairs(
  'prepared transactions, committed and rolled back after later ones',
  async (mirroring) => {
    const { source } = mirroring;
    await source.sql('CREATE TABLE item (id int PRIMARY KEY, note text); INSERT INTO item VALUES (1, NULL), (2, NULL)');
    await mirroring.follow();
    const kept = await prepare(
      source.address,
      "INSERT INTO item VALUES (10, 'kept'); UPDATE item SET note = 'kept' WHERE id = 1",
    );
    const dropped = await prepare(source.address, "UPDATE item SET note = 'dropped' WHERE id = 2");
    await source.sql("INSERT INTO item VALUES (20, 'between')");
    assert.deepEqual(countsOf(await mirroring.follow(), 'item'), { ...none, inserted: 1 });
    await source.sql(`ROLLBACK PREPARED '${dropped}'`);
    assert.deepEqual(countsOf(await mirroring.follow(), 'item'), none);
    await source.sql(`COMMIT PREPARED '${kept}'`);
    assert.deepEqual(countsOf(await mirroring.follow(), 'item'), { inserted: 1, updated: 1, deleted: 0 });
  },
  fromPostgres,
);

testPairs(
  'a transaction that was prepared before the first copy began and is committed after it',
  async (mirroring) => {
    const { source } = mirroring;
    await source.sql('CREATE TABLE item (id int PRIMARY KEY, note text); CREATE TABLE other (id int PRIMARY KEY)');
    await mirroring.follow();
    const name = await prepare(source.address, "INSERT INTO item SELECT i, 'prepared' FROM generate_series(1, 50) i");
    await mirroring.mirror.sql("UPDATE speil_mirroring SET lsn = -1 WHERE table_name = 'item'");
    await mirroring.follow();
    await source.sql(`COMMIT PREPARED '${name}'`);
    assert.deepEqual(countsOf(await mirroring.follow(), 'item'), { ...none, inserted: 50 });
  },
  fromPostgres,
);

test('a prepared transaction that outlives a crash and a restart of the source', async () => {
  using directory = withDirectory();
  await using server = await startPostgres({ settings: { synchronous_commit: 'on' } });
  const addresses = { source: await server.createDatabase('shop'), mirror: `sqlite:${directory.file('mirror.db')}` };
  const sql = (text: string) => server.sql('shop', text);
  await sql(
    'CREATE TABLE item (id int PRIMARY KEY, note text); INSERT INTO item SELECT i FROM generate_series(1, 20) i',
  );
  await mirror(addresses);
  const name = await prepare(
    addresses.source,
    "UPDATE item SET note = 'prepared' WHERE id <= 3; DELETE FROM item WHERE id = 4",
  );
  await sql("UPDATE item SET note = 'plain' WHERE id > 10");
  await mirror(addresses);
  await server.kill();
  await server.start();
  await sql('INSERT INTO item VALUES (21)');
  await mirror(addresses);
  await assertSameRows(addresses.source, addresses.mirror);
  await server.restart();
  await sql(`COMMIT PREPARED '${name}'`);
  const report = await mirror(addresses);
  assert.deepEqual(countsOf({ report, events: [] }, 'item'), { inserted: 0, updated: 3, deleted: 1 });
  await assertSameRows(addresses.source, addresses.mirror);
});
