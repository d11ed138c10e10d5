import type pg from 'pg';
import { close, connect } from '../support/postgres-client.ts';
import { eventually } from '../support/workload.ts';

/** A session of an application with PostgreSQL, one statement after another. */
export class Session implements AsyncDisposable {
  readonly pid: number;
  readonly #client: pg.Client;

  private constructor(client: pg.Client, pid: number) {
    this.#client = client;
    this.pid = pid;
  }

  static async open(address: string): Promise<Session> {
    const client = await connect(address);
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    return new Session(client, rows[0]?.pid ?? 0);
  }

  async sql(text: string): Promise<readonly Record<string, unknown>[]> {
    const result: unknown = await this.#client.query(text);
    const last = (Array.isArray(result) ? result.at(-1) : result) as pg.QueryResult;
    return last.rows;
  }

  /** Begins a transaction that has a number from here on. */
  async begin(level = 'READ COMMITTED'): Promise<void> {
    await this.sql(`BEGIN ISOLATION LEVEL ${level}; SELECT pg_current_xact_id()`);
  }

  /** Waits until this many other sessions of the database wait for a lock. */
  async untilOthersWait(count = 1, withinMs = 10_000): Promise<void> {
    await eventually(
      async () => {
        const [row] = await this.sql(
          `SELECT count(*)::int AS waiting FROM pg_stat_activity
           WHERE datname = current_database() AND pid <> pg_backend_pid() AND wait_event_type = 'Lock'`,
        );
        if (Number(row?.['waiting']) < count) throw new Error(`${row?.['waiting']} sessions wait, not ${count}`);
      },
      { withinMs },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await close(this.#client);
  }
}
