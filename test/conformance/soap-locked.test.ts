import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Session } from '../order/sessions.ts';
import { BothEnds } from '../support/soap-both-ends.ts';

const ITEMS = 'SELECT * FROM item ORDER BY id';

const ONCE = { schedule: { kind: 'once', retriesMax: 0 } } as const;

suite('locks, which take their time', { concurrency: true }, () => {
  test('PostgreSQL: a table that cannot be read now fails the cycle, which would drop it at the mirror', async () => {
    await using ends = await BothEnds.open(
      'postgres',
      `CREATE TABLE item (id int PRIMARY KEY, note text DEFAULT 'none'); INSERT INTO item VALUES (1, 'a');
     CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1)`,
    );
    await ends.cycle();
    await using session = await Session.open(ends.source.address);
    await session.sql('INSERT INTO other VALUES (2); BEGIN; LOCK TABLE item IN ACCESS EXCLUSIVE MODE');
    await assert.rejects(ends.run(ONCE), {
      code: 'LOCK_TIMEOUT',
      recovery: 'retry',
      message: /item cannot be read now.*contract would drop it at the mirror/,
    });
    assert.equal((await ends.service.query('SELECT * FROM other')).length, 1, 'nothing was sent');
    await session.sql('ROLLBACK');
    assert.deepEqual(await ends.cycle(), []);
    await ends.same(ITEMS, 'SELECT * FROM other ORDER BY id');
  });

  test('PostgreSQL: a table that can be read and not be tracked fails alone', async () => {
    await using ends = await BothEnds.open(
      'postgres',
      "CREATE TABLE item (id int PRIMARY KEY, note text); INSERT INTO item VALUES (1, 'a')",
    );
    await ends.cycle();
    await ends.source.sql("UPDATE item SET note = 'b'; CREATE TABLE late (id int PRIMARY KEY)");
    await using session = await Session.open(ends.source.address);
    await session.sql('BEGIN; INSERT INTO late VALUES (1)');
    const { report } = await ends.run(ONCE);
    assert.deepEqual(report.tables.map(({ table, error }) => [table, error?.code]).toSorted(), [
      ['item', undefined],
      ['late', 'LOCK_TIMEOUT'],
    ]);
    await ends.same(ITEMS);
    await session.sql('COMMIT');
    assert.deepEqual(await ends.cycle(), ['late']);
    await ends.same('SELECT * FROM late');
  });
});
