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
      await client.query('SET search_path = pg_catalog');
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

  /** Runs one statement, or several without parameters; answers the rows of the last one. */
  async query<R extends Row = Row>(sql: string, parameters?: readonly unknown[]): Promise<R[]> {
    const result = await this.#run(sql, parameters);
    const last = Array.isArray(result) ? result.at(-1) : result;
    return (last?.rows ?? []) as R[];
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
    const last = Array.isArray(result) ? result.at(-1) : result;
    return last?.rowCount ?? 0;
  }

  /**
   * A statement whose result nobody waits for. It goes out in front of the next one, in the same round trip, and when it
   * fails the next one does.
   */
  post(sql: string): void {
    this.#posted += `${sql}; `;
  }

  /** A transaction that is rolled back does not need what was only posted. */
  #withPosted(sql: string): string {
    const all = sql === 'ROLLBACK' ? sql : this.#posted + sql;
    this.#posted = '';
    return all;
  }

  /** Parameters belong to a single statement: what was posted goes ahead of it. */
  async #run(sql: string, parameters?: readonly unknown[]): Promise<pg.QueryResult> {
    try {
      if (parameters === undefined) return await this.#client.query(this.#withPosted(sql));
      if (this.#posted !== '') await this.#client.query(this.#withPosted(''));
      return await this.#client.query(sql, [...parameters]);
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
      return await this.#client.query(new CopyIn(this.#withPosted(sql), bytes)).done;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** A server that ends the session says so before the socket does. */
  #failure(error: unknown): SpeilError {
    const failure = postgresError(this.#lost ?? error, this.display);
    if (failure.code === 'CONNECTION_LOST') this.#lost ??= failure;
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
