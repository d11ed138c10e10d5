import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { mirror, resync, status, untrack } from '../../src/mirror.ts';
import { verify } from '../../src/verify.ts';
import { close, connect, withClient } from '../support/postgres-client.ts';
import { found, PAIRS, Pair, series, verdictOf } from './verify-fixture.ts';

describe('what verify leaves out, and what it cannot compare', { concurrency: 5 }, () => {
  for (const kinds of PAIRS) {
    test(`${kinds[0]} to ${kinds[1]}: rows that changed since the mirror's position are pending, not different`, async () => {
      using pair = await Pair.open(kinds);
      await pair.source.run(`CREATE TABLE t (id integer PRIMARY KEY, name text); INSERT INTO t SELECT i, 'name ' || i FROM ${series(2000)};
      CREATE TABLE tag (label text); INSERT INTO tag VALUES ('a'), ('b')`);
      await pair.cycle();
      await pair.source.run(`UPDATE t SET name = 'new' WHERE id < 4; DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (5000, 'x'); UPDATE t SET id = 6000 WHERE id = 6;
      INSERT INTO tag VALUES ('c')`);
      await pair.mirror.run(`UPDATE t SET name = 'wrong' WHERE id IN (1, 7)`);
      const report = await pair.verify();
      const t = verdictOf(report, 't');
      assert.deepEqual([t.pending, t.differenceCount, t.rows], [7, 1, 2000]);
      assert.deepEqual(found(report)['t'], ['7 different']);
      assert.equal(t.lsn, lsnOf(await status(pair.mirror.address), 't'));
      const tag = verdictOf(report, 'tag');
      assert.deepEqual([tag.pending, tag.differenceCount, tag.lsn, tag.error?.recovery], [2, 0, null, 'retry']);
      assert.match(tag.error?.message ?? '', /cannot be compared yet: it changed and has no key/);
      await pair.cycle();
      assert.deepEqual(found(await pair.verify()), { t: ['7 different'], tag: [] });
    });
  }

  const lsnOf = ({ tables }: Awaited<ReturnType<typeof status>>, name: string) =>
    tables.find(({ table }) => table === name)?.lsn;

  test('pending rows are left out of buckets in which others differ', async () => {
    using pair = await Pair.open(['postgres18', 'postgres18']);
    await pair.source.run(
      `CREATE TABLE t (id integer PRIMARY KEY, name text); INSERT INTO t SELECT i, i FROM generate_series(1, 2000) i`,
    );
    await pair.cycle();
    await pair.source.run(`UPDATE t SET name = 'new' WHERE id <= 90; DELETE FROM t WHERE id BETWEEN 91 AND 100`);
    await pair.mirror.run(`UPDATE t SET name = 'wrong' WHERE id > 1000 OR id < 50`);
    const verdict = verdictOf(await pair.verify({ repair: true }), 't');
    assert.deepEqual([verdict.pending, verdict.differenceCount, verdict.repaired], [100, 1000, 1000]);
    assert.ok(verdict.differences.every(({ key }) => Number(key) > 1000));
  });

  test('a cycle that comes while verify waits settles what was pending', async () => {
    using pair = await Pair.open(['postgres18', 'postgres18']);
    await pair.source.run(
      'CREATE TABLE t (id integer PRIMARY KEY, name text); INSERT INTO t SELECT i, i FROM generate_series(1, 100) i',
    );
    await pair.cycle();
    await pair.source.run('UPDATE t SET name = -id WHERE id < 50');
    const running = pair.verify();
    await pair.cycle();
    const verdict = verdictOf(await running, 't');
    assert.deepEqual([verdict.pending, verdict.differenceCount], [0, 0]);
  });

  test('after TRUNCATE and with a new partition nothing of the table is compared', async () => {
    using pair = await Pair.open(['postgres18', 'postgres18']);
    await pair.source.run(`CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);
    CREATE TABLE p (id integer PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100); INSERT INTO p VALUES (1), (2)`);
    await pair.cycle();
    assert.equal((await pair.verify()).identical, true);
    await pair.source.run(
      `TRUNCATE t; INSERT INTO t VALUES (1); CREATE TABLE p2 (id integer PRIMARY KEY); INSERT INTO p2 VALUES (101); ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (100) TO (200)`,
    );
    const report = await pair.verify();
    for (const name of ['t', 'p'])
      assert.match(verdictOf(report, name).error?.message ?? '', /truncated or got a new partition/);
    assert.deepEqual([verdictOf(report, 't').pending, verdictOf(report, 'p').pending], [100, 2]);
    await pair.cycle();
    assert.equal((await pair.verify()).identical, true);
  });

  test('a position that cannot be trusted is an error of its table, and the others are compared', async () => {
    using pair = await Pair.open(['postgres18', 'postgres18']);
    const names = ['ok', 'off', 'altered', 'dropped', 'reset', 'gone', 'narrow'];
    await pair.source.run(
      names
        .map((name) => `CREATE TABLE ${name} (id integer PRIMARY KEY, name text); INSERT INTO ${name} VALUES (1, 'a')`)
        .join(';'),
    );
    await pair.cycle();
    await pair.source.run(`ALTER TABLE "off" DISABLE TRIGGER ALL; UPDATE "off" SET name = 'b'; ALTER TABLE "off" ENABLE TRIGGER ALL;
    ALTER TABLE altered ADD COLUMN more text; DROP TABLE dropped`);
    await resync(pair.mirror.address, ['reset']);
    await pair.mirror.run('DROP TABLE gone; ALTER TABLE narrow DROP COLUMN name');
    const report = await pair.verify();
    assert.equal(report.identical, false);
    assert.equal(verdictOf(report, 'ok').error, undefined);
    const error = (name: string) => {
      const { error: report_, rows, lsn } = verdictOf(report, name);
      assert.deepEqual([rows, lsn], [0, null]);
      return `${report_?.code} ${report_?.recovery} ${report_?.message}`;
    };
    assert.match(error('off'), /^TABLE_FAILED repopulate off cannot be compared: change tracking was off/);
    assert.match(error('altered'), /^SCHEMA_CHANGED retry altered was altered in the source since/);
    assert.match(error('dropped'), /^SCHEMA_CHANGED retry dropped is gone from the source/);
    assert.match(error('reset'), /^TABLE_FAILED retry reset is to be copied by the next cycle/);
    assert.match(error('gone'), /^TABLE_FAILED repopulate gone is gone from the mirror/);
    assert.match(error('narrow'), /^TABLE_FAILED repopulate narrow has no column name/);
  });

  test('the same for SQLite', async () => {
    using pair = await Pair.open(['sqlite', 'sqlite']);
    const names = ['ok', 'off', 'altered', 'dropped', 'reset', 'gone', 'narrow'];
    await pair.source.run(
      names
        .map((name) => `CREATE TABLE ${name} (id integer PRIMARY KEY, name text); INSERT INTO ${name} VALUES (1, 'a')`)
        .join(';'),
    );
    await pair.cycle();
    await pair.source.run(
      `DROP TRIGGER ${await triggerOf(pair, 'off')}; UPDATE "off" SET name = 'b'; ALTER TABLE altered ADD COLUMN more text; DROP TABLE dropped`,
    );
    await resync(pair.mirror.address, ['reset']);
    await pair.mirror.run('DROP TABLE gone; ALTER TABLE narrow DROP COLUMN name');
    const report = await pair.verify();
    const errors = Object.fromEntries(
      report.tables.map(({ table, error }) => [table, error?.message.replace(`${table} `, '').replace(/ since.*/, '')]),
    );
    assert.deepEqual(errors, {
      ok: undefined,
      off: 'cannot be compared: change tracking was off',
      altered: 'was altered in the source',
      dropped: 'is gone from the source',
      reset: 'is to be copied by the next cycle',
      gone: 'is gone from the mirror',
      narrow: 'has no column name in the mirror any more',
    });
  });

  async function triggerOf(pair: Pair, table: string): Promise<string> {
    const { DatabaseSync } = await import('node:sqlite');
    using database = new DatabaseSync(pair.source.address, { readOnly: true });
    return String(
      database
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? AND name LIKE '%_u'")
        .get(table)?.['name'],
    );
  }

  test('removed tracking is said for every table', async () => {
    using pair = await Pair.open(['postgres18', 'sqlite']);
    await pair.source.run('CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)');
    await pair.cycle();
    await untrack(pair.source.address);
    const { error } = verdictOf(await pair.verify(), 't');
    assert.deepEqual([error?.code, error?.recovery], ['TABLE_FAILED', 'repopulate']);
    assert.match(error?.hint ?? '', /speil mirror/);
  });

  test('nothing is written to the source', async () => {
    using pair = await Pair.open(['postgres18', 'postgres18']);
    await pair.source.run('CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)');
    await pair.cycle();
    await pair.source.run('CREATE TABLE untracked (id integer PRIMARY KEY); UPDATE t SET id = 2');
    await pair.mirror.run('INSERT INTO t VALUES (3)');
    const written = () =>
      withClient(pair.source.address, async (client) => {
        const [row] = (
          await client.query(
            "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) AS rows, (SELECT count(*) FROM pg_class) AS relations FROM pg_stat_all_tables WHERE schemaname NOT LIKE 'pg\\_%'",
          )
        ).rows;
        return row;
      });
    const before = await written();
    assert.equal(verdictOf(await pair.verify({ repair: true }), 't').repaired, 1);
    assert.deepEqual(await written(), before);

    using files = await Pair.open(['sqlite', 'sqlite']);
    await files.source.run(
      'PRAGMA journal_mode = DELETE; CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)',
    );
    await files.cycle();
    const digest = () => createHash('sha256').update(readFileSync(files.source.address)).digest('hex');
    const bytes = digest();
    await files.mirror.run('INSERT INTO t VALUES (3)');
    assert.equal(verdictOf(await files.verify({ repair: true }), 't').repaired, 1);
    assert.equal(digest(), bytes);
  });

  for (const kinds of [
    ['postgres18', 'postgres18'],
    ['sqlite', 'sqlite'],
  ] as const) {
    test(`${kinds[0]} to ${kinds[1]}: it ends when it is interrupted`, async () => {
      using pair = await Pair.open(kinds);
      await pair.source.run(
        `CREATE TABLE t (id integer PRIMARY KEY, name text); INSERT INTO t SELECT i, 'name ' || i FROM ${series(100_000)}`,
      );
      await mirror(pair.addresses);
      const stop = new AbortController();
      const running = verify({ ...pair.addresses, signal: stop.signal, onProgress: () => stop.abort() });
      await assert.rejects(running, { code: 'INTERRUPTED' });
      await assert.rejects(verify({ ...pair.addresses, signal: stop.signal }), { code: 'INTERRUPTED' });
      assert.equal((await pair.verify()).identical, true);
    });
  }
});

