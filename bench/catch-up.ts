import { withClient } from '../test/support/postgres-client.ts';
import type { PostgresServer } from '../test/support/postgres-server.ts';
import { createAccountsDatabase, fingerprint } from './support/accounts.ts';
import { describeMachine } from './support/machine.ts';
import { runSpeil } from './support/programs.ts';
import { NativeReplication } from './support/replication.ts';
import { alternate, type Comparison, printResult, progress, ratio, readNumbers, timed } from './support/runs.ts';
import { ServerPair } from './support/servers.ts';

const { rows, changes, hot, runs } = readNumbers({ rows: 1_000_000, changes: 500_000, hot: 100_000, runs: 5 });
const SOURCE = 'shop';

/** Two pairs of servers alike, so that neither pays for what the other leaves in its journal. */
await using ours = await ServerPair.start();
await using theirs = await ServerPair.start();
progress(`two sources of ${rows} rows, each with its mirror`);
const source = await createAccountsDatabase(ours.source, SOURCE, rows);
await createAccountsDatabase(theirs.source, SOURCE, rows);
await using mirror = await ours.newMirror();
await runSpeil(['mirror', source, mirror.url, '--quiet']);
await using replication = await NativeReplication.prepare(theirs, SOURCE);
await replication.copy();
await replication.becomesReady();

type Workload = (server: PostgresServer) => Promise<unknown>;

const oneTransaction: Workload = (server) =>
  server.sql(SOURCE, `UPDATE accounts SET abalance = abalance + 1 WHERE aid <= ${changes}`);

/** 7919 is prime: the rows come in no order, each as often as any other. */
const manyTransactions: Workload = (server) =>
  withClient(server.url(SOURCE), async (client) => {
    await client.query('SET synchronous_commit = off');
    await client.query(`DO $$ BEGIN FOR i IN 1..${changes} LOOP
      UPDATE accounts SET abalance = abalance + 1 WHERE aid = 1 + (i::bigint * 7919) % ${hot};
      COMMIT;
    END LOOP; END $$`);
  });

async function checkEqual(pair: ServerPair, database: string): Promise<void> {
  const [expected, found] = [await fingerprint(pair.source, SOURCE), await fingerprint(pair.mirror, database)];
  if (found !== expected) throw new Error(`the mirror is ${found}, not ${expected}`);
}

async function speilCatchesUp(workload: Workload): Promise<number> {
  await workload(ours.source);
  await ours.settle();
  const seconds = await timed(() => runSpeil(['mirror', source, mirror.url, '--quiet']));
  await checkEqual(ours, mirror.name);
  return seconds;
}

async function nativeCatchesUp(workload: Workload): Promise<number> {
  await replication.disable();
  await workload(theirs.source);
  await theirs.settle();
  const seconds = await timed(() => replication.catchUp());
  await checkEqual(theirs, replication.database.name);
  return seconds;
}

const compare = (workload: Workload): Promise<Comparison> =>
  alternate(
    [
      { name: 'speil', run: () => speilCatchesUp(workload) },
      { name: 'logical replication', run: () => nativeCatchesUp(workload) },
    ],
    runs,
    's',
  );

progress(`one transaction that updates ${changes} rows`);
const one = await compare(oneTransaction);
progress(`${changes} transactions of one row each, over ${hot} rows`);
const many = await compare(manyTransactions);

printResult({
  benchmark: 'catch-up',
  what: `what a mirror of ${rows} pgbench accounts missed, in seconds`,
  machine: describeMachine(await ours.fullVersion()),
  oneTransaction: { rows: changes, ...one },
  manyTransactions: { transactions: changes, overRows: hot, ...many },
  ratios: {
    'one transaction, speil / logical replication': ratio(one, 'speil', 'logical replication'),
    'many transactions, speil / logical replication': ratio(many, 'speil', 'logical replication'),
  },
});
