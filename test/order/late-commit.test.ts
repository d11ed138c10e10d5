import assert from 'node:assert/strict';
import { countsOf, fromPostgres, type Mirroring, testPairs } from '../conformance/mirroring.ts';
import { Session } from './sessions.ts';

const none = { inserted: 0, updated: 0, deleted: 0 };

/** Numbers of transactions are given out in one order and commit in another. Guarantee T1. */
async function mirrored(mirroring: Mirroring, rows = 10): Promise<void> {
  await mirroring.source.sql(
    `CREATE TABLE item (id int PRIMARY KEY, note text);
     INSERT INTO item SELECT i, 'first' FROM generate_series(1, ${rows}) i`,
  );
  await mirroring.follow();
}

testPairs(
  'an earlier transaction that commits later is not missed',
  async (mirroring) => {
    await mirrored(mirroring);
    await using early = await Session.open(mirroring.source.address);
    await early.begin();
    await early.sql(
      "INSERT INTO item VALUES (101, 'early'); UPDATE item SET note = 'early' WHERE id = 1; DELETE FROM item WHERE id = 2",
    );
    await mirroring.source.sql("INSERT INTO item VALUES (102, 'late'); UPDATE item SET note = 'late' WHERE id = 3");
    const while_ = await mirroring.follow();
    assert.deepEqual(countsOf(while_, 'item'), { inserted: 1, updated: 1, deleted: 0 });
    await early.sql('COMMIT');
    const after = await mirroring.follow();
    assert.deepEqual(countsOf(after, 'item'), { inserted: 1, updated: 1, deleted: 1 });
    assert.deepEqual(countsOf(await mirroring.follow(), 'item'), none);
  },
  fromPostgres,
);

testPairs(
  'three transactions that commit in the reverse of their order, a cycle after each',
  async (mirroring) => {
    await mirrored(mirroring);
    const sessions = await Promise.all([1, 2, 3].map(() => Session.open(mirroring.source.address)));
    try {
      for (const [at, session] of sessions.entries()) {
        await session.begin();
        await session.sql(`INSERT INTO item VALUES (${200 + at}, 'of ${at}')`);
      }
      for (const session of sessions.toReversed()) {
        await session.sql('COMMIT');
        assert.deepEqual(countsOf(await mirroring.follow(), 'item'), { ...none, inserted: 1 });
      }
    } finally {
      for (const session of sessions) await session[Symbol.asyncDispose]();
    }
  },
  fromPostgres,
);

testPairs(
  'the lower number can write the row last',
  async (mirroring) => {
    await mirrored(mirroring);
    await using early = await Session.open(mirroring.source.address);
    await early.begin();
    await mirroring.source.sql(
      "UPDATE item SET note = 'by the higher number' WHERE id <= 5; DELETE FROM item WHERE id = 6",
    );
    await mirroring.follow();
    await early.sql(
      `UPDATE item SET note = 'by the lower number' WHERE id = 1; DELETE FROM item WHERE id = 2;
       INSERT INTO item VALUES (6, 'again'); COMMIT`,
    );
    await mirroring.follow();
    assert.equal(await mirroring.mirror.value('SELECT note FROM item WHERE id = 1'), 'by the lower number');
  },
  fromPostgres,
);

testPairs(
  'an idle transaction that is open the whole time: nothing is missed and nothing comes again and again',
  async (mirroring) => {
    await mirrored(mirroring, 500);
    await using idle = await Session.open(mirroring.source.address);
    await idle.begin('REPEATABLE READ');
    await idle.sql("INSERT INTO item VALUES (10000, 'idle')");
    for (let round = 1; round <= 8; round++) {
      await mirroring.source.sql(`UPDATE item SET note = 'round ${round}' WHERE id BETWEEN ${round} AND ${round + 1}`);
      assert.deepEqual(countsOf(await mirroring.cycle(), 'item'), { ...none, updated: 2 });
      assert.deepEqual(countsOf(await mirroring.cycle(), 'item'), none);
    }
    await mirroring.same();
    await idle.sql('COMMIT');
    assert.deepEqual(countsOf(await mirroring.follow(), 'item'), { ...none, inserted: 1 });
  },
  fromPostgres,
);

testPairs(
  'what was rolled back to a savepoint is not sent, what was released is',
  async (mirroring) => {
    await mirrored(mirroring);
    await using session = await Session.open(mirroring.source.address);
    await session.sql(
      `BEGIN; SAVEPOINT a; INSERT INTO item VALUES (301, 'released'); RELEASE a;
       SAVEPOINT b; INSERT INTO item VALUES (302, 'gone'); UPDATE item SET note = 'gone'; ROLLBACK TO b;
       SAVEPOINT c; SAVEPOINT d; UPDATE item SET note = 'deep' WHERE id = 4; RELEASE d; RELEASE c`,
    );
    assert.deepEqual(countsOf(await mirroring.follow(), 'item'), none);
    await session.sql('COMMIT');
    assert.deepEqual(countsOf(await mirroring.follow(), 'item'), { inserted: 1, updated: 1, deleted: 0 });
    await session.sql(
      `DO $$ BEGIN
         BEGIN INSERT INTO item VALUES (303, 'gone'); PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN
         INSERT INTO item VALUES (304, 'of the handler'); END;
       END $$`,
    );
    assert.deepEqual(countsOf(await mirroring.follow(), 'item'), { ...none, inserted: 1 });
  },
  fromPostgres,
);

testPairs(
  'a serializable transaction that fails and is done again',
  async (mirroring) => {
    await mirrored(mirroring);
    await using one = await Session.open(mirroring.source.address);
    await using other = await Session.open(mirroring.source.address);
    for (const session of [one, other]) {
      await session.begin('SERIALIZABLE');
      await session.sql('SELECT count(*) FROM item');
    }
    await one.sql("INSERT INTO item VALUES (401, 'one')");
    await other.sql("INSERT INTO item VALUES (402, 'other')");
    await one.sql('COMMIT');
    await mirroring.follow();
    await assert.rejects(other.sql('COMMIT'), { code: '40001' });
    assert.deepEqual(countsOf(await mirroring.follow(), 'item'), none);
    await other.sql("BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO item VALUES (402, 'other, again'); COMMIT");
    assert.deepEqual(countsOf(await mirroring.follow(), 'item'), { ...none, inserted: 1 });
  },
  fromPostgres,
);

testPairs(
  'transactions over several tables, half of them late',
  async (mirroring) => {
    await mirroring.source.sql(
      `CREATE TABLE left_side (id int PRIMARY KEY, n int); CREATE TABLE right_side (id int PRIMARY KEY, n int);
       INSERT INTO left_side SELECT i, 0 FROM generate_series(1, 20) i; INSERT INTO right_side SELECT * FROM left_side`,
    );
    await mirroring.follow();
    await using early = await Session.open(mirroring.source.address);
    await early.begin();
    await early.sql('UPDATE left_side SET n = n + 1 WHERE id <= 5');
    await mirroring.source.sql('UPDATE right_side SET n = n + 10 WHERE id > 5');
    await mirroring.follow();
    await early.sql('UPDATE right_side SET n = n - 1 WHERE id <= 5');
    await mirroring.follow();
    await early.sql('COMMIT');
    const cycle = await mirroring.follow();
    assert.deepEqual(countsOf(cycle, 'left_side'), { ...none, updated: 5 });
    assert.deepEqual(countsOf(cycle, 'right_side'), { ...none, updated: 5 });
  },
  fromPostgres,
);