test('a transaction that was open during a cycle is pending when it commits', async () => {
  using pair = await Pair.open(['postgres18', 'sqlite']);
  await pair.source.run(
    'CREATE TABLE t (id integer PRIMARY KEY, name text); INSERT INTO t SELECT i, i FROM generate_series(1, 100) i',
  );
  await pair.cycle();
  const early = await connect(pair.source.address);
  await early.query("BEGIN; UPDATE t SET name = 'early' WHERE id = 1");
  await pair.source.run("UPDATE t SET name = 'late' WHERE id = 2");
  await pair.cycle();
  assert.deepEqual([verdictOf(await pair.verify({ repair: true }), 't').pending], [0]);
  await early.query('COMMIT');
  await close(early);
  const verdict = verdictOf(await pair.verify({ repair: true }), 't');
  assert.deepEqual([verdict.pending, verdict.differenceCount], [1, 0]);
});

test('a table that is locked in the source hinders no other', async () => {
  using pair = await Pair.open(['postgres18', 'postgres18']);
  await pair.source.run(
    'CREATE TABLE t (id integer PRIMARY KEY); CREATE TABLE u (id integer PRIMARY KEY); INSERT INTO u VALUES (1)',
  );
  await pair.cycle();
  await withClient(pair.source.address, async (other) => {
    await other.query('BEGIN; LOCK TABLE t');
    const report = await pair.verify();
    assert.equal(verdictOf(report, 't').error?.code, 'LOCK_TIMEOUT');
    assert.deepEqual([verdictOf(report, 'u').error, verdictOf(report, 'u').rows], [undefined, 1]);
  });
});

