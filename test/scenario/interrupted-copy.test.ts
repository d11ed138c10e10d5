import assert from 'node:assert/strict';
import { copiedIn, countsOf, fromPostgres, testPairs } from '../conformance/mirroring.ts';
import { runChild } from '../crash/crash.ts';
import { bigTable } from './resume.ts';

testPairs('a copy that is killed again and again comes to its end', async (mirroring) => {
  await mirroring.source.sql(bigTable(12_000));
  const addresses = { source: mirroring.source.address, mirror: mirroring.mirror.address };
  const kill = { ...addresses, point: 'chunk of copy', occurrence: 5, batchBytes: 30_000, cyclesMax: 1 } as const;
  let kills = 0;
  while (await runChild(kill)) assert.ok(++kills < 10, 'the copy does not get on');
  assert.ok(kills >= 2, `it was killed ${kills} times only`);
  await mirroring.same();
});

testPairs(
  'a table that is dropped and made again while its copy is interrupted is copied from the start',
  async (mirroring) => {
    const { source, mirror } = mirroring;
    await source.sql(bigTable(20_000));
    const addresses = { source: source.address, mirror: mirror.address };
    assert.ok(
      await runChild({ ...addresses, point: 'chunk of copy', occurrence: 8, batchBytes: 40_000, cyclesMax: 1 }),
    );
    await source.sql('DROP TABLE big');
    await source.sql(bigTable(1000));
    const cycle = await mirroring.follow();
    assert.deepEqual(copiedIn(cycle), ['big']);
    assert.equal(countsOf(cycle, 'big').inserted, 1000);
  },
);

testPairs(
  'a copy without a key is killed between two batches of one range of blocks: no row is missing and none comes twice',
  async (mirroring) => {
    const { source, mirror } = mirroring;
    await source.sql(
      `CREATE TABLE big (id int, text text); ALTER TABLE big ALTER text SET STORAGE EXTERNAL;
       INSERT INTO big SELECT i % 50, repeat('x', 20000) FROM generate_series(1, 400) i`,
    );
    const kill = {
      source: source.address,
      mirror: mirror.address,
      point: 'chunk of copy',
      batchBytes: 90_000,
    } as const;
    for (const occurrence of [3, 11, 23]) assert.ok(await runChild({ ...kill, occurrence, cyclesMax: 1 }));
    const { events } = await mirroring.follow();
    const started = events.find((event) => event.event === 'copy-started');
    assert.ok(started !== undefined && started.resumedAtRows >= 100, `the copy went on at ${started?.resumedAtRows}`);
  },
  fromPostgres,
);
