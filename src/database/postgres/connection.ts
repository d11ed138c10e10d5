import { createHash } from 'node:crypto';
import pg from 'pg';
import { SpeilError } from '../../core/error.ts';
import { CONNECT_WAIT_MS, LOCK_WAIT_MS } from '../../core/limits.ts';
import type { DatabaseLocation } from '../location.ts';
import { CopyIn, CopyOut } from './copy-protocol.ts';
import { postgresError } from './errors.ts';

export type PostgresLocation = Extract<DatabaseLocation, { kind: 'postgres' }>;

/** Below this version change counters of 64 bits (`pg_current_xact_id`) do not exist. */
const VERSION_MIN = 130000;

/**
 * Settings under which every value has one text form, on any server (docs/types.md). `row_security = off` makes a
 * read fail that policies would silently shorten. `jit = off`: compiling a statement over a thousand side tables takes
 * longer than running it a thousand times.
 */
const SESSION_SETTINGS = [
  "DateStyle = 'ISO, YMD'",
  "IntervalStyle = 'postgres'",
  "TimeZone = 'UTC'",
  "bytea_output = 'hex'",
  'extra_float_digits = 1',
  "lc_monetary = 'C'",
  'xmloption = content',
  'row_security = off',
  'standard_conforming_strings = on',
  'statement_timeout = 0',
  'idle_in_transaction_session_timeout = 0',
  `lock_timeout = ${LOCK_WAIT_MS}`,
  'plan_cache_mode = force_generic_plan',
  'jit = off',
  'search_path = pg_catalog',
];

export type Row = Readonly<Record<string, unknown>>;

/** One session with a server. Statements run one after another; every error is a `SpeilError`. */
export class PostgresConnection implements AsyncDisposable {
  readonly #client: pg.Client;
  readonly display: string;
  readonly serverVersion: number;
  /** The schema into which unqualified names of this login go. */
  readonly defaultSchema: string;
  /** Server and database, the same under every address. */
  readonly instance: string;
  #lost: Error | null = null;
  #copying = false;
  /** Statements that wait for the next one to go out with. */
  #posted = '';
  /** Among them are some that can fail, other than the beginning and the end of a savepoint. */
  #isUnproved = false;
  /** The first failure of the open transaction, for as long as nothing succeeded after it. */
  #abortedBy: SpeilError | null = null;
  #savepoints = 0;

  private constructor(
    client: pg.Client,
    display: string,
    about: { serverVersion: number; defaultSchema: string; instance: string },
  ) {
    this.#client = client;
    this.display = display;
    this.serverVersion = about.serverVersion;
    this.defaultSchema = about.defaultSchema;
    this.instance = about.instance;
    client.on('error', (error) => {
      this.#lost = error;
    });
  }

  static async open(location: PostgresLocation, applicationName: string): Promise<PostgresConnection> {
    const doing = `cannot connect to ${location.display}`;
    const client = newClient(location, applicationName, doing);
    let lost: Error | null = null;
    const noteLoss = (error: Error) => {
      lost = error;
    };
    client.on('error', noteLoss);
    try {
      await client.connect();
      const about = await client.query(
        "SELECT current_setting('server_version_num')::int AS version, current_schema() AS schema, version() AS name, (SELECT system_identifier FROM pg_control_system()) || ':' || current_database() AS instance",
      );
      const { version, schema, name, instance } = about.rows[0];
      if (version < VERSION_MIN) throw tooOld(location.display, String(name).split(' ').slice(0, 2).join(' '));
      await client.query(SESSION_SETTINGS.map((setting) => `SET ${setting};`).join(' '));
      const connection = new PostgresConnection(client, location.display, {
        serverVersion: version,
        defaultSchema: schema ?? 'public',
        instance: `postgres:${instance}`,
      });
      connection.#lost = lost;
      client.off('error', noteLoss);
      return connection;
    } catch (error) {
      await client.end().catch(() => undefined);
      throw postgresError(error, doing);
    }
  }

  /** False once the session has ended, or is stuck in a COPY whose reader went away. */
  get isUsable(): boolean {
    return this.#lost === null && !this.#copying;
  }

  /** The open transaction has failed: all that it still takes is to be rolled back, or back to a savepoint before. */
  get isAborted(): boolean {
    return this.#abortedBy !== null;
  }

  /** Runs one statement, or several without parameters; answers the rows of the last one. */
  async query<R extends Row = Row>(sql: string, parameters?: readonly unknown[]): Promise<R[]> {
    const result = await this.#run(sql, parameters);
    return (result.at(-1)?.rows ?? []) as R[];
  }

  /** Runs statements in one round trip; answers the rows of each. */
  async queryEach(statements: readonly string[]): Promise<readonly (readonly Row[])[]> {
    const results = await this.#run(statements.join('; '));
    return results.slice(-statements.length).map(({ rows }) => rows);
  }

