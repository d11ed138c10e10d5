import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { status } from '../../src/mirror.ts';
import { openMirror, thisProcess } from '../../src/open.ts';
import { assertSameRows } from '../support/dump.ts';
import { found, PAIRS, Pair, series, verdictOf } from './verify-fixture.ts';

const TABLES = `
  CREATE TABLE t (id integer PRIMARY KEY, name text, amount numeric);
  INSERT INTO t SELECT i, 'name ' || i, i * 0.5 FROM ${series(2500)};
  CREATE TABLE "Line Item" ("pos %" text, what text, "order" integer, PRIMARY KEY ("order", "pos %"));
  INSERT INTO "Line Item" SELECT 'p	' || (i % 3), 'æøå ' || i, i / 3 FROM ${series(900)};
  CREATE TABLE tag (person integer, label text);
  INSERT INTO tag SELECT i % 50, 'label ' || (i % 7) FROM ${series(100)};`;

describe('verify --repair', { concurrency: 2 }, () => {
  for (const kinds of PAIRS) {
    test(`${kinds[0]} to ${kinds[1]}: the rows that differ are repaired and named, at the same position`, async () => {
      using pair = await Pair.open(kinds);
      await pair.source.run(TABLES);
      await pair.cycle();
      const before = await status(pair.mirror.address);
      await pair.source.run(
        'UPDATE t SET amount = 7 WHERE id = 4; DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (9000, NULL, 1)',
      );
      await pair.mirror.run(`UPDATE t SET name = 'name' WHERE id = 7; DELETE FROM t WHERE id > 2400 OR id = 4; INSERT INTO t VALUES (-1, '', 0);
      UPDATE "Line Item" SET "order" = 7777 WHERE what = 'æøå 4'; DELETE FROM tag WHERE person = 1`);
      const report = await pair.verify({ repair: true });
      assert.equal(report.identical, false);
      const t = verdictOf(report, 't');
      assert.deepEqual([t.differenceCount, t.repaired, t.pending, t.error], [102, 102, 3, undefined]);
      assert.deepEqual(
        t.differences.slice(0, 4).map(({ key, kind }) => `${key} ${kind}`),
        ['7 different', '-1 extra', '2401 missing', '2402 missing'],
      );
      assert.deepEqual(found(report)['Line Item']?.toSorted(), ['(1, p	1) missing', '(7777, p	1) extra']);
      assert.equal(verdictOf(report, 'Line Item').repaired, 2);
      assert.equal(verdictOf(report, 'tag').repaired, 0);
      assert.match(verdictOf(report, 'tag').note ?? '', /next cycle copies it again/);
      const after = await status(pair.mirror.address);
      assert.deepEqual(lsns(after), { ...lsns(before), tag: null });
      const again = await pair.verify({ repair: true });
      assert.deepEqual(
        again.tables.map(({ table, differenceCount, pending }) => [table, differenceCount, pending]).sort(),
        [
          ['Line Item', 0, 0],
          ['t', 0, 3],
          ['tag', 0, 0],
        ],
      );
      await pair.cycle();
      assert.equal((await pair.verify()).identical, true);
      await assertSameRows(pair.source.address, pair.mirror.address);
      const rows = (await status(pair.mirror.address)).tables.map((table) => [table.table, table.rows]);
      assert.deepEqual(rows.sort(), [
        ['Line Item', 900],
        ['t', 2500],
        ['tag', 100],
      ]);
    });
  }

  type Status = Awaited<ReturnType<typeof status>>;
  const lsns = ({ tables }: Status) => Object.fromEntries(tables.map(({ table, lsn }) => [table, lsn]));

  for (const kinds of [
    ['postgres18', 'postgres18'],
    ['postgres18', 'sqlite'],
    ['sqlite', 'postgres18'],
  ] as const) {
    test(`${kinds[0]} to ${kinds[1]}: a table that was emptied behind our back is filled again`, async () => {
      using pair = await Pair.open(kinds);
      await pair.source.run(
        `CREATE TABLE t (id integer PRIMARY KEY, name text); INSERT INTO t SELECT i, 'name ' || i FROM ${series(30_000)}`,
      );
      await pair.cycle();
      await pair.mirror.run('DELETE FROM t');
      const verdict = verdictOf(await pair.verify({ repair: true }), 't');
      assert.deepEqual([verdict.differenceCount, verdict.repaired], [30_000, 30_000]);
      assert.equal((await pair.verify()).identical, true);
      await assertSameRows(pair.source.address, pair.mirror.address);
    });
  }

  test('keys that the mirror spells in another way are the same keys', async () => {
    using pair = await Pair.open(['postgres18', 'postgres18']);
    await pair.source.run(
      'CREATE TABLE t (k numeric PRIMARY KEY, v text); INSERT INTO t VALUES (1.0, 1), (2.0, 2), (3.0, 3)',
    );
    await pair.cycle();
    await pair.source.run('UPDATE t SET k = 1.00 WHERE k = 1');
    await pair.mirror.run(`UPDATE t SET k = 2.00 WHERE k = 2`);
    const report = await pair.verify({ repair: true });
    const verdict = verdictOf(report, 't');
    assert.deepEqual([verdict.pending, found(report)['t'], verdict.repaired], [1, ['2.0 missing', '2.00 extra'], 2]);
    await pair.cycle();
    assert.equal((await pair.verify()).identical, true);
    await assertSameRows(pair.source.address, pair.mirror.address);
  });

  test('what cannot be repaired is reported with its error, and the other tables are repaired', async () => {
    using pair = await Pair.open(['postgres18', 'postgres18']);
    await pair.source.run(`CREATE TABLE t (id integer PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'a'), (2, 'b');
    CREATE TABLE u (id integer PRIMARY KEY, name text); INSERT INTO u VALUES (1, 'a')`);
    await pair.cycle();
    await pair.mirror.run(`UPDATE t SET name = 'B' WHERE id = 2; ALTER TABLE t ADD CHECK (name <> 'b'); DELETE FROM u`);
    const report = await pair.verify({ repair: true });
    const t = verdictOf(report, 't');
    assert.deepEqual([t.differenceCount, t.repaired, t.error?.code], [1, 0, 'KEY_VIOLATED']);
    assert.equal(verdictOf(report, 'u').repaired, 1);
  });

  for (const kind of ['postgres18', 'sqlite'] as const) {
    test(`a mirror in ${kind} that a task holds is not repaired, but compared`, async () => {
      using pair = await Pair.open(['sqlite', kind]);
      await pair.source.run('CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)');
      await pair.cycle();
      await using task = await openMirror(pair.mirror.address, { tenant: 'speil' });
      await using _held = await task.hold(thisProcess());
      await assert.rejects(pair.verify({ repair: true }), { code: 'MIRROR_BUSY' });
      assert.equal((await pair.verify()).identical, true);
    });
  }
});
