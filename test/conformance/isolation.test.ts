import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { describe } from 'node:test';
import { mirror } from '../../src/mirror.ts';
import { close, connect } from '../support/postgres-client.ts';
import {
  type Cycle,
  copiedIn,
  errorsOf,
  fromPostgres,
  fromSqlite,
  type Mirroring,
  pairs,
  tableOf,
  testPairs,
} from './mirroring.ts';

const toPostgres = pairs.filter(({ mirror }) => mirror === 'postgres');

const lsnOf = async (m: Mirroring, table: string): Promise<string> =>
  String(await m.mirror.value(`SELECT lsn FROM speil_mirroring WHERE table_name = '${table}'`));

/** `bad` failed for this reason and the others did not; the failure has a hint. */
function assertOnlyBadFailed(cycle: Cycle, code: string): void {
  assert.equal(cycle.report.status, 'failed');
  const { error } = tableOf(cycle, 'bad');
  assert.equal(error?.code, code, error?.message ?? 'no error');
  assert.ok(error?.hint, 'a hint');
  assert.deepEqual(
    errorsOf(cycle).filter((line) => !line.startsWith('bad: ')),
    [],
  );
}

const TABLES: readonly string[] = ['bad', 'good', 'other'];

async function goodAndBad(m: Mirroring): Promise<void> {
  for (const table of TABLES) {
    await m.source.sql(
      `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO ${table} VALUES (1, 'a'), (2, 'b'), (3, 'c')`,
    );
  }
  await m.follow();
}

const change = (m: Mirroring, suffix: string) =>
  m.source.sql(TABLES.map((table) => `UPDATE ${table} SET v = v || '${suffix}'`).join('; '));

testPairs('a unique index of the owner that the source’s rows violate', async (m) => {
  await goodAndBad(m);
  await m.mirror.sql('CREATE UNIQUE INDEX own ON bad (v)');
  await change(m, '!');
  await m.source.sql(`UPDATE bad SET v = 'same'`);
  const before = await lsnOf(m, 'bad');
  assertOnlyBadFailed(await m.run(), 'KEY_VIOLATED');
  assert.equal(await lsnOf(m, 'bad'), before);
  await m.same({ tables: ['good', 'other'] });
  assertOnlyBadFailed(await m.run(), 'KEY_VIOLATED');
  await m.mirror.sql('DROP INDEX own');
  const healed = await m.follow();
  assert.deepEqual(copiedIn(healed), []);
  assert.equal(tableOf(healed, 'bad').updated, 3);
});

testPairs('a constraint of the owner that refuses a value, in the middle of many batches', async (m) => {
  await goodAndBad(m);
  await m.mirror.sql({
    postgres: `ALTER TABLE bad ADD CONSTRAINT own CHECK (v <> 'refused')`,
    sqlite: `CREATE TRIGGER own BEFORE INSERT ON bad WHEN NEW.v = 'refused' BEGIN SELECT RAISE(ABORT, 'not here'); END`,
  });
  await change(m, '?');
  await m.source.sql(
    `INSERT INTO bad WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 400) SELECT i, CASE WHEN i = 300 THEN 'refused' ELSE 'xxxxxxxxxxxxxxxxxxxx' END FROM n`,
  );
  const cycle = await m.run({ batchBytes: 2_000 });
  assert.equal(cycle.report.status, 'failed');
  assert.ok(['KEY_VIOLATED', 'VALUE_REFUSED'].includes(tableOf(cycle, 'bad').error?.code ?? ''));
  await m.same({ tables: ['good', 'other'] });
  await m.mirror.sql({ postgres: 'ALTER TABLE bad DROP CONSTRAINT own', sqlite: 'DROP TRIGGER own' });
  assert.deepEqual(copiedIn(await m.follow()), []);
});

