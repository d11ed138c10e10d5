import { type PostgresServer, type PostgresVersion, startPostgres } from '../../test/support/postgres-server.ts';
import { comparableVersion } from './programs.ts';

/**
 * What a careful administrator sets; the same for source and mirror. The last two are for logical replication: it needs
 * the one, and without the other it would start its workers no more than once in five seconds.
 */
const SETTINGS = {
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  wal_level: 'logical',
  wal_retrieve_retry_interval: '10ms',
};

/** A server for sources and one for mirrors, both on the disk, both set up alike. */
export class ServerPair implements AsyncDisposable {
  readonly source: PostgresServer;
  readonly mirror: PostgresServer;
  readonly version: PostgresVersion;
  #databases = 0;

  private constructor(source: PostgresServer, mirror: PostgresServer) {
    this.source = source;
    this.mirror = mirror;
    this.version = source.version;
  }

  static async start(version: PostgresVersion = comparableVersion()): Promise<ServerPair> {
    await using started = new AsyncDisposableStack();
    const source = started.use(await startBenchServer(version));
    const mirror = started.use(await startBenchServer(version));
    started.move();
    return new ServerPair(source, mirror);
  }

  /** A new empty database on the mirror's server, dropped with the answer. */
  async newMirror(): Promise<MirrorDatabaseOfRun> {
    const name = `mirror_${++this.#databases}`;
    const url = await this.mirror.createDatabase(name);
    const drop = async () => void (await this.mirror.sql('postgres', `DROP DATABASE ${name} WITH (FORCE)`));
    return { name, url, [Symbol.asyncDispose]: drop };
  }

  /** What earlier work left for later is done now, so that no run pays for another one's. */
  async settle(): Promise<void> {
    for (const server of [this.source, this.mirror]) await server.sql('postgres', 'CHECKPOINT');
  }

  async fullVersion(): Promise<string> {
    const [row] = await this.source.sql('postgres', "SELECT current_setting('server_version') AS version");
    return String(row?.['version']);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.source[Symbol.asyncDispose](), this.mirror[Symbol.asyncDispose]()]);
  }
}

export type MirrorDatabaseOfRun = AsyncDisposable & { readonly name: string; readonly url: string };

export const startBenchServer = (version: PostgresVersion): Promise<PostgresServer> =>
  startPostgres({ version, storage: 'disk', settings: SETTINGS });
