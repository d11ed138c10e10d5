import assert from 'node:assert/strict';
import { status } from '../../src/mirror.ts';
import { countsOf, fromPostgres, type Mirroring, testPairs } from '../conformance/mirroring.ts';
import { composedTask, type TaskPoint } from '../support/composed-task.ts';
import { Session } from './sessions.ts';

/** One cycle in which something is done the first times that a point is reached. */
async function cycleWith(
  { source, mirror }: Mirroring,
  script: Partial<Record<TaskPoint, readonly (() => Promise<unknown>)[]>>,
  batchBytes = 20_000,
): Promise<void> {
  const left = new Map(Object.entries(script).map(([point, steps]) => [point, [...steps]]));
  const reach = async (point: TaskPoint): Promise<void> => {
    await left.get(point)?.shift()?.();
  };
  const report = await composedTask({ source: source.address, mirror: mirror.address, reach, batchBytes });
  assert.equal(report.status, 'completed', JSON.stringify(report));
  const missed = [...left].filter(([, steps]) => steps.length > 0).map(([point]) => point);
  assert.deepEqual(missed, [], 'points that the cycle did not reach');
}

/** Rows of about 200 bytes: ten heap pages or more, and several batches. */
const TABLE = {
  postgres: `CREATE TABLE item (id int PRIMARY KEY, note text);
    INSERT INTO item SELECT i, repeat(chr(65 + i % 26), 200) FROM generate_series(1, 2000) i`,
  sqlite: `CREATE TABLE item (id INTEGER PRIMARY KEY, note TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
    INSERT INTO item SELECT i, printf('%.*c', 200, char(65 + i % 26)) FROM n`,
};

testPairs('rows that are written, moved and deleted between the chunks of a first copy', async (mirroring) => {
  const { source } = mirroring;
  await source.sql(TABLE);
  const write = (sql: string) => () => source.sql(sql);
  await cycleWith(mirroring, {
    'after copyStart': [write("UPDATE item SET note = 'before the first chunk' WHERE id % 100 = 0")],
    'chunk of copy': [
      write("UPDATE item SET note = 'behind the cursor' WHERE id <= 10; DELETE FROM item WHERE id BETWEEN 11 AND 20"),
      write('UPDATE item SET id = id + 10000 WHERE id BETWEEN 21 AND 30'),
      write('UPDATE item SET id = id - 10000 WHERE id BETWEEN 10021 AND 10025'),
      write("UPDATE item SET id = -id, note = 'from the end to the start' WHERE id BETWEEN 1990 AND 2000"),
      write("DELETE FROM item WHERE id > 1900; INSERT INTO item VALUES (11, 'again'), (3000, 'new')"),
    ],
    'before openSnapshot': [write("INSERT INTO item VALUES (3001, 'after the copy'); DELETE FROM item WHERE id = 1")],
    'after openSnapshot': [write("INSERT INTO item VALUES (3002, 'after the snapshot')")],
  });
  assert.equal(await mirroring.mirror.value('SELECT count(*) FROM item WHERE id = 3002').then(Number), 0);
  await mirroring.follow();
  const [item] = (await status(mirroring.mirror.address)).tables;
  assert.equal(
    item?.rows,
    Number(await mirroring.source.value('SELECT count(*) FROM item')),
    'rows that came twice count once',
  );
});

testPairs(
  'a long transaction across the first copy, committed at each of its moments',
  async (mirroring) => {
    const { source } = mirroring;
    await source.sql(TABLE);
    await source.sql('CREATE TABLE other (id int PRIMARY KEY)');
    await mirroring.follow();
    const moments: readonly TaskPoint[] = [
      'after copyStart',
      'chunk of copy',
      'before openSnapshot',
      'after openSnapshot',
    ];
    for (const [at, moment] of moments.entries()) {
      await using long = await Session.open(source.address);
      await long.begin();
      await long.sql(
        `UPDATE item SET note = '${moment}' WHERE id % 10 = ${at}; DELETE FROM item WHERE id % 97 = ${at};
         INSERT INTO item VALUES (${20_000 + at}, 'long')`,
      );
      await mirroring.mirror.sql("UPDATE speil_mirroring SET lsn = -1 WHERE table_name = 'item'");
      await cycleWith(mirroring, { [moment]: [() => long.sql('COMMIT')] });
      if (moment !== 'after openSnapshot') await mirroring.same();
      await mirroring.follow();
    }
  },
  fromPostgres,
);

testPairs(
  'a first copy with a transaction that is open before it and after it',
  async (mirroring) => {
    const { source } = mirroring;
    await source.sql('CREATE TABLE other (id int PRIMARY KEY)');
    await mirroring.follow();
    await source.sql(TABLE);
    await using long = await Session.open(source.address);
    await long.begin();
    await long.sql('INSERT INTO other VALUES (1)');
    await mirroring.follow();
    await long.sql("UPDATE item SET note = 'long'; COMMIT");
    await mirroring.follow();
  },
  fromPostgres,
);

testPairs(
  'VACUUM FULL and CLUSTER in the middle of a first copy',
  async (mirroring) => {
    const { source } = mirroring;
    await source.sql(TABLE);
    await cycleWith(mirroring, {
      'chunk of copy': [
        () => source.sql('DELETE FROM item WHERE id % 3 = 0'),
        () => source.sql('VACUUM FULL item'),
        () => source.sql('CLUSTER item USING item_pkey'),
      ],
    });
    await mirroring.follow();
  },
  fromPostgres,
);

testPairs('keys that are exchanged between the chunks of a first copy', async (mirroring) => {
  const { source } = mirroring;
  await source.sql(TABLE);
  const swap = () =>
    source.sql('UPDATE item SET id = CASE WHEN id > 0 THEN -id ELSE 2001 + id END WHERE id IN (1, 2, 3, 1998, 1999)');
  await cycleWith(mirroring, { 'chunk of copy': [swap, swap, swap] });
  await mirroring.follow();
});

testPairs(
  'a transaction that was open before tracking was set up: the first copy counts all the same',
  async (mirroring) => {
    await mirroring.source.sql(
      "CREATE TABLE item (id int PRIMARY KEY, note text); INSERT INTO item VALUES (1, 'first')",
    );
    await using older = await Session.open(mirroring.source.address);
    await older.begin();
    await mirroring.follow();
    await mirroring.source.sql("INSERT INTO item VALUES (2, 'second')");
    const next = await mirroring.follow();
    assert.deepEqual(countsOf(next, 'item'), { inserted: 1, updated: 0, deleted: 0 });
    assert.equal(next.report.tables.find(({ table }) => table === 'item')?.repopulated, undefined);
    await older.sql('COMMIT');
  },
  fromPostgres,
);