  /** Like `query`, for a statement that comes again and again in this session: the server keeps its plan. */
  async queryPrepared<R extends Row = Row>(sql: string, parameters: readonly unknown[]): Promise<R[]> {
    const name = createHash('sha256').update(sql).digest('hex').slice(0, 32);
    try {
      if (this.#posted !== '') await this.#client.query(this.#withPosted(''));
      const result = await this.#client.query({ name, text: sql, values: [...parameters] });
      return result.rows as R[];
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** The first row; throws when there is none. */
  async one<R extends Row = Row>(sql: string, parameters?: readonly unknown[]): Promise<R> {
    const [row] = await this.query<R>(sql, parameters);
    if (row === undefined) throw new SpeilError('INTERNAL', `no row from: ${sql}`);
    return row;
  }

  /** Rows that the statement touched. */
  async execute(sql: string, parameters?: readonly unknown[]): Promise<number> {
    const result = await this.#run(sql, parameters);
    return result.at(-1)?.rowCount ?? 0;
  }

  /**
   * A statement whose result nobody waits for. It goes out in front of the next one, in the same round trip, and when it
   * fails the next one does; nothing that was posted is left behind by `commit` or `savepoint`.
   */
  post(sql: string): void {
    this.#posted += `${sql}; `;
    this.#isUnproved = true;
  }

  /** Begins a transaction; goes out with its first statement. */
  begin(settings: string): void {
    this.#abortedBy = null;
    this.post(`BEGIN${settings}`);
  }

  /** Throws what made the transaction fail, also where that was thrown before: the server makes a rollback of it. */
  async commit(): Promise<void> {
    const abortedBy = this.#abortedBy;
    const result = await this.#run('COMMIT');
    if (result.at(-1)?.command === 'COMMIT') return;
    throw abortedBy ?? new SpeilError('INTERNAL', `${this.display} rolled the transaction back`);
  }

  /**
   * Undoes what `work` did when it throws, and throws on. The transaction stays usable, unless what was posted before
   * the savepoint is what failed: then `isAborted`.
   */
  async savepoint<T>(work: () => Promise<T>): Promise<T> {
    const name = `speil_${++this.#savepoints}`;
    this.#posted += `SAVEPOINT ${name}; `;
    try {
      const result = await work();
      this.#posted += `RELEASE SAVEPOINT ${name}; `;
      if (this.#isUnproved) await this.#settle();
      return result;
    } catch (error) {
      await this.#rollBackTo(name);
      throw error;
    }
  }

  async #rollBackTo(savepoint: string): Promise<void> {
    for (const step of [() => this.#settle(), () => this.query(`ROLLBACK TO SAVEPOINT ${savepoint}`)]) {
      if (!this.isUsable) return;
      await step().catch(rethrowIfLost);
    }
  }

  /** Waits for what was posted. */
  async #settle(): Promise<void> {
    if (this.#posted !== '') await this.#run('');
  }

  /** A transaction that is rolled back does not need what was only posted. */
  #withPosted(sql: string): string {
    const all = sql === 'ROLLBACK' ? sql : this.#posted + sql;
    this.#posted = '';
    this.#isUnproved = false;
    return all;
  }

  /** Parameters belong to a single statement: what was posted goes ahead of it. */
  async #run(sql: string, parameters?: readonly unknown[]): Promise<readonly pg.QueryResult[]> {
    try {
      if (parameters !== undefined && this.#posted !== '') await this.#client.query(this.#withPosted(''));
      const result: pg.QueryResult | pg.QueryResult[] =
        parameters === undefined
          ? await this.#client.query(this.#withPosted(sql))
          : await this.#client.query(sql, [...parameters]);
      this.#abortedBy = null;
      return Array.isArray(result) ? result : [result];
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /**
   * The bytes of `COPY (…) TO STDOUT`, in pieces as they arrive: not cut at row ends. A reader that stops before the
   * end leaves the session unusable.
   */
  async *copyOut(sql: string): AsyncGenerator<Buffer> {
    const copy = this.#client.query(new CopyOut(this.#withPosted(sql)));
    this.#copying = true;
    try {
      yield* copy.pieces();
    } catch (error) {
      throw this.#failure(error);
    } finally {
      this.#copying = !copy.isOver;
    }
  }

  /** `COPY … FROM STDIN` of bytes that are there; answers the number of rows. */
  async copyIn(sql: string, bytes: Uint8Array): Promise<number> {
    try {
      const rows = await this.#client.query(new CopyIn(this.#withPosted(sql), bytes)).done;
      this.#abortedBy = null;
      return rows;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** A server that ends the session says so before the socket does. */
  #failure(error: unknown): SpeilError {
    const failure = postgresError(this.#lost ?? error, this.display);
    if (failure.code === 'CONNECTION_LOST') this.#lost ??= failure;
    this.#abortedBy ??= failure;
    return failure;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#lost !== null || this.#copying) return this.destroy();
    await this.#client.end().catch(() => undefined);
  }

  /** Ends the session at once, also in the middle of a statement. */
  destroy(): void {
    const { connection } = this.#client as unknown as { connection: { stream: { destroy(): void } } };
    connection.stream.destroy();
  }
}

/** For a failure that is dealt with where the session goes on. */
export function rethrowIfLost(error: unknown): void {
  if (error instanceof SpeilError && error.code === 'CONNECTION_LOST') throw error;
}

function newClient(location: PostgresLocation, applicationName: string, doing: string): pg.Client {
  try {
    return new pg.Client({
      connectionString: location.url,
      application_name: applicationName,
      connectionTimeoutMillis: CONNECT_WAIT_MS,
      keepAlive: true,
    });
  } catch (error) {
    throw new SpeilError('USAGE', `${doing}: ${error instanceof Error ? error.message : error}`, {
      hint: 'A PostgreSQL address looks like postgres://user:password@host:5432/database',
    });
  }
}

const tooOld = (display: string, version: string): SpeilError =>
  new SpeilError('TOO_OLD', `${display} is ${version}`, { hint: 'Speil needs PostgreSQL 13 or later.' });
