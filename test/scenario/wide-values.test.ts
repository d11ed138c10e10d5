import assert from 'node:assert/strict';
import { fromPostgres, testPairs } from '../conformance/mirroring.ts';
import { cycleInLittleMemory } from './memory.ts';

testPairs(
  'values of 1 MB that are stored aside, in a table with a key and one without',
  async (mirroring) => {
    await mirroring.source.sql(
      `CREATE TABLE wide (id int PRIMARY KEY, text text); CREATE TABLE wide_keyless (id int, text text);
       ALTER TABLE wide ALTER text SET STORAGE EXTERNAL; ALTER TABLE wide_keyless ALTER text SET STORAGE EXTERNAL;
       INSERT INTO wide SELECT i, repeat('x', 1000000) FROM generate_series(1, 100) i;
       INSERT INTO wide_keyless SELECT * FROM wide`,
    );
    await cycleInLittleMemory(mirroring);
    await mirroring.source.sql('INSERT INTO wide_keyless VALUES (0); UPDATE wide SET id = -id');
    await cycleInLittleMemory(mirroring);
    assert.equal(Number(await mirroring.mirror.value('SELECT count(*) FROM wide_keyless')), 101);
  },
  fromPostgres.slice(0, 1),
);
