import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresServer } from '../../test/support/postgres-server.ts';
import { createAccounts } from './accounts.ts';
import type { MirrorDatabaseOfRun, ServerPair } from './servers.ts';

const POLL_MS = 5;
const NAME = 'speil_bench';

/** PostgreSQL's own logical replication of the accounts: a publication, and a subscription that copies and applies. */
export class NativeReplication implements AsyncDisposable {
  readonly database: MirrorDatabaseOfRun;
  readonly #pair: ServerPair;
  readonly #source: string;
  #marks = 0;

  private constructor(pair: ServerPair, source: string, database: MirrorDatabaseOfRun) {
    this.#pair = pair;
    this.#source = source;
    this.database = database;
  }

  /** Publishes and makes the empty table, as an administrator would before the subscription. */
  static async prepare(pair: ServerPair, source: string): Promise<NativeReplication> {
    await pair.source.sql(source, `CREATE PUBLICATION ${NAME} FOR TABLE accounts`);
    const database = await pair.newMirror();
    await createAccounts(pair.mirror, database.name);
    return new NativeReplication(pair, source, database);
  }

  /** Subscribes, and returns once all rows are there. The workers then still agree on who goes on from where. */
  async copy(): Promise<void> {
    const { host, port } = this.#pair.source;
    const connection = `host=${host} port=${port} dbname=${this.#source} user=postgres`;
    await this.#onMirror(
      `CREATE SUBSCRIPTION ${NAME} CONNECTION '${connection}' PUBLICATION ${NAME} WITH (copy_data = true)`,
    );
    await this.#reaches('f', 's', 'r');
  }

  /** Returns once the table is ready to follow. */
  becomesReady(): Promise<void> {
    return this.#reaches('r');
  }

  #reaches(...states: readonly string[]): Promise<void> {
    const list = states.map((state) => `'${state}'`).join(', ');
    const sql = `SELECT bool_and(srsubstate IN (${list})) AS done FROM pg_subscription_rel`;
    return until(this.#pair.mirror, this.database.name, sql);
  }

  /** Stops applying. Changes pile up in the slot at the source. */
  async disable(): Promise<void> {
    await this.#onMirror(`ALTER SUBSCRIPTION ${NAME} DISABLE`);
    await until(this.#pair.source, 'postgres', 'SELECT bool_and(NOT active) AS done FROM pg_replication_slots');
  }

  /** Applies again, and returns as soon as the mirror shows the last thing that the source did. */
  async catchUp(): Promise<void> {
    const mark = ++this.#marks;
    await this.#pair.source.sql(this.#source, `UPDATE accounts SET bid = ${-mark} WHERE aid = 1`);
    await this.#onMirror(`ALTER SUBSCRIPTION ${NAME} ENABLE`);
    await until(this.#pair.mirror, this.database.name, `SELECT bid = ${-mark} AS done FROM accounts WHERE aid = 1`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#onMirror(`DROP SUBSCRIPTION IF EXISTS ${NAME}`);
    await this.database[Symbol.asyncDispose]();
    await this.#pair.source.sql(this.#source, `DROP PUBLICATION ${NAME}`);
  }

  #onMirror(sql: string): Promise<unknown> {
    return this.#pair.mirror.sql(this.database.name, sql);
  }
}

async function until(server: PostgresServer, database: string, sql: string): Promise<void> {
  while ((await server.sql(database, sql))[0]?.['done'] !== true) await sleep(POLL_MS);
}
