import { setTimeout as sleep } from 'node:timers/promises';
import { createMirrorClient } from '../src/client/mirror-client.ts';
import { Ends, runtime } from '../src/open.ts';
import { type CycleContext, newTaskMemory, runCycle } from '../src/task/cycle.ts';
import { PREFERENCES_DEFAULT } from '../src/task/preferences.ts';
import { SpeilProcess } from '../test/support/speil-process.ts';
import { measureLatency } from './support/latency.ts';
import { describeMachine } from './support/machine.ts';
import { cpuSecondsOf, runSpeil } from './support/programs.ts';
import { printResult, progress, readNumbers, timed } from './support/runs.ts';
import { ServerPair } from './support/servers.ts';
import { median, rounded } from './support/statistics.ts';

const { tables, runs, rate, seconds } = readNumbers({ tables: 1000, runs: 20, rate: 200, seconds: 20 });
const ROWS = 10;

await using pair = await ServerPair.start();

async function createTables(): Promise<string> {
  const url = await pair.source.createDatabase('many');
  await pair.source.sql(
    'many',
    `DO $$ BEGIN FOR i IN 1..${tables} LOOP
       EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, name text NOT NULL, at timestamptz DEFAULT now())', i);
       EXECUTE format('INSERT INTO t%s SELECT n, ''row '' || n FROM generate_series(1, ${ROWS}) n', i);
     END LOOP; END $$`,
  );
  await pair.source.sql('many', 'ANALYZE');
  return url;
}

/** A task as it stands between two cycles: connections open, everything mirrored. */
function taskOf(ends: Ends): CycleContext {
  const { signal } = new AbortController();
  return {
    ...runtime,
    source: ends.source,
    client: createMirrorClient({ mirror: ends.mirror, tenant: 'speil', clock: runtime.clock, build: 'bench' }),
    tenant: 'speil',
    selection: { schemas: null },
    preferences: PREFERENCES_DEFAULT,
    takeOver: false,
    memory: newTaskMemory(),
    emit: () => {},
    signal,
  };
}

type Cost = { readonly runsMs: readonly number[]; readonly medianMs: number; readonly cpuMs: number };

/** Milliseconds on the clock, and of this process's processor time in the mean. */
async function cost(
  what: string,
  work: () => Promise<unknown>,
  prepare: () => Promise<unknown> = async () => undefined,
): Promise<Cost> {
  const runsMs: number[] = [];
  let cpuMs = 0;
  for (let n = 0; n <= runs; n++) {
    await prepare();
    const before = process.cpuUsage();
    const ms = rounded((await timed(work)) * 1000);
    const { user, system } = process.cpuUsage(before);
    if (n === 0) continue;
    runsMs.push(ms);
    cpuMs += (user + system) / 1000 / runs;
  }
  progress(`${what}: ${rounded(median(runsMs))} ms`);
  return { runsMs, medianMs: rounded(median(runsMs)), cpuMs: rounded(cpuMs) };
}

async function measureCycles(url: string, mirrorUrl: string) {
  await using ends = await Ends.open({ source: url, mirror: mirrorUrl }, { tenant: 'speil' });
  const task = taskOf(ends);
  const cycle = () => runCycle(task);
  const nothing = await cost('a cycle that finds nothing', cycle);
  const { quiet } = task.memory;
  if (quiet === null) throw new Error('the cycle did not complete');
  const round = await cost('a round that finds nothing', () =>
    ends.source.isUnchangedSince(quiet.snapshot, task.signal),
  );
  let change = 0;
  const changeOne = () => pair.source.sql('many', `UPDATE t7 SET name = 'change ${++change}' WHERE id = 3`);
  const one = await cost('a cycle after one change', cycle, changeOne);
  return { nothing, round, one };
}

progress(`${tables} tables of ${ROWS} rows`);
const url = await createTables();
await using mirror = await pair.newMirror();
const firstCycleS = rounded(await timed(() => runSpeil(['mirror', url, mirror.url, '--quiet'])));
progress(`the first cycle, which copies them: ${firstCycleS} s`);
const cycles = await measureCycles(url, mirror.url);
const command = await cost('the command from start to end', () => runSpeil(['mirror', url, mirror.url, '--quiet']));

/** Share of one processor that a task takes which follows these tables and finds nothing. */
async function idleFollowing(): Promise<number> {
  await using following = new SpeilProcess(['mirror', url, mirror.url, '--follow', '--json']);
  await following.waitFor(({ event }) => event === 'cycle');
  await sleep(3000);
  const before = cpuSecondsOf(following.pid);
  await sleep(seconds * 1000);
  return rounded((cpuSecondsOf(following.pid) - before) / seconds);
}

progress(`following ${tables} idle tables for ${seconds} s`);
const idleCpu = await idleFollowing();
progress(`${rate} transactions a second for ${seconds} s, followed`);
const latency = await measureLatency(pair, { rate, seconds });

printResult({
  benchmark: 'idle',
  what: `${tables} tables in which nothing changes, and how late a follower is`,
  machine: describeMachine(await pair.fullVersion()),
  tables,
  firstCycleS,
  cycleThatFindsNothing: cycles.nothing,
  roundThatFindsNothing: cycles.round,
  cycleAfterOneChange: cycles.one,
  commandFromStartToEnd: command,
  followingIdleShareOfOneProcessor: idleCpu,
  latency,
});
