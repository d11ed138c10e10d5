import { openSource } from '../src/open.ts';
import { describeMachine } from './support/machine.ts';
import { run, versionOf } from './support/programs.ts';
import { alternate, type Comparison, printResult, progress, ratio, readNumbers } from './support/runs.ts';
import { ServerPair } from './support/servers.ts';

const { scale, seconds, runs, clients } = readNumbers({ scale: 20, seconds: 20, runs: 5, clients: 8 });
if (versionOf('pgbench') === null) throw new Error('this needs pgbench, which comes with PostgreSQL');

await using pair = await ServerPair.start();
const server = pair.source;
const url = await server.createDatabase('bench');
progress(`pgbench at scale ${scale}`);
await run('pgbench', ['-i', '-q', '-s', String(scale), url]);

async function setTracking(on: boolean): Promise<void> {
  await using source = await openSource(url);
  const { signal } = new AbortController();
  if (!on) return void (await source.untrack(signal));
  const { refused } = await source.enableTracking(await source.listTables({ schemas: null }, signal), signal);
  if (refused.length > 0) throw new Error(`not tracked: ${JSON.stringify(refused)}`);
}

/** Transactions per second of one run, on tables that are as clean as before every other. */
async function throughput(script: string, tracked: boolean): Promise<number> {
  await setTracking(tracked);
  await server.sql('bench', 'TRUNCATE pgbench_history');
  await server.sql('bench', 'VACUUM pgbench_accounts, pgbench_branches, pgbench_tellers');
  await server.sql('bench', 'CHECKPOINT');
  const load = ['-c', String(clients), '-j', '2', '-T', String(seconds)];
  const output = await run('pgbench', ['-n', '-b', script, ...load, url]);
  return Number(/tps = ([\d.]+) \(without/.exec(output)?.[1] ?? /tps = ([\d.]+)/.exec(output)?.[1]);
}

const compare = (script: string): Promise<Comparison> =>
  alternate(
    [
      { name: 'without', run: () => throughput(script, false) },
      { name: 'with', run: () => throughput(script, true) },
    ],
    runs,
    'tps',
  );

progress('simple-update (pgbench -N)');
const simple = await compare('simple-update');
progress('tpcb-like (the default)');
const tpcb = await compare('tpcb-like');

printResult({
  benchmark: 'tracking',
  what: `pgbench with and without change tracking, ${clients} clients, scale ${scale}, ${seconds} s a run, in transactions a second`,
  machine: describeMachine(await pair.fullVersion()),
  simpleUpdate: simple,
  tpcbLike: tpcb,
  ratios: {
    'simple-update, with / without': ratio(simple, 'with', 'without'),
    'tpcb-like, with / without': ratio(tpcb, 'with', 'without'),
  },
});
