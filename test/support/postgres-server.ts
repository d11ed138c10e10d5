import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import {
  type Binaries,
  binariesOf,
  defaultStorage,
  giveAway,
  makeOwnedDirectory,
  type PostgresVersion,
  type Storage,
} from './postgres-binaries.ts';
import { withClient } from './postgres-client.ts';
import { PostgresProcess, type StopMode } from './postgres-process.ts';
import { copyDirectory, makeCertificate, makeDataDirectory, PASSWORD, SUPERUSER } from './postgres-template.ts';

export type { PostgresVersion } from './postgres-binaries.ts';
export { POSTGRES_VERSIONS } from './postgres-binaries.ts';
export type { StopMode } from './postgres-process.ts';
export { PASSWORD, SUPERUSER } from './postgres-template.ts';

export type PostgresOptions = {
  /** Default 18. */
  readonly version?: PostgresVersion;
  /** Lines of postgresql.conf that win over {@link DEFAULT_SETTINGS}; values as they stand there, unquoted. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Default `trust`. With `scram-sha-256` every role needs {@link PASSWORD}, which `url` then contains. */
  readonly auth?: 'trust' | 'scram-sha-256';
  /** `true`: TLS is offered; `'required'`: connections without it are refused. Default false. */
  readonly tls?: boolean | 'required';
  /** Starts as a clone of this backup (see {@link PostgresServer.backup}), system identifier included. */
  readonly from?: string;
  /** Where the data directory is. Default: memory where there is plenty. Measure on `disk`. */
  readonly storage?: Storage;
};

export type CreateDatabaseOptions = {
  readonly owner?: string;
  readonly template?: string;
  readonly encoding?: string;
  /** For `LC_COLLATE` and `LC_CTYPE`. */
  readonly locale?: string;
};

const DEFAULT_SETTINGS: Readonly<Record<string, string>> = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_prepared_transactions: '10',
  dynamic_shared_memory_type: 'mmap',
  timezone: 'UTC',
  log_timezone: 'UTC',
  unix_socket_directories: '',
  listen_addresses: '127.0.0.1',
};

const HOST = '127.0.0.1';

/** Starts a real server of its own on 127.0.0.1 with an empty data directory. Dispose it, or end the process. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const server = new PostgresServer(binariesOf(options.version ?? 18), options);
  try {
    server.prepare();
    await server.start();
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

/** A PostgreSQL server of a test. Its data directory is removed with it. */
export class PostgresServer implements AsyncDisposable {
  readonly host = HOST;
  readonly version: PostgresVersion;
  readonly dataDirectory: string;
  /** What the server wrote to its log. */
  readonly logFile: string;
  /** The certificate to trust, a PEM file; null without TLS. */
  readonly certificate: string | null;
  readonly #binaries: Binaries;
  readonly #options: PostgresOptions;
  readonly #storage: Storage;
  readonly #backups: string[] = [];
  #process: PostgresProcess | null = null;
  #port = 0;
  #databases = 0;

