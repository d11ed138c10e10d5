import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { resync } from '../../src/mirror.ts';
import { withClient } from '../support/postgres-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { copiedIn, type Mirroring, messagesOf, pairs, testPairs } from './mirroring.ts';

const toPostgres = pairs.filter(({ mirror }) => mirror === 'postgres');

/** Indexes, views, triggers, comments, constraints and grants, as the mirror's catalogue describes them. */
async function belongings({ mirror }: Mirroring): Promise<readonly string[]> {
  const rows = await mirror.sql({
    postgres: `SELECT indexdef AS d FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'speil_mirroring' AND indexname NOT LIKE '%_pkey'
      UNION ALL SELECT 'view ' || viewname || definition || viewowner FROM pg_views WHERE schemaname = 'public'
      UNION ALL SELECT 'matview ' || matviewname || definition FROM pg_matviews
      UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
      UNION ALL SELECT 'grant ' || grantee || privilege_type || table_name FROM information_schema.role_table_grants WHERE grantee IN ('reporting', 'PUBLIC') AND table_schema = 'public'
      UNION ALL SELECT 'column grant ' || attname || attacl::text FROM pg_attribute WHERE attrelid = 't'::regclass AND attacl IS NOT NULL
      UNION ALL SELECT 'comment ' || coalesce(description, '') FROM pg_description WHERE classoid = 'pg_class'::regclass AND objoid::regclass::text IN ('t', 'v')
      UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE contype IN ('c', 'u', 'f') AND connamespace = 'public'::regnamespace ORDER BY 1`,
    sqlite: `SELECT sql AS d FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'speil%' AND type <> 'table' ORDER BY 1`,
  });
  return rows.map((row) => String(row['d']));
}

const OWN: Readonly<Record<'postgres' | 'sqlite', string>> = {
  postgres: `CREATE INDEX own_v ON t (v DESC) WHERE n > 0; CREATE UNIQUE INDEX own_unique ON t (id, lower(v)); CREATE VIEW v AS SELECT id, v FROM t; CREATE VIEW v2 AS SELECT count(*) FROM v;
    CREATE MATERIALIZED VIEW m AS SELECT max(n) AS n FROM t; CREATE UNIQUE INDEX own_m ON m (n); COMMENT ON TABLE t IS 'the owner''s'; COMMENT ON COLUMN t.v IS 'a value'; COMMENT ON VIEW v IS 'a view';
    GRANT SELECT ON t TO reporting; GRANT SELECT (id), UPDATE (v) ON t TO reporting; GRANT SELECT ON v TO PUBLIC; CREATE TABLE notes (id serial PRIMARY KEY, t bigint, text text);
    ALTER TABLE t ADD CONSTRAINT positive CHECK (n > -1000); CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER own AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION nothing()`,
  sqlite: `CREATE INDEX own_v ON t (v DESC) WHERE n > 0; CREATE VIEW v AS SELECT id, v FROM t; CREATE VIEW v2 AS SELECT count(*) FROM v; CREATE TABLE notes (id INTEGER PRIMARY KEY);
    CREATE TRIGGER own AFTER INSERT ON t WHEN NEW.n < -1000 BEGIN INSERT INTO notes VALUES (NULL); END`,
};

