import assert from 'node:assert/strict';
import type { PostgresVersion } from '../support/postgres-server.ts';
import { copiedIn, countsOf, type Pair, tableOf, testPairs } from './mirroring.ts';

const VERSIONS: readonly PostgresVersion[] = [13, 14, 15, 16, 17];

const same = (version: PostgresVersion): Pair => ({
  name: `postgres ${version}`,
  source: 'postgres',
  mirror: 'postgres',
  versions: { source: version, mirror: version },
});

testPairs(
  'first copy, catching up and a change of schema',
  async (m) => {
    await m.source.sql(`CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10, 2)); INSERT INTO t SELECT i, 'row ' || i, i / 3.0 FROM generate_series(1, 3000) i; CREATE TABLE keyless (a int); INSERT INTO keyless VALUES (1), (1);
    CREATE TABLE p (id int, y int, PRIMARY KEY (id, y)) PARTITION BY RANGE (y); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20); INSERT INTO p SELECT i, i FROM generate_series(1, 19) i`);
    await m.follow({ batchBytes: 20_000 });
    await m.source.sql(
      `UPDATE t SET v = 'changed' WHERE id % 3 = 0; DELETE FROM t WHERE id % 3 = 1; INSERT INTO t VALUES (9999, NULL, 'NaN'); INSERT INTO keyless VALUES (1); UPDATE p SET y = 15 WHERE y = 5; TRUNCATE p1`,
    );
    const caughtUp = await m.follow({ batchBytes: 20_000 });
    assert.deepEqual(countsOf(caughtUp, 't'), { inserted: 1, updated: 1000, deleted: 1000 });
    assert.deepEqual(copiedIn(caughtUp), []);
    await m.source.sql(
      `ALTER TABLE t ADD late text DEFAULT 'late', DROP COLUMN n; ALTER TABLE t RENAME v TO w; ALTER TABLE keyless ADD id serial PRIMARY KEY; INSERT INTO t VALUES (10000, 'new', 'x')`,
    );
    const changed = await m.follow();
    assert.equal(tableOf(changed, 't').schemaChange, 'altered');
    assert.equal(tableOf(changed, 'keyless').schemaChange, 'recreated');
    await m.source.sql(
      `ALTER TABLE t ALTER COLUMN w TYPE varchar(50), ALTER COLUMN late DROP DEFAULT, ALTER COLUMN late TYPE int USING length(late); INSERT INTO t VALUES (10001, 'y', 1)`,
    );
    assert.deepEqual(copiedIn(await m.follow()), ['t']);
  },
  VERSIONS.map(same),
);