  /** An empty directory; {@link startPostgres} is the way to a running server. */
  constructor(binaries: Binaries, options: PostgresOptions) {
    this.version = binaries.version;
    this.#binaries = binaries;
    this.#options = options;
    this.#storage = options.storage ?? defaultStorage();
    this.dataDirectory = makeOwnedDirectory(`speil-test-postgres${binaries.version}-`, this.#storage);
    this.logFile = join(this.dataDirectory, 'server.log');
    this.certificate = options.tls ? join(this.dataDirectory, 'tls', 'server.crt') : null;
  }

  /** Fills the data directory, once, before the first start. */
  prepare(): void {
    const { from } = this.#options;
    if (from === undefined) makeDataDirectory(this.#binaries, this.dataDirectory);
    else copyDirectory(from, this.dataDirectory);
    if (this.certificate !== null) makeCertificate(this.certificate);
    this.#writeConfiguration();
  }

  get port(): number {
    return this.#port;
  }

  get running(): boolean {
    return this.#process !== null && !this.#process.ended;
  }

  /** A connection URL, for the superuser unless another role is named. */
  url(database = 'postgres', user = SUPERUSER): string {
    const password = this.#options.auth === 'scram-sha-256' ? `:${PASSWORD}` : '';
    return `postgres://${encodeURIComponent(user)}${password}@${HOST}:${this.#port}/${encodeURIComponent(database)}`;
  }

  /** Creates a database and answers its URL. Without a name: a new one of its own. */
  async createDatabase(name = `test_${++this.#databases}`, options: CreateDatabaseOptions = {}): Promise<string> {
    const text = (value: string) => `'${value.replaceAll("'", "''")}'`;
    const {
      encoding,
      locale,
      template = encoding === undefined && locale === undefined ? undefined : 'template0',
    } = options;
    const clauses = [
      options.owner === undefined ? '' : `OWNER ${quoteName(options.owner)}`,
      template === undefined ? '' : `TEMPLATE ${quoteName(template)}`,
      encoding === undefined ? '' : `ENCODING ${text(encoding)}`,
      locale === undefined ? '' : `LOCALE ${text(locale)}`,
    ];
    await this.sql('postgres', `CREATE DATABASE ${quoteName(name)} ${clauses.join(' ')}`);
    return this.url(name);
  }

  /** Creates a role that may log in, with {@link PASSWORD}. `attributes` as in CREATE ROLE. */
  async createRole(name: string, attributes = ''): Promise<void> {
    await this.sql('postgres', `CREATE ROLE ${quoteName(name)} LOGIN PASSWORD '${PASSWORD}' ${attributes}`);
  }

  /** Runs one statement, or several without parameters, as the superuser on a connection of its own. */
  sql(database: string, text: string, values: readonly unknown[] = []): Promise<readonly Record<string, unknown>[]> {
    return withClient(this.url(database), async (client) => (await client.query(text, [...values])).rows);
  }

  /** Starts the server if it does not run, on the port that it had before. */
  async start(): Promise<void> {
    for (let attempt = 1; !this.running; attempt++) {
      if (this.#port === 0 || attempt > 3) this.#port = await freePort();
      this.#setPort();
      this.#process = await PostgresProcess.start(this.#binaries, this.dataDirectory, this.logFile);
      if (this.#process === null) await this.#judgeFailure(attempt);
    }
  }

  async stop(mode: StopMode = 'fast'): Promise<void> {
    await this.#process?.stop(mode);
    this.#process = null;
  }

  async restart(mode: StopMode = 'fast'): Promise<void> {
    await this.stop(mode);
    await this.start();
  }

  /** SIGKILL to the postmaster and all its processes. `start` recovers from it. */
  async kill(): Promise<void> {
    await this.#process?.kill();
    this.#process = null;
  }

  /** A cold backup: stops the server, copies its data directory, starts it again. Removed with the server. */
  async backup(): Promise<string> {
    await this.stop();
    const directory = makeOwnedDirectory(`speil-test-backup${this.version}-`, this.#storage);
    this.#backups.push(directory);
    copyDirectory(this.dataDirectory, directory);
    await this.start();
    return directory;
  }

  /** Puts a backup in the place of the data, as an operator would: same address, same identity, earlier state. */
  async restore(backup: string): Promise<void> {
    await this.stop('immediate');
    rmSync(this.dataDirectory, { recursive: true });
    mkdirSync(this.dataDirectory, { mode: 0o700 });
    giveAway(this.dataDirectory);
    copyDirectory(backup, this.dataDirectory);
    await this.start();
  }

  /** The last lines of the server's log. */
  logTail(lines = 20): string {
    return existsSync(this.logFile)
      ? readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
      : '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('immediate');
    for (const directory of [this.dataDirectory, ...this.#backups]) rmSync(directory, { recursive: true, force: true });
  }

  #writeConfiguration(): void {
    const tls =
      this.certificate === null ? {} : { ssl: 'on', ssl_cert_file: 'tls/server.crt', ssl_key_file: 'tls/server.key' };
    const settings = { ...DEFAULT_SETTINGS, ...tls, ...this.#options.settings };
    const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
    appendFileSync(join(this.dataDirectory, 'postgresql.conf'), `\n${lines.join('')}`);
    const connection = this.#options.tls === 'required' ? 'hostssl' : 'host';
    const method = this.#options.auth ?? 'trust';
    const access = ['all', 'replication'].map((database) => `${connection} ${database} all 127.0.0.1/32 ${method}\n`);
    writeFileSync(join(this.dataDirectory, 'pg_hba.conf'), access.join(''));
  }

  #setPort(): void {
    appendFileSync(join(this.dataDirectory, 'postgresql.conf'), `port = ${this.#port}\n`);
  }

  async #judgeFailure(attempt: number): Promise<void> {
    const log = this.logTail();
    if (attempt >= 6 || !/could not bind|already in use/.test(log)) throw new Error(`PostgreSQL did not start: ${log}`);
  }
}

export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, HOST, () => {
      const address = probe.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}
