import type { Clock, Random } from '../core/clock.ts';
import type { Disk } from '../core/disk.ts';
import { isLoopback, refuseInsecureListen } from '../service/listen-rule.ts';
import type { Listen, Tls } from '../service/listener.ts';
import type { Log } from '../service/log.ts';
import { Gate } from './access.ts';
import { Transfers } from './admin/transfers.ts';
import { takeServerFolder } from './data-folder.ts';
import { DatabaseName } from './databases/database-name.ts';
import { Databases, type OpenDatabase } from './databases/databases.ts';
import { observeDatabase } from './databases/observed-database.ts';
import type { DatabaseStore } from './databases/served-database.ts';
import { copySqliteFile } from './databases/sqlite-copy.ts';
import type { StoreParts } from './databases/store-parts.ts';
import type { ClientProtocol } from './http/client-protocol.ts';
import { serveHttp } from './http/http-server.ts';
import { createServerMetrics } from './metrics.ts';
import { adminTokenOf, ServerTokens } from './tokens.ts';

export type InstanceOptions = {
  readonly name: string;
  readonly data: string;
  readonly listen: Listen;
  readonly tls?: Tls | undefined;
  readonly insecure?: boolean | undefined;
  readonly tokenFile?: string | undefined;
  readonly requireToken?: boolean | undefined;
  readonly slowMs?: number | undefined;
  readonly connectionsMax?: number | undefined;
  readonly headWaitMs?: number | undefined;
};

/** What an instance is made of. */
export type InstanceParts = {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly log: Log;
  readonly version: string;
  readonly openStore: (parts: StoreParts) => Promise<DatabaseStore>;
  readonly createProtocol: (parts: {
    readonly clock: Clock;
    readonly random: Random;
    readonly log: Log;
  }) => ClientProtocol;
};

/** A running server, as the process that runs it sees it. */
export type Instance = AsyncDisposable & {
  readonly url: string;
  /** Where the admin token is. */
  readonly tokenFile: string;
  /** Rejects with `NOT_FOUND`, or with why the database cannot be served. */
  open(database: string): Promise<OpenDatabase>;
  /** Empty, or made of a copy of a SQLite file. Rejects with `CONFLICT`, `NOT_A_DATABASE`, `FILE_MISSING`. */
  create(database: string, from?: string): Promise<OpenDatabase>;
  readonly databases: Databases;
};

/** A statement that takes longer is logged. */
export const SLOW_MS = 1_000;

/**
 * Starts a server: takes the folder, listens, and opens the databases. Resolves when each of them is served or has failed.
 * Throws `INSECURE_LISTEN`, `USAGE`, `READ_ONLY`, and `CONFLICT` when another process has the folder.
 */
export async function startInstance(options: InstanceOptions, world: InstanceParts): Promise<Instance> {
  const { listen, tls, insecure = false } = options;
  const { clock, random, log, version } = world;
  refuseInsecureListen({ host: listen.host, tls: tls !== undefined, insecure });
  await using parts = new AsyncDisposableStack();
  const folder = parts.use(takeServerFolder(options.data, clock.now()));
  const tokenFile = options.tokenFile ?? folder.adminTokenFile;
  const tokens = ServerTokens.open({ path: folder.tokensFile, adminSecret: adminTokenOf(tokenFile), clock });
  const gate = new Gate({ tokens, clock, tokensDemanded: demandsTokens(options) });
  const metrics = createServerMetrics(() => ({ databases, store }));
  const store = parts.use(
    await world.openStore({ folder: folder.path, disk: world.disk, clock, random, log, observer: metrics.observer }),
  );
  const slowMs = options.slowMs ?? SLOW_MS;
  const observed = (database: OpenDatabase['sql']) => observeDatabase(database, { metrics, log, clock, slowMs });
  const databases = parts.use(new Databases({ store, log, observed }));
  const identity = { name: options.name, version, sinceMs: clock.now() };
  const transfers = new Transfers(folder.transfers, random);
  const http = parts.use(
    await serveHttp({
      ...{ listen, tls, gate, databases, clock, log, metrics },
      protocol: world.createProtocol({ clock, random, log }),
      admin: { identity, databases, tokens, transfers, gate, log },
      connectionsMax: options.connectionsMax,
      headWaitMs: options.headWaitMs,
    }),
  );
  log.info({ url: http.url, server: options.name, data: folder.path, token: tokenFile }, 'the server listens');
  await databases.openAll();
  log.info({ databases: databases.open.length }, 'the databases are open');
  const kept = parts.move();
  return {
    url: http.url,
    tokenFile,
    databases,
    open: async (database) => databases.get(DatabaseName.of(database)),
    create: async (database, from) => {
      const name = DatabaseName.of(database);
      if (from === undefined) return databases.create(name);
      return transfers.withFile(async (path) => {
        await copySqliteFile(from, path);
        return databases.create(name, path);
      });
    },
    [Symbol.asyncDispose]: async () => {
      log.info({}, 'ending: no new requests; those under way may end');
      await kept.disposeAsync();
      log.info({}, 'ended');
    },
  };
}

/** Beyond loopback always; on loopback when told so, or when a file was named for the token. */
const demandsTokens = ({ listen, requireToken, tokenFile }: InstanceOptions): boolean =>
  !isLoopback(listen.host) || requireToken === true || tokenFile !== undefined;
