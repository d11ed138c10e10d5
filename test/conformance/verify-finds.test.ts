import assert from 'node:assert/strict';
import { test } from 'node:test';
import { found, PAIRS, Pair, series, verdictOf } from './verify-fixture.ts';

const PEOPLE = `
  CREATE TABLE person (id integer PRIMARY KEY, name text, note text, amount numeric);
  INSERT INTO person SELECT i, 'name ' || i, CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'note' || i END, i * 1.5 FROM ${series(3000)};
  CREATE TABLE "Line Item" ("order" integer, "pos %" text, what text, PRIMARY KEY ("order", "pos %"));
  INSERT INTO "Line Item" SELECT i / 3, 'p	' || (i % 3), 'æøå ' || i FROM ${series(900)};
  CREATE TABLE tag (person integer, label text);
  INSERT INTO tag SELECT i % 50, 'label ' || (i % 7) FROM ${series(700)};
  CREATE TABLE hollow (id integer PRIMARY KEY);`;

for (const kinds of PAIRS) {
  const [source, mirror] = kinds;
  test(`${source} to ${mirror}: equal is equal, and every kind of difference is found`, async () => {
    using pair = await Pair.open(kinds);
    await pair.source.run(PEOPLE);
    await pair.cycle();
    const before = await pair.verify();
    assert.equal(before.identical, true, JSON.stringify(before));
    assert.deepEqual(
      before.tables.map(({ table, rows, pending, differenceCount }) => [table, rows, pending, differenceCount]).sort(),
      [
        ['Line Item', 900, 0, 0],
        ['hollow', 0, 0, 0],
        ['person', 3000, 0, 0],
        ['tag', 700, 0, 0],
      ],
    );
    await pair.mirror.run(`
      UPDATE person SET name = 'namf 7' WHERE id = 7;
      UPDATE person SET name = 'name 8 ' WHERE id = 8;
      UPDATE person SET name = 'Name 9' WHERE id = 9;
      UPDATE person SET note = '' WHERE id = 10;
      UPDATE person SET note = NULL WHERE id = 11;
      UPDATE person SET amount = 18.1 WHERE id = 12;
      DELETE FROM person WHERE id IN (13, 3000);
      INSERT INTO person VALUES (-1, 'nobody', '', 0);
      UPDATE person SET id = 5000 WHERE id = 14;
      UPDATE "Line Item" SET what = 'æøa 4' WHERE what = 'æøå 4';
      DELETE FROM tag WHERE label = 'label 3' AND person = 3;
      INSERT INTO tag VALUES (1, 'label 1');
      INSERT INTO hollow VALUES (1)`);
    const after = await pair.verify();
    assert.equal(after.identical, false);
    assert.deepEqual(found(after)['person']?.toSorted(), [
      '-1 extra',
      '10 different',
      '11 different',
      '12 different',
      '13 missing',
      '14 missing',
      '3000 missing',
      '5000 extra',
      '7 different',
      '8 different',
      '9 different',
    ]);
    assert.deepEqual(found(after)['Line Item'], ['(1, p	1) different']);
    assert.deepEqual(found(after)['hollow'], ['1 extra']);
    assert.equal(verdictOf(after, 'person').differenceCount, 11);
    assert.deepEqual(kindsOf(verdictOf(after, 'tag').differences), { missing: 2, extra: 1 });
    assert.equal(verdictOf(after, 'tag').differenceCount, 3);
  });
}

function kindsOf(differences: readonly { readonly kind: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind } of differences) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

test('one row too many, one too few and one wrong byte in a million rows are found within seconds', async () => {
  using pair = await Pair.open(['postgres18', 'postgres18']);
  await pair.source.run(`CREATE TABLE big AS SELECT i AS id, md5(i::text) AS name, i % 1000 AS n FROM generate_series(1, 1000000) i;
    ALTER TABLE big ADD PRIMARY KEY (id)`);
  await pair.cycle();
  await pair.mirror.run(
    `UPDATE big SET name = 'x' || substr(name, 2) WHERE id = 777777; DELETE FROM big WHERE id = 1; INSERT INTO big VALUES (1000001)`,
  );
  const progress: number[] = [];
  const started = performance.now();
  const report = await pair.verify({ onProgress: ({ rows, ofRows }) => progress.push(rows / ofRows) });
  assert.deepEqual(found(report), { big: ['1 missing', '777777 different', '1000001 extra'] });
  assert.ok(performance.now() - started < 20_000);
  assert.equal(progress[0], 0);
  assert.equal(progress.at(-1), 1);
});

test('a table of which nothing is left is compared in bounded memory, and a hundred keys are listed', async () => {
  using pair = await Pair.open(['postgres18', 'sqlite']);
  await pair.source.run(
    `CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 60000) i; ALTER TABLE t ADD PRIMARY KEY (id)`,
  );
  await pair.cycle();
  await pair.mirror.run('DELETE FROM t');
  const verdict = verdictOf(await pair.verify(), 't');
  assert.equal(verdict.differenceCount, 60_000);
  assert.deepEqual(
    verdict.differences.slice(0, 3).map(({ key, kind }) => `${key} ${kind}`),
    ['1 missing', '2 missing', '3 missing'],
  );
  assert.equal(verdict.differences.length, 100);
});

test('tables are chosen as everywhere else, and an unknown one is refused', async () => {
  using pair = await Pair.open(['sqlite', 'sqlite']);
  await pair.source.run('CREATE TABLE "Per Son" (id integer PRIMARY KEY); CREATE TABLE other (id integer PRIMARY KEY)');
  await pair.cycle();
  const report = await pair.verify({ tables: ['perSON'] });
  assert.deepEqual(
    report.tables.map(({ table }) => table),
    ['Per Son'],
  );
  await assert.rejects(pair.verify({ tables: ['nosuch'] }), { code: 'USAGE', message: /nosuch/ });
});

test('what is no mirror, or the mirror of another source, is refused', async () => {
  using pair = await Pair.open(['sqlite', 'sqlite']);
  await pair.source.run('CREATE TABLE t (id integer PRIMARY KEY)');
  await assert.rejects(pair.verify(), { code: 'NOT_A_MIRROR' });
  await pair.cycle();
  using other = await Pair.open(['sqlite', 'sqlite']);
  await other.source.run('CREATE TABLE t (id integer PRIMARY KEY)');
  await other.cycle();
  await assert.rejects(other.verify({ mirror: pair.mirror.address }), { code: 'OTHER_LINEAGE' });
});
