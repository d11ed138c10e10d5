import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import type { Kind, TestDatabase } from '../conformance/mirroring.ts';
import { connect } from '../support/postgres-client.ts';
import { SeededRandom } from '../support/workload.ts';

const ACCOUNTS = 60;
const MONEY = ACCOUNTS * 1000;
const SERIES = (count: number) => `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;

/** Money lies in two tables; what is moved is noted in a third, and visits have no key. Both engines read it. */
export const BANK = `
  CREATE TABLE checking (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
  CREATE TABLE saving (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
  CREATE TABLE transfer (account INTEGER, nth INTEGER, amount INTEGER NOT NULL, note TEXT, PRIMARY KEY (account, nth));
  CREATE TABLE visit (account INTEGER, note TEXT);
  ${SERIES(ACCOUNTS)} INSERT INTO checking SELECT i, 600 FROM n;
  ${SERIES(ACCOUNTS)} INSERT INTO saving SELECT i, 400 FROM n;
  ${SERIES(1000)} INSERT INTO transfer SELECT i % ${ACCOUNTS}, -i, 0, '${'note of a transfer '.repeat(6)}' FROM n;
  ${SERIES(40)} INSERT INTO visit SELECT i % 7, 'visit' FROM n`;

/** What a mirror must show whenever a cycle is complete: no money made or lost, and each transfer's sum noted. */
export const MONEY_SQL = `SELECT
  (SELECT sum(balance) FROM checking) + (SELECT sum(balance) FROM saving) AS money,
  (SELECT sum(balance) FROM saving) - (SELECT coalesce(sum(amount), 0) FROM transfer) AS saved`;

export async function assertMoney(mirror: TestDatabase): Promise<void> {
  const [row] = await mirror.sql(MONEY_SQL);
  assert.deepEqual(
    { money: Number(row?.['money']), saved: Number(row?.['saved']) },
    { money: MONEY, saved: ACCOUNTS * 400 },
  );
}

/** One transaction of the bank: some money from checking to saving or back, and something else besides. */
function transaction(random: SeededRandom, nth: number, kind: Kind): readonly string[] {
  const [from, to, amount] = [random.integer(1, ACCOUNTS - 1), random.integer(1, ACCOUNTS), random.integer(-50, 50)];
  const statements = [
    `UPDATE checking SET balance = balance - ${amount} WHERE id = ${from}`,
    `UPDATE saving SET balance = balance + ${amount} WHERE id = ${to}`,
    `INSERT INTO transfer VALUES (${to}, ${nth}, ${amount}, '${random.uuid()}')`,
  ];
  const others: readonly string[] = [
    `INSERT INTO visit VALUES (${nth}, 'visit')`,
    `UPDATE transfer SET note = 'changed by ${nth}, with all the others of its kind' WHERE nth % 2 = 0`,
    `DELETE FROM transfer WHERE nth < 0 AND nth % 50 = -${random.integer(0, 49)}`,
    `UPDATE transfer SET nth = nth + 1000000 WHERE account = ${to} AND nth BETWEEN 1 AND 1000000`,
    `UPDATE checking SET id = -id WHERE id IN (${ACCOUNTS}, -${ACCOUNTS})`,
    kind === 'postgres' ? 'TRUNCATE visit' : 'DELETE FROM visit',
  ];
  return random.chance(0.5) ? [...statements, random.pick(others)] : statements;
}

/** The bank's customers, at work until it is disposed. A statement that fails fails the test. */
export class Customers implements AsyncDisposable {
  #stopped = false;
  #count = 0;
  readonly #work: Promise<void>;

  constructor(source: TestDatabase, seed: number) {
    const random = new SeededRandom(seed);
    this.#work =
      source.kind === 'postgres' ? this.#onPostgres(source.address, random) : this.#onSqlite(source.address, random);
    this.#work.catch(() => undefined);
  }

  /** Transactions so far. */
  get count(): number {
    return this.#count;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#work;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #onPostgres(address: string, random: SeededRandom): Promise<void> {
    const client = await connect(address);
    try {
      await this.#each(async (nth) => {
        const end = random.chance(0.1) ? 'ROLLBACK' : 'COMMIT';
        await client.query(['BEGIN', ...transaction(random, nth, 'postgres'), end].join('; '));
      });
    } finally {
      await client.end();
    }
  }

  async #onSqlite(address: string, random: SeededRandom): Promise<void> {
    using database = new DatabaseSync(address.replace(/^sqlite:/, ''), { timeout: 10_000 });
    await this.#each(async (nth) => {
      database.exec(['BEGIN IMMEDIATE', ...transaction(random, nth, 'sqlite'), 'COMMIT'].join('; '));
    });
  }

  async #each(work: (nth: number) => Promise<void>): Promise<void> {
    while (!this.#stopped) {
      await work(++this.#count);
      await pause(2);
    }
  }
}
