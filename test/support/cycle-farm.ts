import { createPrivateKey } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { Hooks } from '../../src/client/hooks.ts';
import { createKeyPair } from '../../src/client/trust/keys.ts';
import { serveClient } from '../../src/client-service.ts';
import { openSource, runtime } from '../../src/open.ts';
import { type CycleClients, createCycleClients } from '../../src/operation-center/cycle-clients.ts';
import { type CenterDatabase, openCenterDatabase } from '../../src/operation-center/database.ts';
import type { Mirror, Run } from '../../src/operation-center/model.ts';
import { type CenterRunner, createRunner, type RunnerOptions } from '../../src/operation-center/runner.ts';
import { openSecrets } from '../../src/operation-center/secrets.ts';
import type { Store } from '../../src/operation-center/store.ts';
import { createStore } from '../../src/operation-center/store-create.ts';
import { createRedact } from '../../src/runtime/redact.ts';
import { assertSameRows } from './dump.ts';
import { eventually, withDirectory } from './workload.ts';

export const APPLICATION = 'my-app';

/** No cycle comes by itself while a test waits for those that it asked for. */
const HUNDRED_DAYS_MS = 100 * 24 * 3_600_000;

/** The keys of a farm, in its folder: a second process has the same. */
function keysOf(folder: string, owner: 'center' | 'client') {
  const path = `${folder}/${owner}.json`;
  if (!existsSync(path)) writeFileSync(path, JSON.stringify(createKeyPair('ed25519')));
  return JSON.parse(readFileSync(path, 'utf8')) as ReturnType<typeof createKeyPair>;
}

export type FarmOptions = {
  /** `postgres://…`; without it there is PGlite. */
  readonly database?: string;
  /** Of another farm, to go on with its tenants and mirrors. */
  readonly folder?: string;
  readonly hooks?: Hooks;
};

/** A center without its API: a store, one mirror client over HTTP for all tenants, and runners. */
export class CycleFarm implements AsyncDisposable {
  readonly folder: string;
  readonly database: CenterDatabase;
  readonly store: Store;
  readonly clientUrl: string;
  readonly logged: string[] = [];
  readonly #opened: AsyncDisposableStack;

  private constructor(
    parts: Pick<CycleFarm, 'folder' | 'database' | 'store' | 'clientUrl'>,
    opened: AsyncDisposableStack,
  ) {
    this.folder = parts.folder;
    this.database = parts.database;
    this.store = parts.store;
    this.clientUrl = parts.clientUrl;
    this.#opened = opened;
  }

  static async open(options: FarmOptions = {}): Promise<CycleFarm> {
    await using opened = new AsyncDisposableStack();
    const directory = options.folder === undefined ? opened.use(withDirectory('speil-farm-')) : null;
    const folder = options.folder ?? directory?.path ?? '';
    for (const name of ['sources', 'mirrors', 'center']) mkdirSync(`${folder}/${name}`, { recursive: true });
    const database = opened.use(await openFarmDatabase(folder, options.database));
    const client = opened.use(
      await serveClient({
        listen: { host: '127.0.0.1', port: 0 },
        mirror: `sqlite:${folder}/mirrors/{tenant}.db`,
        application: APPLICATION,
        keys: [keysOf(folder, 'client').privatePem],
        trust: [keysOf(folder, 'center').publicPem],
        hooks: options.hooks,
      }),
    );
    const store = farmStore(folder, database);
    return new CycleFarm({ folder, database, store, clientUrl: client.url }, opened.move());
  }

  source(tenant: string): string {
    return `${this.folder}/sources/${tenant}.db`;
  }

  mirrorFile(tenant: string): string {
    return `${this.folder}/mirrors/${tenant}.db`;
  }

  /** A connection to the tenant's source, as its own program has it. */
  plain(tenant: string): DatabaseSync {
    return this.#adopt(new DatabaseSync(this.source(tenant), { timeout: 5_000 }));
  }

  /** A connection to the tenant's mirror, as its owner has it. */
  plainMirror(tenant: string): DatabaseSync {
    return this.#adopt(new DatabaseSync(this.mirrorFile(tenant), { timeout: 5_000 }));
  }

