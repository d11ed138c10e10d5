import pg from 'pg';
import { CONNECT_WAIT_MS } from '../core/limits.ts';
import type { DatabaseLocation } from '../database/location.ts';
import type { CenterDatabase, CenterSession, Row } from './database.ts';
import { databaseError } from './database-error.ts';

/** Store, queue and API of one center share them; ten centers fit a server's default of 100. */
const CONNECTIONS_MAX = 8;
/** Every statement of the center is short; a minute is for the queue's own maintenance. */
const STATEMENT_WAIT_MS = 60_000;
/** A server that went away without a word is noticed by the client: a little later than the server would have spoken. */
const ANSWER_WAIT_MS = STATEMENT_WAIT_MS + 5_000;
/** A center that froze inside a transaction must not hold up the others. */
const IDLE_IN_TRANSACTION_MS = 60_000;

/** Opens a bounded pool of connections, and one of them at once: a wrong address is told now. */
export async function openPostgres(location: Extract<DatabaseLocation, { kind: 'postgres' }>): Promise<CenterDatabase> {
  const pool = newPool(location.url, location.display);
  try {
    const client = await pool.connect();
    client.release();
  } catch (error) {
    await pool.end();
    throw databaseError(error, location.display);
  }
  return new PostgresDatabase(pool, location.display);
}

function newPool(connectionString: string, display: string): pg.Pool {
  try {
    const pool = new pg.Pool({
      connectionString,
      application_name: 'speil center',
      max: CONNECTIONS_MAX,
      connectionTimeoutMillis: CONNECT_WAIT_MS,
      statement_timeout: STATEMENT_WAIT_MS,
      query_timeout: ANSWER_WAIT_MS,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
      keepAlive: true,
    });
    // The pool drops an idle connection that failed and makes another when one is needed.
    pool.on('error', () => undefined);
    return pool;
  } catch (error) {
    throw databaseError(error, display);
  }
}

class PostgresDatabase implements CenterDatabase {
  readonly kind = 'postgres';
  readonly display: string;
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool, display: string) {
    this.#pool = pool;
    this.display = display;
  }

  query<R extends Row = Row>(text: string, values: readonly unknown[] = []): Promise<readonly R[]> {
    return this.#session(this.#pool).query<R>(text, values);
  }

  exec(text: string): Promise<void> {
    return this.#session(this.#pool).exec(text);
  }

  executeSql(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }> {
    return this.#session(this.#pool).executeSql(text, values);
  }

  async transaction<T>(work: (session: CenterSession) => Promise<T>): Promise<T> {
    const client = await this.#connect();
    // A connection that dies while it is out tells so by an event that would end the process unheard.
    const ignore = () => undefined;
    client.on('error', ignore);
    try {
      const session = this.#session(client);
      await session.exec('BEGIN');
      const result = await work(session);
      await session.exec('COMMIT');
      client.off('error', ignore);
      client.release();
      return result;
    } catch (error) {
      // Dropped rather than rolled back: the server undoes the transaction with the connection, in whatever state it was.
      client.release(true);
      throw error;
    }
  }

  async tidyUp(): Promise<void> {}

  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw databaseError(error, this.display);
    }
  }

  #session(through: pg.Pool | pg.PoolClient): CenterSession {
    const run = async (text: string, values?: readonly unknown[]): Promise<pg.QueryResult> => {
      try {
        return values === undefined ? await through.query(text) : await through.query(text, [...values]);
      } catch (error) {
        throw databaseError(error, this.display);
      }
    };
    return {
      query: async <R extends Row>(text: string, values: readonly unknown[] = []) =>
        (await run(text, values)).rows as R[],
      exec: async (text) => void (await run(text)),
      executeSql: async (text, values) => ({ rows: allRows(await through.query(text, values)) }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end();
  }
}

/** Several statements in one text answer a list of results. */
const allRows = (result: pg.QueryResult | readonly pg.QueryResult[]): Record<string, unknown>[] =>
  [result].flat().flatMap(({ rows }) => rows ?? []);
