import assert from 'node:assert/strict';
import { copiedIn, countsOf, fromPostgres, testPairs } from './mirroring.ts';

const YEARS = `CREATE TABLE p (id int, year int, v text, PRIMARY KEY (id, year)) PARTITION BY RANGE (year);
  CREATE TABLE p2023 PARTITION OF p FOR VALUES FROM (2023) TO (2024); CREATE TABLE p2024 PARTITION OF p FOR VALUES FROM (2024) TO (2025);
  INSERT INTO p SELECT i, 2023 + i % 2, 'row ' || i FROM generate_series(1, 20) i;`;

testPairs(
  'writes through the root and to partitions, and rows that move between them',
  async (m) => {
    await m.source.sql(YEARS);
    await m.follow();
    await m.source.sql(`INSERT INTO p VALUES (100, 2023, 'root'); INSERT INTO p2024 VALUES (101, 2024, 'leaf'); UPDATE p2023 SET v = 'leaf' WHERE id = 2; DELETE FROM p2024 WHERE id = 3;
    UPDATE p SET year = 2024 WHERE id = 4`);
    const cycle = await m.follow();
    assert.deepEqual(copiedIn(cycle), []);
    assert.deepEqual(countsOf(cycle, 'p'), { inserted: 3, updated: 1, deleted: 2 });
  },
  fromPostgres,
);

testPairs(
  'TRUNCATE of one partition',
  async (m) => {
    await m.source.sql(YEARS);
    await m.follow();
    await m.source.sql('TRUNCATE p2023');
    await m.follow();
    await m.source.sql(`INSERT INTO p VALUES (1, 2023, 'again'); TRUNCATE p; INSERT INTO p VALUES (2, 2023, 'last')`);
    await m.follow();
  },
  fromPostgres,
);

testPairs(
  'partitions that are new, attached with rows, detached and dropped',
  async (m) => {
    await m.source.sql(YEARS);
    await m.follow();
    await m.source.sql(`CREATE TABLE p2025 PARTITION OF p FOR VALUES FROM (2025) TO (2026); INSERT INTO p VALUES (1, 2025, 'written before we looked');
    CREATE TABLE p2026 (LIKE p INCLUDING ALL); INSERT INTO p2026 VALUES (1, 2026, 'there before'); ALTER TABLE p ATTACH PARTITION p2026 FOR VALUES FROM (2026) TO (2027)`);
    assert.deepEqual(copiedIn(await m.follow()), []);
    await m.source.sql(`UPDATE p2026 SET v = 'tracked now'; INSERT INTO p2025 VALUES (2, 2025, 'direct')`);
    assert.deepEqual(copiedIn(await m.follow()), []);
    await m.source.sql('ALTER TABLE p DETACH PARTITION p2023');
    await m.follow();
    await m.source.sql(`UPDATE p2023 SET v = 'alone'; DROP TABLE p2024`);
    await m.follow();
    await m.source.sql('ALTER TABLE p ATTACH PARTITION p2023 FOR VALUES FROM (2023) TO (2024)');
    await m.follow();
  },
  fromPostgres,
);

testPairs(
  'a mirrored table that becomes a partition, with what was written to it since',
  async (m) => {
    await m.source.sql(
      `${YEARS} CREATE TABLE p2030 (LIKE p INCLUDING ALL); INSERT INTO p2030 VALUES (1, 2030, 'first'), (2, 2030, 'second')`,
    );
    await m.follow();
    await m.source.sql(
      `DELETE FROM p2030 WHERE id = 2; ALTER TABLE p ATTACH PARTITION p2030 FOR VALUES FROM (2030) TO (2031); INSERT INTO p2030 VALUES (3, 2030, 'third')`,
    );
    await m.follow();
    await m.source.sql(`UPDATE p2030 SET v = 'fourth' WHERE id = 3`);
    await m.follow();
  },
  fromPostgres,
);

