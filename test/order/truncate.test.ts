import assert from 'node:assert/strict';
import { copiedIn, countsOf, fromPostgres, type Mirroring, testPairs } from '../conformance/mirroring.ts';
import { composedTask, type TaskPoint } from '../support/composed-task.ts';
import { Session } from './sessions.ts';

const TABLE = `CREATE TABLE item (id int PRIMARY KEY, note text);
  INSERT INTO item SELECT i, repeat('x', 200) FROM generate_series(1, 1000) i`;

async function cycleAt({ source, mirror }: Mirroring, at: TaskPoint, work: () => Promise<unknown>): Promise<void> {
  let waiting = true;
  const reach = async (point: TaskPoint): Promise<void> => {
    if (point !== at || !waiting) return;
    waiting = false;
    await work();
  };
  const report = await composedTask({ source: source.address, mirror: mirror.address, reach, batchBytes: 20_000 });
  assert.equal(report.status, 'completed', JSON.stringify(report));
  assert.equal(waiting, false, `${at} was not reached`);
}

const MOMENTS: readonly TaskPoint[] = [
  'before enableTracking',
  'before tableSchema',
  'after copyStart',
  'after wipe',
  'chunk of copy',
  'before openSnapshot',
  'after openSnapshot',
  'before replicationCompleted',
];

testPairs(
  'TRUNCATE at each moment of a first copy, with new rows under old keys',
  async (mirroring) => {
    const { source } = mirroring;
    await source.sql(TABLE);
    for (const moment of MOMENTS) {
      await cycleAt(mirroring, moment, () =>
        source.sql(`TRUNCATE item; INSERT INTO item SELECT i, '${moment}' FROM generate_series(500, 1500) i`),
      );
      await mirroring.follow();
      await mirroring.mirror.sql("UPDATE speil_mirroring SET lsn = -1 WHERE table_name = 'item'");
    }
  },
  fromPostgres,
);

testPairs(
  'TRUNCATE at each moment of a catch-up',
  async (mirroring) => {
    const { source } = mirroring;
    await source.sql(TABLE);
    await mirroring.follow();
    const moments = MOMENTS.filter((moment) => !/copy|wipe|after openSnapshot/.test(moment));
    for (const moment of moments) {
      await source.sql(`UPDATE item SET note = 'before ${moment}' WHERE id % 7 = 0`);
      await cycleAt(mirroring, moment, () =>
        source.sql(`TRUNCATE item; INSERT INTO item SELECT i, '${moment}' FROM generate_series(1, 1000) i`),
      );
      const cycle = await mirroring.follow();
      assert.deepEqual(copiedIn(cycle), []);
    }
  },
  fromPostgres,
);

testPairs(
  'a TRUNCATE that waits for the snapshot comes after it, one that is older comes before',
  async (mirroring) => {
    const { source } = mirroring;
    await source.sql(TABLE);
    await mirroring.follow();
    await using writer = await Session.open(source.address);
    await using observer = await Session.open(source.address);
    await source.sql("UPDATE item SET note = 'changed' WHERE id <= 10");
    let truncated: Promise<unknown> = Promise.resolve();
    await cycleAt(mirroring, 'after openSnapshot', async () => {
      truncated = writer.sql('TRUNCATE item');
      await observer.untilOthersWait();
    });
    await truncated;
    assert.equal(await mirroring.mirror.value("SELECT count(*) FROM item WHERE note = 'changed'").then(Number), 10);
    assert.equal(countsOf(await mirroring.follow(), 'item').deleted, 1000);
    await source.sql("INSERT INTO item SELECT i, 'again' FROM generate_series(1, 30) i");
    await mirroring.follow();
    await source.sql("UPDATE item SET note = 'to be looked at' WHERE id = 1");
    let committed: Promise<unknown> = Promise.resolve();
    await cycleAt(mirroring, 'before openSnapshot', async () => {
      await writer.sql("BEGIN; TRUNCATE item; INSERT INTO item VALUES (7, 'after TRUNCATE')");
      committed = observer.untilOthersWait().then(() => writer.sql('COMMIT'));
    });
    await committed;
    await mirroring.follow();
  },
  fromPostgres,
);

testPairs(
  'a TRUNCATE that is rolled back, to a savepoint or whole, changes nothing',
  async (mirroring) => {
    const { source } = mirroring;
    await source.sql(TABLE);
    await mirroring.follow();
    await source.sql('BEGIN; TRUNCATE item; ROLLBACK');
    await mirroring.follow();
    await source.sql(
      "BEGIN; SAVEPOINT a; TRUNCATE item; ROLLBACK TO a; UPDATE item SET note = 'kept' WHERE id = 1; COMMIT",
    );
    const cycle = await mirroring.follow();
    assert.deepEqual(countsOf(cycle, 'item'), { inserted: 0, updated: 1, deleted: 0 });
    assert.deepEqual(copiedIn(cycle), []);
  },
  fromPostgres,
);

testPairs(
  'TRUNCATE of several tables at once, one of them without a key, in a transaction that commits late',
  async (mirroring) => {
    const { source } = mirroring;
    await source.sql(
      `${TABLE}; CREATE TABLE line (item int REFERENCES item, n int); INSERT INTO line SELECT i, i FROM generate_series(1, 100) i`,
    );
    await mirroring.follow();
    await using session = await Session.open(source.address);
    await source.sql("UPDATE item SET note = 'y' WHERE id = 1");
    await mirroring.follow();
    await session.sql(
      "BEGIN; TRUNCATE item CASCADE; INSERT INTO item VALUES (1, 'new'); INSERT INTO line VALUES (1, 1), (1, 1)",
    );
    await session.sql('COMMIT');
    await mirroring.follow();
  },
  fromPostgres,
);
