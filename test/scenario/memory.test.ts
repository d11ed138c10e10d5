import assert from 'node:assert/strict';
import { pairs, testPairs } from '../conformance/mirroring.ts';
import { cycleInLittleMemory } from './memory.ts';

/** Rows of 1 kB: 300 MB in PostgreSQL, 100 MB in SQLite, which takes longer to write so much than to mirror it. */
const LARGE = {
  postgres: `CREATE TABLE large (id int PRIMARY KEY, text text); ALTER TABLE large ALTER text SET STORAGE PLAIN;
    INSERT INTO large SELECT i, repeat(md5(i::text), 31) FROM generate_series(1, 300000) i`,
  sqlite: `CREATE TABLE large (id INTEGER PRIMARY KEY, text TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
    INSERT INTO large SELECT i, printf('%0992x', i) FROM n`,
};

const ends = pairs.filter(({ source, mirror }) => source === mirror);

testPairs(
  'a first copy of 300 MB, then 50 MB of changes in one transaction',
  async (mirroring) => {
    await mirroring.source.sql(LARGE);
    await cycleInLittleMemory(mirroring);
    await mirroring.source.sql("UPDATE large SET text = text || 'x' WHERE id <= 50000");
    await cycleInLittleMemory(mirroring);
    const rows = Number(await mirroring.source.value('SELECT count(*) FROM large'));
    assert.equal(Number(await mirroring.mirror.value('SELECT sum(length(text)) FROM large')), rows * 992 + 50_000);
  },
  ends,
);
