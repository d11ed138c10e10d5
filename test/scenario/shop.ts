import assert from 'node:assert/strict';
import { type MirrorOptions, mirror } from '../../src/mirror.ts';
import type { TaskEvent } from '../../src/task/report.ts';
import { type Cycle, copiedIn, errorsOf, TestDatabase } from '../conformance/mirroring.ts';
import { assertSameRows } from '../support/dump.ts';

/** A source and a mirror, wherever they are. Each cycle is a task of its own: nothing is remembered but in the databases. */
export class Shop {
  readonly source: TestDatabase;
  readonly mirror: TestDatabase;

  constructor(source: string, mirror: string) {
    this.source = database(source);
    this.mirror = database(mirror);
  }

  /** A cycle that must complete. */
  async cycle(options: Omit<MirrorOptions, 'source' | 'mirror'> = {}): Promise<Cycle> {
    const events: TaskEvent[] = [];
    const onEvent = (event: TaskEvent) => events.push(event);
    const report = await mirror({ source: this.source.address, mirror: this.mirror.address, ...options, onEvent });
    assert.equal(report.status, 'completed', errorsOf({ report, events }).join('\n'));
    return { report, events };
  }

  same(): Promise<void> {
    return assertSameRows(this.source.address, this.mirror.address);
  }

  /** A cycle after which the mirror must be the source. */
  async follow(options: Omit<MirrorOptions, 'source' | 'mirror'> = {}): Promise<Cycle> {
    const cycle = await this.cycle(options);
    await this.same();
    return cycle;
  }
}

export const database = (address: string): TestDatabase =>
  new TestDatabase(address.startsWith('postgres') ? 'postgres' : 'sqlite', address);

const SERIES = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)';

/** Three tables of 200 rows: a plain key, a key of two columns, and none. Both engines read it. */
export const SHOP = `
  CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, bought INTEGER NOT NULL);
  CREATE TABLE sale (customer INTEGER, nth INTEGER, amount INTEGER, PRIMARY KEY (customer, nth));
  CREATE TABLE visit (customer INTEGER, note TEXT);
  ${SERIES} INSERT INTO customer SELECT i, 'customer ' || i, 0 FROM n;
  ${SERIES} INSERT INTO sale SELECT i, 1, i * 100 FROM n;
  ${SERIES} INSERT INTO visit SELECT i % 50, 'visit' FROM n;`;

export const TABLES = ['customer', 'sale', 'visit'];

let written = 0;

/** A day of trade: rows of every table inserted, updated and deleted, in five transactions. */
export async function trade(source: TestDatabase): Promise<void> {
  const day = ++written;
  for (const sql of [
    `INSERT INTO customer VALUES (${1000 + day}, 'new on day ${day}', 1)`,
    `UPDATE customer SET bought = bought + ${day} WHERE id % 10 = ${day % 10}`,
    `INSERT INTO sale SELECT id, ${1 + day}, ${day} FROM customer WHERE id % 20 = 0`,
    `DELETE FROM sale WHERE customer = ${1 + day} AND nth = 1`,
    `INSERT INTO visit VALUES (${day}, 'day ${day}')`,
  ])
    await source.sql(sql);
}

/** Why each table was copied whole, by name; tables that were not are absent. */
export const repopulatedIn = ({ report }: Cycle): Readonly<Record<string, string>> =>
  Object.fromEntries(report.tables.flatMap(({ table, repopulated }) => (repopulated ? [[table, repopulated]] : [])));

/** All tables were copied whole, for a reason like this; but for the one without a key, whose own reason counts too. */
export function assertAllCopied(cycle: Cycle, reason: RegExp): void {
  assert.deepEqual(copiedIn(cycle).toSorted(), TABLES);
  for (const [table, why] of Object.entries(repopulatedIn(cycle))) assert.match(why, reason, table);
}

/** Nothing was copied whole but the table without a key, which always is when it changed. */
export function assertNothingCopied(cycle: Cycle): void {
  assert.deepEqual(copiedIn(cycle), []);
  assert.deepEqual(
    Object.keys(repopulatedIn(cycle)).filter((table) => table !== 'visit'),
    [],
  );
}