async function withOwnersThings(m: Mirroring): Promise<readonly string[]> {
  if (m.mirror.kind === 'postgres') {
    const server = await sharedPostgres();
    await server.sql(
      'postgres',
      `DO $$ BEGIN CREATE ROLE reporting; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
    );
  }
  await m.source.sql(
    `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INTEGER); INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)`,
  );
  await m.follow();
  await m.mirror.sql(OWN[m.mirror.kind]);
  return belongings(m);
}

testPairs('what the owner put on the mirror survives cycles, changes in place, resyncs and rebuilds', async (m) => {
  const before = await withOwnersThings(m);
  assert.ok(before.length > 3);
  await m.source.sql(`UPDATE t SET v = 'x' WHERE id = 1; INSERT INTO t VALUES (4, 'd', NULL)`);
  await m.follow({}, { allowExtraTables: true });
  assert.deepEqual(await belongings(m), before);
  await m.source.sql('ALTER TABLE t ADD COLUMN extra INTEGER DEFAULT 1');
  await m.follow({}, { allowExtraTables: true });
  assert.deepEqual(await belongings(m), before);
  await resync(m.mirror.address, ['t']);
  assert.deepEqual(copiedIn(await m.follow({}, { allowExtraTables: true })), ['t']);
  assert.deepEqual(await belongings(m), before);
  await m.source.sql({
    postgres: 'ALTER TABLE t ALTER COLUMN extra TYPE numeric(10, 1) USING extra / 2.0',
    sqlite: `CREATE TABLE made (id INTEGER PRIMARY KEY, v TEXT, n INTEGER, extra REAL); INSERT INTO made SELECT * FROM t; DROP TABLE t; ALTER TABLE made RENAME TO t`,
  });
  const rebuilt = await m.follow({}, { allowExtraTables: true });
  assert.deepEqual(copiedIn(rebuilt), ['t']);
  assert.deepEqual(await belongings(m), before, messagesOf(rebuilt, 'note').join('\n'));
});

testPairs('a rebuild without a column keeps what does not need it, and says what it could not keep', async (m) => {
  await withOwnersThings(m);
  await m.mirror.sql(`CREATE INDEX on_both ON t (n, id); CREATE INDEX on_id ON t (id, n)`);
  await m.source.sql(
    `DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 5), (7, 7)`,
  );
  const cycle = await m.follow({}, { allowExtraTables: true });
  const after = (await belongings(m)).join('\n');
  assert.match(after, /on_id/);
  assert.match(messagesOf(cycle, 'note').join('\n'), /own_v/);
  await m.source.sql('INSERT INTO t VALUES (8, 8)');
  await m.follow({}, { allowExtraTables: true });
});

testPairs(
  'foreign keys of the owner between mirrored tables, and from a table of his own',
  async (m) => {
    await m.source.sql(
      `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE u (id INTEGER PRIMARY KEY, t INTEGER); INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO u VALUES (1, 1), (2, 2)`,
    );
    await m.follow();
    await m.mirror.sql(
      `ALTER TABLE u ADD CONSTRAINT to_t FOREIGN KEY (t) REFERENCES t DEFERRABLE INITIALLY DEFERRED; CREATE TABLE notes (id serial PRIMARY KEY, t bigint REFERENCES t); INSERT INTO notes (t) VALUES (1)`,
    );
    const before = await belongings(m);
    await resync(m.mirror.address, ['t']);
    await m.follow({}, { allowExtraTables: true });
    assert.deepEqual(await belongings(m), before);
    await m.source.sql(
      `INSERT INTO t VALUES (3, 'c'); INSERT INTO u VALUES (3, 3); DELETE FROM u WHERE id = 2; DELETE FROM t WHERE id = 2`,
    );
    await m.follow({}, { allowExtraTables: true });
  },
  toPostgres,
);

testPairs('readers never see an empty table, nor half of one, while it is copied again', async (m) => {
  await m.source.sql(
    `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) SELECT i, 'row ' || i FROM n`,
  );
  await m.follow();
  await resync(m.mirror.address, ['t']);
  let calls = 0;
  const seen = new Set<number>();
  const look = async () => seen.add(Number(await m.mirror.value('SELECT count(*) FROM t')));
  await m.decorated(
    (client) => ({
      ...client,
      rowData: async (request) => {
        calls++;
        await look();
        const answer = await client.rowData(request);
        await look();
        return answer;
      },
    }),
    { batchBytes: 5_000 },
  );
  assert.ok(calls > 5, `${calls} calls`);
  assert.deepEqual([...seen], [4000]);
});

testPairs(
  'a reader in a loop sees all rows at any time, and the new table at last',
  async (m) => {
    await m.source.sql(
      `CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 20000) i`,
    );
    await m.follow();
    await m.source.sql('ALTER TABLE t ALTER COLUMN v TYPE bigint USING v + 1');
    await withClient(m.mirror.address, async (reader) => {
      let running = true;
      const seen = new Set<string>();
      const reading = (async () => {
        while (running) {
          const { rows } = await reader.query(
            'SELECT count(*)::int AS n, min(v)::int AS low, max(v)::int AS high FROM t',
          );
          seen.add(JSON.stringify(rows[0]));
          await turn();
        }
      })();
      await m.follow({ batchBytes: 20_000 });
      running = false;
      await reading;
      const allowed = [
        { n: 20000, low: 0, high: 0 },
        { n: 20000, low: 1, high: 1 },
      ].map((row) => JSON.stringify(row));
      assert.deepEqual(
        [...seen].filter((row) => !allowed.includes(row)),
        [],
      );
    });
  },
  pairs.slice(0, 1),
);

testPairs('wiping in place empties the table first, as an option', async (m) => {
  await m.source.sql(`CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b')`);
  await m.follow({ wipe: 'in-place' });
  await m.mirror.sql('CREATE INDEX own ON t (v)');
  const before = await belongings(m);
  await m.source.sql(`DELETE FROM t WHERE id = 1`);
  await resync(m.mirror.address, ['t']);
  let rows = -1;
  await m.follow({
    wipe: 'in-place',
    hooks: {
      onWipe: async () => {
        rows = Number(await m.mirror.value('SELECT count(*) FROM t'));
      },
    },
  });
  assert.equal(rows, 0);
  assert.deepEqual(await belongings(m), before);
});
