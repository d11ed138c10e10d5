import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { dumpAndRestore } from '../support/postgres-dump-restore.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { eventually } from '../support/workload.ts';
import { assertAllCopied, assertNothingCopied, SHOP, Shop, trade } from './shop.ts';

/** What becomes of a mirror when its PostgreSQL source is cloned, failed over, or moved with a dump. Guarantee T5. */
let server: PostgresServer;
let mirrors: PostgresServer;

before(async () => {
  [server, mirrors] = await Promise.all([startPostgres({ settings: { synchronous_commit: 'on' } }), startPostgres()]);
});

after(async () => {
  for (const one of [server, mirrors]) await one[Symbol.asyncDispose]();
});

async function shop(): Promise<Shop> {
  const made = new Shop(await server.createDatabase(), await mirrors.createDatabase());
  await made.source.sql(SHOP);
  await made.follow();
  return made;
}

/** As `source`, on another server. */
const at = (other: PostgresServer, { source, mirror }: Shop): Shop =>
  new Shop(other.url(new URL(source.address).pathname.slice(1)), mirror.address);

/** Takes numbers of transactions without writing anything that stays. */
const age = (one: PostgresServer, numbers: number) =>
  one.sql(
    'postgres',
    `CREATE TEMP TABLE t (); DO $$ BEGIN FOR i IN 1..${numbers} LOOP
       BEGIN INSERT INTO t DEFAULT VALUES; RAISE EXCEPTION 'undone'; EXCEPTION WHEN raise_exception THEN NULL; END;
     END LOOP; END $$`,
  );

test('a clone of the source: both histories are told apart, also when the mirror changes sides', async () => {
  const made = await shop();
  const backup = await server.backup();
  await using clone = await startPostgres({ from: backup });
  const cloned = at(clone, made);
  await trade(cloned.source);
  assertNothingCopied(await cloned.follow());
  for (let day = 0; day < 3; day++) await trade(made.source);
  assertAllCopied(await made.follow(), /restored/);
  for (let day = 0; day < 9; day++) await trade(cloned.source);
  assertAllCopied(await cloned.follow(), /restored/);
});

test('a standby that takes over with everything: the mirror goes on', async () => {
  await using primary = await startPostgres({ settings: { synchronous_commit: 'on' } });
  const made = new Shop(await primary.createDatabase('shop'), await mirrors.createDatabase());
  await made.source.sql(SHOP);
  await made.follow();
  await using standby = await startStandby(primary);
  await trade(made.source);
  await made.follow();
  await standby.caughtUp();
  await primary.kill();
  await standby.server.sql('postgres', 'SELECT pg_promote()');
  const promoted = at(standby.server, made);
  assertNothingCopied(await promoted.follow());
  await trade(promoted.source);
  assertNothingCopied(await promoted.follow());
});

test('a standby that takes over without the last commits: everything is copied', async () => {
  await using primary = await startPostgres({ settings: { synchronous_commit: 'on' } });
  const made = new Shop(await primary.createDatabase('shop'), await mirrors.createDatabase());
  await made.source.sql(SHOP);
  await made.follow();
  await using standby = await startStandby(primary);
  await trade(made.source);
  await standby.caughtUp();
  await standby.server.stop();
  await trade(made.source);
  await made.follow();
  await primary.kill();
  await standby.server.start();
  await standby.server.sql('postgres', 'SELECT pg_promote()');
  const promoted = at(standby.server, made);
  for (let day = 0; day < 3; day++) await trade(promoted.source);
  assertAllCopied(await promoted.follow(), /restored|failed over/);
});

test('a dump moved to a new server that counts its transactions from lower numbers', async () => {
  await age(server, 20_000);
  const made = await shop();
  await trade(made.source);
  await made.follow();
  await using other = await startPostgres();
  const moved = new Shop(await other.createDatabase('new_home'), made.mirror.address);
  await dumpAndRestore(made.source.address, moved.source.address);
  await trade(moved.source);
  assertAllCopied(await moved.follow(), /moved to another server/);
  for (let day = 0; day < 2; day++) {
    await trade(moved.source);
    assertNothingCopied(await moved.follow());
  }
  const { report } = await moved.cycle();
  assert.equal(
    report.tables.reduce((sum, table) => sum + table.inserted + table.updated + table.deleted, 0),
    0,
  );
});

test('a dump moved to a new server that counts its transactions from higher numbers', async () => {
  const made = await shop();
  await trade(made.source);
  await made.follow();
  await using other = await startPostgres();
  await age(other, 60_000);
  const moved = new Shop(await other.createDatabase('new_home'), made.mirror.address);
  await dumpAndRestore(made.source.address, moved.source.address);
  await trade(moved.source);
  assertAllCopied(await moved.follow(), /moved to another server/);
  await trade(moved.source);
  assertNothingCopied(await moved.follow());
  await assert.rejects(made.cycle(), { code: 'OTHER_LINEAGE' });
});

test('a database copied within its server is another source, which knows the mirror’s bookmark', async () => {
  const made = await shop();
  const copy = await server.createDatabase(undefined, { template: new URL(made.source.address).pathname.slice(1) });
  const copied = new Shop(copy, made.mirror.address);
  await trade(copied.source);
  assertAllCopied(await copied.follow(), /moved/);
  await trade(copied.source);
  assertNothingCopied(await copied.follow());
});

type Standby = AsyncDisposable & { readonly server: PostgresServer; caughtUp(): Promise<void> };

/** A server that replays the journal of `primary` as it is written. */
async function startStandby(primary: PostgresServer): Promise<Standby> {
  const backup = await primary.backup();
  writeFileSync(join(backup, 'standby.signal'), '');
  const settings = { primary_conninfo: `host=127.0.0.1 port=${primary.port} user=postgres`, synchronous_commit: 'on' };
  const standby = await startPostgres({ from: backup, settings });
  const lastOf = async (one: PostgresServer, text: string) =>
    BigInt(String((await one.sql('postgres', text))[0]?.['at']));
  return {
    server: standby,
    caughtUp: () =>
      eventually(async () => {
        const sent = await lastOf(primary, "SELECT pg_current_wal_lsn() - '0/0' AS at");
        const replayed = await lastOf(standby, "SELECT pg_last_wal_replay_lsn() - '0/0' AS at");
        assert.ok(replayed >= sent, `replayed to ${replayed} of ${sent}`);
      }),
    [Symbol.asyncDispose]: () => standby[Symbol.asyncDispose](),
  };
}
