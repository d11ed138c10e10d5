import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import { mirror } from '../../src/mirror.ts';
import type { VerifyReport } from '../../src/verify.ts';
import { close, connect } from '../support/postgres-client.ts';
import { eventually, SeededRandom } from '../support/workload.ts';
import { found, PAIRS, Pair, series, verdictOf } from './verify-fixture.ts';

const TABLES = `
  CREATE TABLE account (id integer PRIMARY KEY, name text, amount integer);
  INSERT INTO account SELECT i, 'account ' || i, 100 FROM ${series(5000)};
  CREATE TABLE movement (id integer PRIMARY KEY, what text);`;

/** One of the transactions that a busy application runs; also changes keys. */
function statements(random: SeededRandom, n: number): readonly string[] {
  const id = random.integer(1, 4000);
  if (random.chance(0.1)) return [`DELETE FROM account WHERE id = ${id}`];
  if (random.chance(0.1)) return [`UPDATE account SET id = ${10_000 + n} WHERE id = ${id}`];
  return [
    `UPDATE account SET amount = amount - 1 WHERE id = ${id}`,
    `UPDATE account SET amount = amount + 1, name = 'account' || ${n} WHERE id = ${random.integer(1, 4000)}`,
    `INSERT INTO movement VALUES (${n}, 'movement ${n}')`,
  ];
}

/** Writes to the source until it is disposed, a transaction at a time, on a connection of its own. */
async function startWriter(address: string): Promise<AsyncDisposable & { readonly written: () => number }> {
  const write = await writerOf(address);
  const random = new SeededRandom(7);
  let written = 0;
  let isStopped = false;
  const running = (async () => {
    while (!isStopped) {
      await write.transaction(statements(random, ++written));
      await new Promise(setImmediate);
    }
  })();
  const stop = async () => {
    isStopped = true;
    await running.finally(() => write.close());
  };
  return { written: () => written, [Symbol.asyncDispose]: stop };
}

async function writerOf(address: string) {
  if (address.startsWith('postgres')) {
    const client = await connect(address);
    return {
      transaction: async (sql: readonly string[]) => {
        await client.query(`BEGIN; ${sql.join(';')}; COMMIT`);
      },
      close: () => close(client),
    };
  }
  const database = new DatabaseSync(address, { timeout: 10_000 });
  return {
    transaction: async (sql: readonly string[]) => database.exec(`BEGIN IMMEDIATE; ${sql.join(';')}; COMMIT`),
    close: async () => database.close(),
  };
}

/** Follows the source until it is disposed. */
function follow(pair: Pair): AsyncDisposable {
  const stop = new AbortController();
  const running = mirror({ ...pair.addresses, follow: true, signal: stop.signal });
  const ended = running.then(
    () => assert.fail('it ended by itself'),
    (error: { code?: string }) => assert.equal(error.code, 'INTERRUPTED'),
  );
  return {
    [Symbol.asyncDispose]: () => {
      stop.abort();
      return ended;
    },
  };
}

describe('verify while the source is written', { concurrency: 2 }, () => {
  for (const kinds of PAIRS.filter(([, mirrorKind]) => mirrorKind !== 'postgres13')) {
    test(`${kinds[0]} to ${kinds[1]}: nothing differs while a writer hammers and the mirror follows, and what does is found`, async () => {
      using pair = await Pair.open(kinds);
      await pair.source.run(TABLES);
      await pair.cycle();
      await using task = follow(pair);
      const reports: VerifyReport[] = [];
      {
        await using writer = await startWriter(pair.source.address);
        reports.push(await pair.verify());
        await pair.mirror.run(
          "UPDATE account SET name = 'wrong' WHERE id = 4500; DELETE FROM account WHERE id = 4501; INSERT INTO account VALUES (-5, '', 0)",
        );
        reports.push(await pair.verify());
        assert.ok(writer.written() > 100, `${writer.written()} transactions`);
      }
      const [clean, damaged] = reports;
      assert.ok(clean !== undefined && damaged !== undefined);
      assert.equal(clean.identical, true, JSON.stringify(clean));
      assert.ok(verdictOf(clean, 'account').rows > 1000);
      assert.deepEqual(found(damaged), {
        account: ['-5 extra', '4500 different', '4501 missing'],
        movement: [],
      });
      const quiet = await eventually(async () => {
        const report = await pair.verify();
        assert.deepEqual(
          report.tables.map(({ pending }) => pending),
          [0, 0],
        );
        return report;
      });
      assert.equal(verdictOf(quiet, 'account').differenceCount, 3);
      await task[Symbol.asyncDispose]();
    });
  }
});
