import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type ClientsEvent, createDialledClients, type DialledClients } from './client/dialled/accept.ts';
import { SpeilError } from './core/error.ts';
import { openSource, runtime } from './open.ts';
import { createAlerts } from './operation-center/alerts.ts';
import { createCenterApi } from './operation-center/api/api.ts';
import type { Api } from './operation-center/api/parts.ts';
import { createCycleClients } from './operation-center/cycle-clients.ts';
import { type DataFolder, keepOperatorToken, openDataFolder } from './operation-center/data-folder.ts';
import { openCenterDatabase } from './operation-center/database.ts';
import { createCenterMetrics } from './operation-center/metrics.ts';
import { type CenterRunner, createRunner } from './operation-center/runner.ts';
import type { CenterLog } from './operation-center/runner-port.ts';
import { openSecrets } from './operation-center/secrets.ts';
import type { Store } from './operation-center/store.ts';
import { createStore, prepareSecrets } from './operation-center/store-create.ts';
import { BUILD } from './runtime/build.ts';
import { createRedact } from './runtime/redact.ts';
import { refuseInsecureListen } from './service/listen-rule.ts';
import { createLog } from './service/log.ts';

export type CenterOptions = {
  /** Folder for keys, the operator's token and, without `database`, the center's database; made when it is missing. */
  readonly data: string;
  /** `postgres://…` of a database that several centers share. */
  readonly database?: string | undefined;
  /** File with the key that encrypts secrets in the database; `secret.key` in the data folder. */
  readonly secretFile?: string | undefined;
  /** The same key as text, for where there is no file. */
  readonly secret?: string | undefined;
  /** Port 0: any that is free. */
  readonly listen: { readonly host: string; readonly port: number };
  /** PEM. Without it nothing listens beyond loopback, unless `insecure`. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  readonly insecure?: boolean | undefined;
  /** Cycles at the same time; 20. */
  readonly cyclesMax?: number | undefined;
  /** False leaves the series of each mirror out of the metrics. */
  readonly mirrorMetrics?: boolean | undefined;
  /** Nothing is logged without it. */
  readonly log?: CenterLogging | undefined;
};

export type CenterLogging = {
  readonly write: (text: string) => void;
  readonly form: 'json' | 'words';
};

/** A running operation center. Disposing ends it: no new cycles, those that run end after the batch under way. */
export type Center = AsyncDisposable & {
  readonly url: string;
  /** Where the operator's token is. */
  readonly tokenFile: string;
};

/**
 * Starts an operation center; resolves when its API listens and cycles are taken up. Throws `INSECURE_LISTEN`, `USAGE` for
 * options that do not fit, `CONFLICT` when another process has the data folder, and `CENTER_DATABASE_FAILED`.
 */
export async function startCenter(options: CenterOptions): Promise<Center> {
  const { listen, tls = null, insecure = false, mirrorMetrics: perMirror = true, cyclesMax } = options;
  const { clock, random } = runtime;
  refuseInsecureListen({ host: listen.host, tls: tls !== null, insecure });
  const folder = openDataFolder(options.data);
  const log = logOf(options);
  await using parts = new AsyncDisposableStack();
  const { database, store } = await openStore(options, folder, parts, log);
  const tokenFile = await keepOperatorToken(folder, store);
  const alerts = parts.use(createAlerts({ store, clock, random, log }));
  const dialled = dialledClients(folder, store, log, (application) => runner.clientConnected(application));
  const clients = parts.use(
    createCycleClients({
      signingKey: folder.key,
      soap: { signingKey: folder.rsaKey, certificate: folder.rsaCertificate ?? undefined },
      dialled,
      clock,
      insecure,
    }),
  );
  const metrics = createCenterMetrics({
    clock,
    runner: () => runner.state(),
    schedules: () => store.schedules(),
    connectedClients: () => dialled.connected().length,
    perMirror,
  });
  const center = `${hostname()}-${random.uuid().slice(0, 8)}`;
  const runner: CenterRunner = createRunner({
    ...{ store, database, clock, random, center, openSource, clients, metrics, log, alerts, cyclesMax },
    redactor: createRedact,
  });
  const ending = new AbortController();
  const isConnected = clients.isReachable.bind(clients);
  const served = { store, runner, metrics, log, clock, random, isConnected, insecure, tls, ending: ending.signal };
  const api = await createCenterApi({ ...served, version: BUILD });
  parts.defer(() => api.close());
  parts.use(dialled);
  parts.defer(() => runner.stop());
  parts.defer(() => ending.abort());
  const url = await listenAt(api, dialled, listen);
  await runner.start();
  log.info({ url, center, database: database.display, token: tokenFile }, 'the operation center listens');
  const kept = parts.move();
  return {
    url,
    tokenFile,
    [Symbol.asyncDispose]: async () => {
      log.info({}, 'ending: no new cycles; those under way end after their batch');
      await kept.disposeAsync();
      log.info({}, 'ended');
    },
  };
}

async function openStore(options: CenterOptions, folder: DataFolder, parts: AsyncDisposableStack, log: CenterLog) {
  const secrets = openSecrets({ file: options.secretFile, environment: options.secret, dataFolder: folder.path });
  const location = options.database === undefined ? { dataFolder: folder.path } : { address: options.database };
  const isNew = options.database === undefined && !existsSync(join(folder.path, 'database'));
  log.info({ data: folder.path }, isNew ? 'making the database of a new center: this takes some seconds' : 'starting');
  const database = parts.use(await openCenterDatabase(location, { now: runtime.clock.now }));
  await prepareSecrets(database, secrets);
  return { database, store: createStore(database, { ...runtime, secrets }) };
}

/** Every text that is logged loses its passwords, those of the center's own database wherever they stand. */
function logOf({ log, database = '' }: CenterOptions): CenterLog {
  const { write = () => {}, form = 'json' } = log ?? {};
  return createLog({ write, form, clock: runtime.clock, redact: createRedact([database], process.env) });
}

function dialledClients(
  folder: DataFolder,
  store: Store,
  log: CenterLog,
  onConnected: (application: string) => Promise<void>,
): DialledClients {
  return createDialledClients({
    key: folder.key,
    clock: runtime.clock,
    publicKeysOf: async (application) => [
      ...new Set((await store.mirrorsOfApplication(application)).map(({ publicKey }) => publicKey)),
    ],
    onEvent: (event) => {
      tellOf(event, log);
      if (event.event !== 'client-connected') return;
      onConnected(event.client.application).catch((error: unknown) => {
        log.error({ error }, 'cycles of a client that has connected could not be made due');
      });
    },
  });
}

function tellOf(event: ClientsEvent, log: CenterLog): void {
  if (event.event === 'client-refused') {
    const { application, remoteAddress: from, error } = event;
    log.warn(
      { ...(application === null ? {} : { application }), from, code: error.code },
      `refused a client: ${error.message}`,
    );
    return;
  }
  const { application, keyId, version, remoteAddress: from } = event.client;
  const fields = { application, key: keyId, version, from };
  if (event.event === 'client-connected') log.info(fields, 'a client has connected');
  else log.info(fields, `a client has disconnected: ${event.reason}`);
}

async function listenAt(api: Api, dialled: DialledClients, listen: CenterOptions['listen']): Promise<string> {
  api.server.on('upgrade', (request, socket, head) => dialled.handleUpgrade(request, socket, head));
  try {
    return await api.listen(listen);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SpeilError('USAGE', `the center cannot listen on ${listen.host}:${listen.port}: ${why}`, {
      hint: 'Is another center running there? Name another address with --listen.',
      cause,
    });
  }
}