test('keys that are compared as text, and keys that SQLite takes for equal, are pending like others', async () => {
  using pair = await Pair.open(['postgres18', 'postgres18']);
  await pair.source.run(`CREATE TYPE mood AS ENUM ('sad', 'ok', 'fine'); CREATE DOMAIN code AS char(4);
    CREATE TABLE t (m mood, c code, at timestamptz, PRIMARY KEY (m, c, at));
    INSERT INTO t VALUES ('sad', 'a', '2024-01-01'), ('ok', 'b', '2024-01-01'), ('fine', 'c', 'infinity')`);
  await pair.cycle();
  await pair.source.run(`UPDATE t SET c = 'ab' WHERE m = 'ok'; DELETE FROM t WHERE m = 'sad'`);
  await pair.mirror.run(`DELETE FROM t WHERE m = 'fine'`);
  const verdict = verdictOf(await pair.verify({ repair: true }), 't');
  assert.deepEqual(
    [verdict.pending, verdict.repaired, verdict.differences],
    [3, 1, [{ key: '(fine, c   , infinity)', kind: 'missing' }]],
  );
  using files = await Pair.open(['sqlite', 'sqlite']);
  await files.source.run(
    `CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, v); INSERT INTO t VALUES ('a', 1), ('b', 1), ('C', 1)`,
  );
  await files.cycle();
  await files.source.run(`UPDATE t SET k = 'A' WHERE k = 'a'; REPLACE INTO t VALUES ('B', 2)`);
  const report = await files.verify({ repair: true });
  assert.deepEqual([verdictOf(report, 't').pending, verdictOf(report, 't').differenceCount], [4, 0]);
});