testPairs(
  'partitions of partitions, by list and by hash, and a default one',
  async (m) => {
    await m.source.sql(`CREATE TABLE p (region text, id int, v text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
    CREATE TABLE p_no PARTITION OF p FOR VALUES IN ('no') PARTITION BY HASH (id); CREATE TABLE p_no_0 PARTITION OF p_no FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE p_no_1 PARTITION OF p_no FOR VALUES WITH (MODULUS 2, REMAINDER 1); CREATE TABLE p_rest PARTITION OF p DEFAULT;
    INSERT INTO p SELECT CASE WHEN i % 3 = 0 THEN 'no' ELSE 'r' || i END, i, 'v' FROM generate_series(1, 30) i`);
    await m.follow();
    await m.source.sql(
      `UPDATE p_no SET v = 'middle'; UPDATE p_no_0 SET v = 'leaf'; UPDATE p SET region = 'no' WHERE id = 1; DELETE FROM p_rest WHERE id = 2; TRUNCATE p_no_1`,
    );
    assert.deepEqual(copiedIn(await m.follow()), []);
  },
  fromPostgres,
);

testPairs(
  'a partitioned table without a key, with columns in another order in a partition',
  async (m) => {
    await m.source.sql(`CREATE TABLE p (a int, b text) PARTITION BY RANGE (a); CREATE TABLE p1 (b text, gone int, a int); ALTER TABLE p1 DROP COLUMN gone;
    ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (100); INSERT INTO p VALUES (1, 'x'), (1, 'x'), (2, NULL)`);
    await m.follow();
    await m.source.sql(`INSERT INTO p1 (a, b) VALUES (1, 'x'); DELETE FROM p WHERE a = 2`);
    await m.follow();
  },
  fromPostgres,
);

testPairs(
  'a keyed partition with columns in another order',
  async (m) => {
    await m.source.sql(`CREATE TABLE p (id int, b text, PRIMARY KEY (id)) PARTITION BY RANGE (id); CREATE TABLE p1 (b text, gone int, id int NOT NULL); ALTER TABLE p1 DROP COLUMN gone;
    ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (100); INSERT INTO p VALUES (1, 'x'), (2, NULL)`);
    await m.follow();
    await m.source.sql(
      `INSERT INTO p1 (id, b) VALUES (3, 'y'); UPDATE p SET b = 'z' WHERE id = 2; DELETE FROM p1 WHERE id = 1`,
    );
    assert.deepEqual(copiedIn(await m.follow()), []);
  },
  fromPostgres,
);

testPairs(
  'inheritance: a parent holds its own rows, and each child is a table',
  async (m) => {
    await m.source.sql(`CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE child (extra int, PRIMARY KEY (id)) INHERITS (parent);
    INSERT INTO parent VALUES (1, 'p'), (2, 'p'); INSERT INTO child VALUES (1, 'c', 5), (3, 'c', 6)`);
    await m.follow();
    await m.source.sql(
      `UPDATE parent SET v = 'both' WHERE id = 1; DELETE FROM parent WHERE id = 3; INSERT INTO child VALUES (9, 'new', 9)`,
    );
    const cycle = await m.follow();
    assert.deepEqual(countsOf(cycle, 'parent'), { inserted: 0, updated: 1, deleted: 0 });
    assert.deepEqual(countsOf(cycle, 'child'), { inserted: 1, updated: 1, deleted: 1 });
    await m.source.sql(`CREATE TABLE late () INHERITS (parent); INSERT INTO late VALUES (50, 'late'); TRUNCATE parent`);
    await m.follow();
  },
  fromPostgres,
);

testPairs(
  'a table that gets its first heir after it was tracked',
  async (m) => {
    await m.source.sql(`CREATE TABLE parent (id int PRIMARY KEY, v text); INSERT INTO parent VALUES (1, 'p')`);
    await m.follow();
    await m.source.sql(
      `CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (parent); INSERT INTO heir VALUES (7, 'h'); UPDATE parent SET v = 'changed'`,
    );
    await m.follow();
    await m.source.sql(
      `UPDATE parent SET v = 'again'; ALTER TABLE heir NO INHERIT parent; UPDATE parent SET v = 'alone'`,
    );
    await m.follow();
  },
  fromPostgres,
);
