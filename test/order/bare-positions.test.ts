import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import {
  type Cycle,
  copiedIn,
  countsOf,
  errorsOf,
  fromPostgres,
  fromSqlite,
  type Mirroring,
  tableOf,
  testPairs,
} from '../conformance/mirroring.ts';
import { type BareNumbers, bareClient } from '../support/bare-client.ts';
import { Session } from './sessions.ts';

/** A mirror that keeps nothing but one number per table, as those of SuperOffice's contract do. */
class BareMirror {
  readonly numbers: BareNumbers = new Map();
  readonly mirroring: Mirroring;

  constructor(mirroring: Mirroring) {
    this.mirroring = mirroring;
  }

  /** A cycle, after which the mirror must be equal to its source. */
  async follow(): Promise<Cycle> {
    const cycle = await this.mirroring.decorated(bareClient(this.numbers));
    assert.deepEqual(errorsOf(cycle), []);
    await this.mirroring.same();
    return cycle;
  }

  change(by: (number: bigint) => bigint): void {
    for (const [name, number] of this.numbers) this.numbers.set(name, by(number));
  }
}

async function mirrored(mirroring: Mirroring): Promise<BareMirror> {
  await mirroring.source.sql(
    `CREATE TABLE item (id int PRIMARY KEY, note text);
     CREATE TABLE other (id int PRIMARY KEY, note text);
     INSERT INTO item VALUES (1, 'first'), (2, 'first'), (3, 'first'), (4, 'first'), (5, 'first');
     INSERT INTO other VALUES (1, 'first')`,
  );
  const mirror = new BareMirror(mirroring);
  await mirror.follow();
  return mirror;
}

const reasonOf = (cycle: Cycle): string | undefined => tableOf(cycle, 'item').repopulated;

const CHANGES = `INSERT INTO item VALUES (101, 'new'); UPDATE item SET note = 'changed' WHERE id = 1;
  DELETE FROM item WHERE id = 2`;

testPairs('a mirror goes on from a number alone', async (mirroring) => {
  const mirror = await mirrored(mirroring);
  for (const number of mirror.numbers.values()) assert.ok(number > 0n && number < 2n ** 63n, String(number));
  assert.deepEqual(copiedIn(await mirror.follow()), []);
  await mirroring.source.sql(CHANGES);
  const changed = await mirror.follow();
  assert.deepEqual(copiedIn(changed), []);
  assert.deepEqual(countsOf(changed, 'item'), { inserted: 1, updated: 1, deleted: 1 });
  assert.deepEqual(countsOf(await mirror.follow(), 'item'), { inserted: 0, updated: 0, deleted: 0 });
});

testPairs(
  'an earlier transaction that commits later is not missed by a number alone',
  async (mirroring) => {
    const mirror = await mirrored(mirroring);
    await using early = await Session.open(mirroring.source.address);
    await early.begin();
    await early.sql(CHANGES);
    await mirroring.source.sql("INSERT INTO item VALUES (102, 'late'); UPDATE item SET note = 'late' WHERE id = 3");
    assert.deepEqual(countsOf(await mirror.follow(), 'item'), { inserted: 1, updated: 1, deleted: 0 });
    assert.deepEqual(copiedIn(await mirror.follow()), []);
    await early.sql('COMMIT');
    const after = countsOf(await mirror.follow(), 'item');
    assert.deepEqual({ inserted: after.inserted, deleted: after.deleted }, { inserted: 1, deleted: 1 });
    await mirror.follow();
    assert.deepEqual(countsOf(await mirror.follow(), 'item'), { inserted: 0, updated: 0, deleted: 0 });
  },
  fromPostgres,
);

testPairs(
  'transactions that commit in the reverse of their order, a cycle after each',
  async (mirroring) => {
    const mirror = await mirrored(mirroring);
    const sessions = await Promise.all([1, 2, 3].map(() => Session.open(mirroring.source.address)));
    try {
      for (const [at, session] of sessions.entries()) {
        await session.begin();
        await session.sql(`INSERT INTO item VALUES (${200 + at}, 'of ${at}'); DELETE FROM item WHERE id = ${at + 1}`);
      }
      for (const session of sessions.toReversed()) {
        await session.sql('COMMIT');
        assert.deepEqual(copiedIn(await mirror.follow()), []);
      }
    } finally {
      for (const session of sessions) await session[Symbol.asyncDispose]();
    }
  },
  fromPostgres,
);

testPairs('a number that the source never gave out copies the table again', async (mirroring) => {
  const mirror = await mirrored(mirroring);
  const cases: readonly ((number: bigint) => bigint)[] = [
    () => -1n,
    (number) => number + 1_000_000n,
    () => 2n ** 63n - 1n,
    (number) => number ^ (1n << 50n),
  ];
  for (const by of cases) {
    mirror.change(by);
    await mirroring.source.sql("DELETE FROM item WHERE id = 3; INSERT INTO item VALUES (3, 'again')");
    assert.deepEqual(copiedIn(await mirror.follow()).toSorted(), ['item', 'other']);
  }
});

testPairs('tracking that was off shows in a number alone', async (mirroring) => {
  const mirror = await mirrored(mirroring);
  await mirroring.source.sql({
    postgres:
      'ALTER TABLE item DISABLE TRIGGER USER; DELETE FROM item WHERE id = 3; ALTER TABLE item ENABLE TRIGGER USER',
    sqlite: 'DROP TRIGGER speil_1_d; DELETE FROM item WHERE id = 3',
  });
  assert.deepEqual(copiedIn(await mirror.follow()), ['item']);
});

testPairs(
  'a source that was restored and then changed more shows in a number alone',
  async (mirroring) => {
    const mirror = await mirrored(mirroring);
    const path = mirroring.source.address.replace('sqlite:', '');
    const database = new DatabaseSync(path);
    database.exec('PRAGMA journal_mode = DELETE');
    database.close();
    copyFileSync(path, `${path}.backup`);
    await mirroring.source.sql("INSERT INTO item VALUES (600, 'lost')");
    await mirror.follow();
    copyFileSync(`${path}.backup`, path);
    await mirroring.source.sql("INSERT INTO item VALUES (601, 'kept'), (602, 'kept'), (603, 'kept')");
    const cycle = await mirror.follow();
    assert.match(reasonOf(cycle) ?? '', /restored or cloned/);
    assert.deepEqual(copiedIn(cycle), ['item']);
  },
  fromSqlite,
);

testPairs(
  'bookmarks of another history show in a number alone, and what is too old',
  async (mirroring) => {
    const mirror = await mirrored(mirroring);
    await mirroring.source.sql(CHANGES);
    await mirror.follow();
    await mirroring.source.sql('UPDATE speil.bookmark SET id = id || id');
    assert.match(reasonOf(await mirror.follow()) ?? '', /not of the source’s present history/);
    await mirroring.source.sql(
      "UPDATE speil.history SET valid_from = pg_current_xact_id(); INSERT INTO item VALUES (7, 'seven')",
    );
    assert.match(reasonOf(await mirror.follow()) ?? '', /older than the changes/);
    assert.deepEqual(copiedIn(await mirror.follow()), []);
  },
  fromPostgres,
);

testPairs(
  'TRUNCATE reaches a mirror that keeps a number alone',
  async (mirroring) => {
    const mirror = await mirrored(mirroring);
    await mirroring.source.sql("TRUNCATE item; INSERT INTO item VALUES (9, 'after')");
    assert.deepEqual(copiedIn(await mirror.follow()), []);
  },
  fromPostgres,
);
