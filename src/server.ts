import { hostname } from 'node:os';
import type { Disk } from './core/disk.ts';
import { BUILD } from './runtime/build.ts';
import { createRedact } from './runtime/redact.ts';
import { systemClock } from './runtime/system-clock.ts';
import { systemDisk } from './runtime/system-disk.ts';
import { systemRandom } from './runtime/system-random.ts';
import { Transfers } from './server/admin/transfers.ts';
import { takeServerFolder } from './server/data-folder.ts';
import { DatabaseName } from './server/databases/database-name.ts';
import { openDatabaseStore } from './server/databases/database-store.ts';
import { taken } from './server/databases/databases.ts';
import { type LocalDatabase, type LocalDatabaseOptions, localDatabase } from './server/databases/local-database.ts';
import { copySqliteFile } from './server/databases/sqlite-copy.ts';
import { createHranaProtocol } from './server/http/hrana-protocol.ts';
import { startInstance } from './server/instance.ts';
import { createLog } from './service/log.ts';

export type ServerOptions = {
  /** Under which it is known in logs; the host's name. */
  readonly name?: string | undefined;
  /** Folder of the databases, their journals and the tokens; made when it is missing. One server at a time has it. */
  readonly data: string;
  /** Port 0: any that is free. 127.0.0.1:7101 when it is not given. */
  readonly listen?: { readonly host: string; readonly port: number } | undefined;
  /** PEM. Without it nothing listens beyond loopback, unless `insecure`. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  readonly insecure?: boolean | undefined;
  /** File with the admin token, made when it is missing; `admin.token` in the data folder. Naming one demands tokens. */
  readonly tokenFile?: string | undefined;
  /** True: nobody is served without a token. Always so beyond loopback. */
  readonly requireToken?: boolean | undefined;
  /** Statements that take longer are logged, without their values; 1,000. */
  readonly slowMs?: number | undefined;
  /** What the journals are on, when it is not the machine's own. */
  readonly disk?: Disk | undefined;
  /** 4,096. */
  readonly connectionsMax?: number | undefined;
  /** Nothing is logged without it. */
  readonly log?: { readonly write: (text: string) => void; readonly form: 'json' | 'words' } | undefined;
};

/**
 * A running server. Disposing ends it: no new requests, those under way may end for a while, then the databases are closed and
 * are ordinary SQLite files.
 */
export type SpeilServer = AsyncDisposable & {
  readonly url: string;
  /** Where the admin token is. */
  readonly tokenFile: string;
  /** A database without the network. Rejects with `NOT_FOUND`, or with why it cannot be served. */
  database(name: string, options?: LocalDatabaseOptions): Promise<LocalDatabase>;
  /** The same for a new one, empty or made of a copy of a SQLite file. Rejects with `CONFLICT` when the name is taken. */
  createDatabase(
    name: string,
    options?: LocalDatabaseOptions & { readonly from?: string | undefined },
  ): Promise<LocalDatabase>;
};

const LISTEN_DEFAULT = { host: '127.0.0.1', port: 7101 } as const;

/**
 * Starts a server in this process; resolves when it listens and each of its databases is served or has failed. Throws
 * `INSECURE_LISTEN`, `USAGE` for options that do not fit, `READ_ONLY`, and `CONFLICT` when another process has the folder.
 */
export async function startServer(options: ServerOptions): Promise<SpeilServer> {
  const { log, ...rest } = options;
  const instance = await startInstance(
    { ...rest, name: options.name ?? hostname(), listen: options.listen ?? LISTEN_DEFAULT },
    {
      clock: systemClock,
      random: systemRandom,
      disk: options.disk ?? systemDisk,
      version: BUILD,
      log: createLog({
        write: log?.write ?? (() => {}),
        form: log?.form ?? 'json',
        clock: systemClock,
        redact: createRedact([], process.env),
      }),
      openStore: openDatabaseStore,
      createProtocol: createHranaProtocol,
    },
  );
  return {
    url: instance.url,
    tokenFile: instance.tokenFile,
    database: async (name, how) => localDatabase((await instance.open(name)).sql, how),
    createDatabase: async (name, { from, ...how } = {}) => localDatabase((await instance.create(name, from)).sql, how),
    [Symbol.asyncDispose]: () => instance[Symbol.asyncDispose](),
  };
}

export type RestoreOptions = {
  readonly data: string;
  readonly name: string;
  /** A SQLite file, which stays as it is. */
  readonly file: string;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
};

/**
 * Makes a database of a SQLite file while no server runs. Throws `CONFLICT` when one runs or the name is taken,
 * `FILE_MISSING`, `NOT_A_DATABASE` and `DISK_FULL`; then nothing was changed.
 */
export async function restoreDatabase({ data, name: text, file, onProgress, signal }: RestoreOptions): Promise<void> {
  const name = DatabaseName.of(text);
  using folder = takeServerFolder(data, systemClock.now());
  await using store = await openDatabaseStore({ ...OFFLINE, folder: folder.path });
  if (store.list().includes(name)) throw taken(name);
  const transfers = new Transfers(folder.transfers, systemRandom);
  await transfers.withFile(async (path) => {
    await copySqliteFile(file, path, { onProgress, signal });
    await using _database = await store.create(name, { from: path });
  });
}

const nothing = (): void => {};

/** Nobody watches. */
const OFFLINE = {
  clock: systemClock,
  random: systemRandom,
  disk: systemDisk,
  log: { info: nothing, warn: nothing, error: nothing },
  observer: { synced: nothing, checkpointed: nothing },
};
