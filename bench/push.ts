import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { httpExchange } from '../src/client/http/call.ts';
import { createRemoteClient } from '../src/client/remote-client.ts';
import { createKeyPair, readPrivateKey, readPublicKey } from '../src/client/trust/keys.ts';
import { mirror } from '../src/mirror.ts';
import { openSource, runtime } from '../src/open.ts';
import { runTask } from '../src/task/mirroring-task.ts';
import { PREFERENCES_DEFAULT } from '../src/task/preferences.ts';
import { selfSigned } from '../test/support/certificate.ts';
import { createAccountsDatabase, createAccountsFile, fingerprint } from './support/accounts.ts';
import { describeMachine } from './support/machine.ts';
import type { PushClientSettings } from './support/push-client.ts';
import { alternate, type Contestant, printResult, progress, ratio, readNumbers, timed } from './support/runs.ts';
import { ServerPair } from './support/servers.ts';
import { rounded } from './support/statistics.ts';

const { rows, runs } = readNumbers({ rows: 2_000_000, runs: 5 });
const SOURCE = 'shop';
const TENANT = 'speil';

progress(`a source of ${rows} rows`);
await using pair = await ServerPair.start();
const source = await createAccountsDatabase(pair.source, SOURCE, rows);
const expected = await fingerprint(pair.source, SOURCE);
const directory = mkdtempSync(join(tmpdir(), 'speil-bench-push-'));
using cleanup = new DisposableStack();
cleanup.defer(() => rmSync(directory, { recursive: true }));
const sourceFile = join(directory, 'source.db');
createAccountsFile(sourceFile, rows);

const center = createKeyPair('ed25519');
const application = createKeyPair('ed25519');
const certificate = selfSigned();

type PushClient = AsyncDisposable & { readonly url: string };

/** A mirror client in a process of its own, as a customer has it. */
async function startClient(mirrorAddress: string, isSecure: boolean): Promise<PushClient> {
  const child = fork(new URL('support/push-client.ts', import.meta.url));
  const settings: PushClientSettings = {
    mirror: mirrorAddress,
    applicationKey: application.privatePem,
    centerPublicKey: center.publicPem,
    tls: isSecure ? certificate : null,
  };
  child.send(settings);
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return { url, [Symbol.asyncDispose]: () => ended(child) };
}

async function ended(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.disconnect();
  await exited;
}

type Push = { readonly isSecure: boolean; readonly compress: boolean };

/** One cycle that is pushed to a client. */
async function push(address: string, url: string, { compress }: Push): Promise<void> {
  await using exchange = httpExchange({ url, ca: certificate.cert, clock: runtime.clock });
  await using opened = await openSource(address);
  const client = createRemoteClient({
    exchange,
    tenant: TENANT,
    application: 'bench',
    signingKey: readPrivateKey(center.privatePem),
    clientPublicKey: readPublicKey(application.publicPem),
    clock: runtime.clock,
    compress,
  });
  const context = {
    ...runtime,
    source: opened,
    client,
    tenant: TENANT,
    preferences: PREFERENCES_DEFAULT,
    selection: { schemas: null },
    takeOver: false,
    emit: () => undefined,
    signal: new AbortController().signal,
  };
  await runTask(context, { kind: 'once' });
}

/** Into a new database of the mirror's server; what came is checked. */
async function toPostgres(work: (mirrorAddress: string) => Promise<number>): Promise<number> {
  await using database = await pair.newMirror();
  await pair.settle();
  const seconds = await work(database.url);
  const found = await fingerprint(pair.mirror, database.name);
  if (found !== expected) throw new Error(`the copy is ${found}, not ${expected}`);
  return seconds;
}

async function toFile(work: (path: string) => Promise<number>): Promise<number> {
  const path = join(directory, 'mirror.db');
  await pair.settle();
  const seconds = await work(path);
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
  return seconds;
}

type Into = (work: (mirrorAddress: string) => Promise<number>) => Promise<number>;

const inProcess = (from: string, into: Into): Contestant => ({
  name: 'in process',
  run: () => into((to) => timed(() => mirror({ source: from, mirror: to, tenant: TENANT }))),
});

const pushed = (name: string, from: string, into: Into, how: Push): Contestant => ({
  name,
  run: () =>
    into(async (to) => {
      await using client = await startClient(to, how.isSecure);
      return await timed(() => push(from, client.url, how));
    }),
});

const contestants = (from: string, into: Into): readonly Contestant[] => [
  inProcess(from, into),
  pushed('HTTPS', from, into, { isSecure: true, compress: false }),
  pushed('HTTPS, compressed', from, into, { isSecure: true, compress: true }),
  pushed('HTTP', from, into, { isSecure: false, compress: false }),
];

progress('PostgreSQL → PostgreSQL');
const postgres = await alternate(contestants(source, toPostgres), runs, 's');
progress('SQLite → SQLite');
const sqlite = await alternate(contestants(sourceFile, toFile), runs, 's');

printResult({
  benchmark: 'push',
  what: `first copy of one table of ${rows} pgbench accounts, in seconds: task and mirror client in one process, and in two with HTTP on loopback between them`,
  machine: describeMachine(await pair.fullVersion()),
  postgres,
  sqlite,
  /** Rates: above 1 the pushed copy is the faster one. */
  ratios: {
    'PostgreSQL: HTTPS / in process': ratio(postgres, 'in process', 'HTTPS'),
    'PostgreSQL: HTTPS, compressed / in process': ratio(postgres, 'in process', 'HTTPS, compressed'),
    'SQLite: HTTPS / in process': ratio(sqlite, 'in process', 'HTTPS'),
    'SQLite: HTTPS, compressed / in process': ratio(sqlite, 'in process', 'HTTPS, compressed'),
  },
  rowsPerSecond: Object.fromEntries(
    Object.entries(postgres).map(([name, measured]) => [name, rounded(rows / measured.median)]),
  ),
});