describe('while others hold locks, which are waited for', { concurrency: true }, () => {
  testPairs(
    'a table of the mirror that another session holds',
    async (m) => {
      await goodAndBad(m);
      await change(m, '!');
      const holder = await connect(m.mirror.address);
      try {
        await holder.query('BEGIN; LOCK TABLE bad IN ACCESS EXCLUSIVE MODE');
        const before = await lsnOf(m, 'bad');
        assertOnlyBadFailed(await m.run(), 'LOCK_TIMEOUT');
        assert.equal(await lsnOf(m, 'bad'), before);
        await m.same({ tables: ['good', 'other'] });
      } finally {
        await close(holder);
      }
      assert.deepEqual(copiedIn(await m.follow()), []);
    },
    toPostgres.slice(0, 1),
  );

  testPairs(
    'a table of the source that another session holds, before its first copy and after',
    async (m) => {
      await m.source.sql(
        `CREATE TABLE bad (id int PRIMARY KEY, v text DEFAULT 'd', g int GENERATED ALWAYS AS (id + 1) STORED); CREATE TABLE good (id int PRIMARY KEY, v text); INSERT INTO bad VALUES (1, 'a'); INSERT INTO good VALUES (1, 'a')`,
      );
      const holder = await connect(m.source.address);
      try {
        await holder.query('BEGIN; LOCK TABLE bad IN ACCESS EXCLUSIVE MODE');
        assertOnlyBadFailed(await m.run(), 'LOCK_TIMEOUT');
        await m.same({ tables: ['good'] });
        await holder.query('ROLLBACK');
        await m.follow();
        await m.source.sql(`UPDATE good SET v = 'b'; UPDATE bad SET v = 'b'`);
        await holder.query('BEGIN; LOCK TABLE bad IN ACCESS EXCLUSIVE MODE');
        assertOnlyBadFailed(await m.run(), 'LOCK_TIMEOUT');
        await m.same({ tables: ['good'] });
      } finally {
        await close(holder);
      }
      assert.deepEqual(copiedIn(await m.follow()), []);
    },
    fromPostgres.slice(1),
  );

  testPairs(
    'a source that another program writes to for a moment',
    async (m) => {
      await goodAndBad(m);
      const writer = new DatabaseSync(m.source.address.replace('sqlite:', ''), { timeout: 5_000 });
      try {
        writer.exec(`BEGIN IMMEDIATE; UPDATE bad SET v = 'not yet'`);
        await m.cycle();
        assert.equal(await m.mirror.value('SELECT v FROM bad WHERE id = 1'), 'a');
        writer.exec('COMMIT');
      } finally {
        writer.close();
      }
      await m.follow();
    },
    fromSqlite,
  );
});

testPairs('a view of the owner in the way of a dropped column', async (m) => {
  await goodAndBad(m);
  await m.mirror.sql('CREATE VIEW own AS SELECT v FROM bad');
  await m.source.sql(
    `ALTER TABLE bad ADD COLUMN n INTEGER DEFAULT 4; ALTER TABLE bad DROP COLUMN v; UPDATE good SET v = 'x'; INSERT INTO bad VALUES (9, 9)`,
  );
  const cycle = await m.run();
  if (cycle.report.status === 'failed') {
    assertOnlyBadFailed(cycle, 'DEPENDENT_OBJECT');
    await m.same({ tables: ['good', 'other'] });
    await m.mirror.sql('DROP VIEW own');
  }
  await m.follow();
});

testPairs('a table of the owner that has the name of a new one', async (m) => {
  await m.mirror.sql(`CREATE TABLE bad (mine INTEGER); INSERT INTO bad VALUES (42)`);
  await m.source.sql(
    `CREATE TABLE bad (id INTEGER PRIMARY KEY); CREATE TABLE good (id INTEGER PRIMARY KEY); INSERT INTO good VALUES (1)`,
  );
  assertOnlyBadFailed(await m.run(), 'NAME_TAKEN');
  assert.equal(Number(await m.mirror.value('SELECT mine FROM bad')), 42);
  await m.same({ tables: ['good'] });
  assertOnlyBadFailed(await m.run(), 'NAME_TAKEN');
  await m.mirror.sql('DROP TABLE bad');
  await m.follow();
});

testPairs(
  'a type of the mirror’s column that the owner made too narrow',
  async (m) => {
    await m.source.sql(
      `CREATE TABLE bad (id INTEGER PRIMARY KEY, v BIGINT); CREATE TABLE good (id INTEGER PRIMARY KEY); INSERT INTO bad VALUES (1, 1)`,
    );
    await m.follow();
    await m.mirror.sql('ALTER TABLE bad ALTER COLUMN v TYPE smallint');
    await m.source.sql('INSERT INTO bad VALUES (2, 100000); INSERT INTO good VALUES (5)');
    assertOnlyBadFailed(await m.run(), 'VALUE_REFUSED');
    await m.same({ tables: ['good'] });
    await m.mirror.sql('ALTER TABLE bad ALTER COLUMN v TYPE bigint');
    await m.follow();
  },
  toPostgres,
);

testPairs(
  'a failed first copy is gone on with when what hindered it is mended',
  async (m) => {
    await m.source.sql(
      `CREATE TABLE bad (id int PRIMARY KEY, v text); CREATE TABLE good (id int PRIMARY KEY); INSERT INTO bad SELECT i, repeat('x', 50) FROM generate_series(1, 2000) i; INSERT INTO good VALUES (1)`,
    );
    await m.source.sql(
      `CREATE ROLE limited_${process.pid} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO limited_${process.pid}; DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO limited_${process.pid}', current_database()); END $$`,
    );
    const limited = { address: m.source.address.replace('postgres@', `limited_${process.pid}@`) };
    await m.source.sql(`REVOKE ALL ON bad FROM limited_${process.pid}`);
    const run = () => mirror({ source: limited.address, mirror: m.mirror.address });
    const report = await run();
    assert.deepEqual(
      report.tables.map(({ table, error }) => [table, error?.code]),
      [
        ['good', undefined],
        ['bad', 'PRIVILEGE_MISSING'],
      ],
    );
    await m.source.sql(`GRANT SELECT, TRIGGER ON bad TO limited_${process.pid}`);
    assert.equal((await run()).status, 'completed');
    await m.same();
  },
  fromPostgres.slice(0, 1),
);
