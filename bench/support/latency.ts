import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { close, connect } from '../../test/support/postgres-client.ts';
import { SpeilProcess } from '../../test/support/speil-process.ts';
import { cpuSecondsOf } from './programs.ts';
import type { ServerPair } from './servers.ts';
import { median, percentile, rounded } from './statistics.ts';

const POLL_MS = 2;
/** The follower gets this long to find its rhythm before anything counts. */
const WARM_UP_MS = 2000;

export type Latency = {
  readonly transactionsPerSecond: number;
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly worstMs: number;
  /** Of one processor, by the following process. */
  readonly processorShare: number;
};

/** From the moment in which a commit is acknowledged to that in which its row is seen on the mirror; one clock. */
export async function measureLatency(
  pair: ServerPair,
  { rate, seconds }: { rate: number; seconds: number },
): Promise<Latency> {
  const url = await pair.source.createDatabase('orders');
  await pair.source.sql('orders', 'CREATE TABLE orders (id int PRIMARY KEY, note text)');
  await using mirror = await pair.newMirror();
  await using following = new SpeilProcess(['mirror', url, mirror.url, '--follow', '--json']);
  await following.waitFor(({ event }) => event === 'cycle');
  const [writer, reader] = [await connect(url), await connect(mirror.url)];
  const committed = new Map<number, number>();
  const cpuBefore = cpuSecondsOf(following.pid);
  const writing = write(writer, committed, { rate, durationMs: seconds * 1000 + WARM_UP_MS });
  const latencies = await watch(reader, committed, writing);
  const processorShare = (cpuSecondsOf(following.pid) - cpuBefore) / (seconds + WARM_UP_MS / 1000);
  await Promise.all([writer, reader].map(close));
  const counted = latencies.slice((rate * WARM_UP_MS) / 1000);
  return {
    transactionsPerSecond: rounded(counted.length / seconds),
    medianMs: rounded(median(counted)),
    p95Ms: rounded(percentile(counted, 0.95)),
    p99Ms: rounded(percentile(counted, 0.99)),
    worstMs: rounded(Math.max(...counted)),
    processorShare: rounded(processorShare),
  };
}

/** One transaction after another, each at its time; answers how many. */
async function write(
  client: pg.Client,
  committed: Map<number, number>,
  load: { rate: number; durationMs: number },
): Promise<number> {
  const startedMs = performance.now();
  const count = Math.floor((load.rate * load.durationMs) / 1000);
  for (let id = 1; id <= count; id++) {
    const waitMs = startedMs + (id * 1000) / load.rate - performance.now();
    if (waitMs > 1) await sleep(waitMs);
    await client.query(`INSERT INTO orders VALUES (${id}, 'order ${id}')`);
    committed.set(id, performance.now());
  }
  return count;
}

/** Looks at the mirror again and again until everything is there. */
async function watch(
  client: pg.Client,
  committed: ReadonlyMap<number, number>,
  writing: Promise<number>,
): Promise<number[]> {
  const latencies: number[] = [];
  let total = Number.POSITIVE_INFINITY;
  writing.then((count) => {
    total = count;
  });
  while (latencies.length < total) {
    const { rows } = await client.query('SELECT coalesce(max(id), 0) AS seen FROM orders');
    const nowMs = performance.now();
    for (let id = latencies.length + 1; id <= rows[0].seen; id++) latencies.push(nowMs - (committed.get(id) ?? nowMs));
    await sleep(POLL_MS);
  }
  return latencies;
}