  #adopt(database: DatabaseSync): DatabaseSync {
    this.#opened.defer(() => {
      if (database.isOpen) database.close();
    });
    return database;
  }

  /** Registers a tenant, whose source is filled by `sql`, and its one mirror, which is due at once. */
  async addTenant(name: string, sql: string, { everyMs = HUNDRED_DAYS_MS } = {}): Promise<Mirror> {
    if (sql !== '') {
      using database = new DatabaseSync(this.source(name));
      database.exec(`PRAGMA journal_mode = WAL; ${sql}`);
    }
    await this.store.addTenant({ name, source: `sqlite:${this.source(name)}` });
    return await this.store.addMirror(
      {
        tenant: name,
        application: APPLICATION,
        publicKey: keysOf(this.folder, 'client').publicPem,
        transport: { kind: 'http', url: this.clientUrl },
        everyMs,
      },
      runtime.clock.now(),
    );
  }

  /** How a center of this farm reaches its mirror client. */
  clients(): CycleClients {
    return farmClients(this.folder);
  }

  /** A center's runner on this database. It is stopped with the farm. */
  async startRunner(center: string, options: Partial<RunnerOptions> = {}): Promise<CenterRunner> {
    const runner = farmRunner(this, center, options);
    await runner.start();
    this.#opened.defer(() => runner.stop());
    return runner;
  }

  /** Waits until as many runs of the tenant have ended and answers them, oldest first. */
  async runsOf(tenant: string, count: number, withinMs = 8_000): Promise<readonly Run[]> {
    return await eventually(
      async () => {
        const runs = (await this.store.runs({ tenant, limit: 100 })).filter(({ finishedAt }) => finishedAt !== null);
        if (runs.length < count)
          throw new Error(`${runs.length} of ${count} runs of ${tenant} have ended; ${this.logged}`);
        return runs.toReversed();
      },
      { withinMs, everyMs: 25 },
    );
  }

  assertEqual(tenant: string): Promise<void> {
    return assertSameRows(`sqlite:${this.source(tenant)}`, `sqlite:${this.mirrorFile(tenant)}`, {
      allowExtraTables: true,
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#opened.disposeAsync();
  }
}

const openFarmDatabase = (folder: string, address: string | undefined): Promise<CenterDatabase> =>
  openCenterDatabase(address === undefined ? { dataFolder: `${folder}/center` } : { address }, runtime.clock);

/** What a center of another process has of the farm: a runner on the same database. */
export async function joinFarm(folder: string, address: string, center: string, options: Partial<RunnerOptions>) {
  const database = await openFarmDatabase(folder, address);
  const store = farmStore(folder, database);
  const runner = farmRunner({ folder, database, store, logged: [] }, center, options);
  await runner.start();
  return runner;
}

const farmStore = (folder: string, database: CenterDatabase): Store =>
  createStore(database, { ...runtime, secrets: openSecrets({ dataFolder: `${folder}/center` }) });

function farmRunner(
  farm: Pick<CycleFarm, 'store' | 'database' | 'logged' | 'folder'>,
  center: string,
  options: Partial<RunnerOptions>,
): CenterRunner {
  const log = (_fields: object, message: string) => void farm.logged.push(message);
  return createRunner({
    ...runtime,
    store: farm.store,
    database: farm.database,
    center,
    openSource,
    redactor: createRedact,
    clients: farmClients(farm.folder),
    metrics: { cycleStarted: () => undefined, cycleFinished: () => undefined },
    alerts: { cycleEnded: async () => undefined },
    log: { info: log, warn: log, error: (fields, message) => void farm.logged.push(`${message} ${describe(fields)}`) },
    ...options,
  });
}

const farmClients = (folder: string): CycleClients =>
  createCycleClients({
    signingKey: createPrivateKey(keysOf(folder, 'center').privatePem),
    dialled: { isConnected: () => false, exchange: () => assertNone(), connected: () => [] },
    clock: runtime.clock,
  });

const describe = ({ error }: { readonly error?: unknown }): string => (error instanceof Error ? `${error.stack}` : '');

function assertNone(): never {
  throw new Error('nobody has dialled in');
}
