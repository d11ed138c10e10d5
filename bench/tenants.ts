import { createPrivateKey } from 'node:crypto';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { createKeyPair } from '../src/client/trust/keys.ts';
import { openSource, runtime } from '../src/open.ts';
import { createCycleClients } from '../src/operation-center/cycle-clients.ts';
import { openCenterDatabase } from '../src/operation-center/database.ts';
import type { Run } from '../src/operation-center/model.ts';
import { createRunner } from '../src/operation-center/runner.ts';
import { openSecrets } from '../src/operation-center/secrets.ts';
import { createStore } from '../src/operation-center/store-create.ts';
import { createRedact } from '../src/runtime/redact.ts';
import { SpeilProcess } from '../test/support/speil-process.ts';
import { withDirectory } from '../test/support/workload.ts';
import { describeMachine } from './support/machine.ts';
import { cpuSecondsOf } from './support/programs.ts';
import { printResult, progress, readNumbers, timed } from './support/runs.ts';
import { rounded } from './support/statistics.ts';

const { tenants, tables, seconds } = readNumbers({ tenants: 10_000, tables: 20, seconds: 60 });
const ROWS = 5;
const APPLICATION = 'bench';
const HOUR_MS = 3_600_000;
/** So short that every mirror is always due: what is measured is how many cycles fit into a second. */
const ALWAYS_MS = 1_000;
const WARM_UP_MS = 5_000;

using directory = withDirectory('speil-bench-tenants-');
for (const name of ['sources', 'mirrors', 'center']) mkdirSync(directory.file(name));

function createSources(): void {
  const template = directory.file('template.db');
  using database = new DatabaseSync(template);
  database.exec('PRAGMA page_size = 1024');
  for (let table = 1; table <= tables; table++) {
    database.exec(`CREATE TABLE t${table} (id INTEGER PRIMARY KEY, name TEXT NOT NULL, at TEXT);
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${ROWS})
      INSERT INTO t${table} SELECT i, 'row ' || i, '2026-01-01' FROM n`);
  }
  database.close();
  for (let tenant = 0; tenant < tenants; tenant++) copyFileSync(template, sourceOf(tenant));
}

const sourceOf = (tenant: number): string => directory.file(`sources/tenant${tenant}.db`);

type Keys = { readonly center: ReturnType<typeof createKeyPair>; readonly client: ReturnType<typeof createKeyPair> };

function createKeys(): Keys {
  const [center, client] = [createKeyPair('ed25519'), createKeyPair('ed25519')];
  writeFileSync(directory.file('center.pub'), center.publicPem);
  writeFileSync(directory.file('app.key'), client.privatePem, { mode: 0o600 });
  return { center, client };
}

async function startClient(): Promise<{ process: SpeilProcess; url: string }> {
  const process = new SpeilProcess([
    ...['client', 'serve', '--json', '--listen', '127.0.0.1:0', '--application', APPLICATION],
    ...['--mirror', `sqlite:${directory.file('mirrors')}/{tenant}.db`],
    ...['--key', directory.file('app.key'), '--trust', directory.file('center.pub')],
  ]);
  const { url } = await process.waitFor(({ event }) => event === 'listening');
  return { process, url: String(url) };
}

/** Cycles by how they ended, since the last look. */
const counts = { completed: 0, other: 0, lastError: '' };

function count(run: Run): void {
  if (run.status === 'completed') counts.completed += 1;
  else counts.other += 1;
  counts.lastError = run.error?.message ?? counts.lastError;
}

progress(`${tenants} tenants of ${tables} tables`);
createSources();
const keys = createKeys();
const { process: client, url } = await startClient();
await using database = await openCenterDatabase({ dataFolder: directory.file('center') }, runtime.clock);
const store = createStore(database, { ...runtime, secrets: openSecrets({ dataFolder: directory.file('center') }) });

async function register(): Promise<void> {
  for (let tenant = 0; tenant < tenants; tenant++) {
    const name = `tenant${tenant}`;
    await store.addTenant({ name, source: `sqlite:${sourceOf(tenant)}` });
    const transport = { kind: 'http', url } as const;
    const mirror = { tenant: name, application: APPLICATION, publicKey: keys.client.publicPem, transport };
    await store.addMirror({ ...mirror, everyMs: HOUR_MS }, runtime.clock.now());
  }
}

const registerS = rounded(await timed(register));
progress(`registered in ${registerS} s`);
const runner = createRunner({
  ...runtime,
  store,
  database,
  center: 'bench',
  openSource,
  redactor: createRedact,
  clients: createCycleClients({
    signingKey: createPrivateKey(keys.center.privatePem),
    dialled: {
      isConnected: () => false,
      connected: () => [],
      exchange: () => {
        throw new Error('nobody dials in here');
      },
    },
    clock: runtime.clock,
  }),
  metrics: { cycleStarted: () => undefined, cycleFinished: count },
  alerts: { cycleEnded: async () => undefined },
  log: {
    info: () => undefined,
    warn: () => undefined,
    error: ({ error }, message) => progress(`${message}: ${error}`),
  },
});
await runner.start();

async function firstCopies(): Promise<void> {
  const copied = async () => (await store.schedules()).filter(({ schedule }) => schedule.copied).length;
  for (let done = 0; done < tenants; done = await copied()) {
    progress(
      `${done} copied; ${counts.completed + counts.other} cycles, ${counts.other} not completed ${counts.lastError}`,
    );
    await sleep(2_000);
  }
}

const memoryMB = (): number => Math.round(process.memoryUsage.rss() / 1e6);

/** Processor seconds of the center, and of the client. */
const processorS = (): readonly [number, number] => [cpuSecondsOf(process.pid), cpuSecondsOf(client.pid)];

async function makeAllDue(): Promise<void> {
  for (const { id } of await store.mirrors()) {
    await store.saveMirror(id, { everyMs: ALWAYS_MS });
    await store.saveSchedule(id, { dueAtMs: runtime.clock.now() });
  }
}

async function measureIdle() {
  await makeAllDue();
  await sleep(WARM_UP_MS);
  Object.assign(counts, { completed: 0, other: 0 });
  const [centerBefore, clientBefore] = processorS();
  let memoryMaxMB = 0;
  const tookS = await timed(async () => {
    for (let second = 0; second < seconds; second++) {
      await sleep(1_000);
      memoryMaxMB = Math.max(memoryMaxMB, memoryMB());
    }
  });
  const [center, ofClient] = processorS();
  const { completed, other } = counts;
  return {
    cyclesPerSecond: rounded(completed / tookS),
    cyclesThatDidNotComplete: other,
    centerMemoryMB: memoryMaxMB,
    centerProcessorMsPerCycle: rounded(((center - centerBefore) * 1000) / completed),
    clientProcessorMsPerCycle: rounded(((ofClient - clientBefore) * 1000) / completed),
  };
}

const copyS = rounded(await timed(firstCopies));
progress(`first copies: ${copyS} s; now ${seconds} s of cycles that find nothing`);
const idle = await measureIdle();
await runner.stop();
await client[Symbol.asyncDispose]();

printResult({
  benchmark: 'tenants',
  what: `${tenants} tenants of ${tables} tables in which nothing changes, SQLite, one center on PGlite and one client over HTTP`,
  machine: describeMachine('none'),
  registeredPerSecond: rounded(tenants / registerS),
  firstCopiesPerSecond: rounded(tenants / copyS),
  ...idle,
});
