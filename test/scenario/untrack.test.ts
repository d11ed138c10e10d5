import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resync, untrack } from '../../src/mirror.ts';
import { fromPostgres, fromSqlite, Mirroring, type TestDatabase, testPairs } from '../conformance/mirroring.ts';
import { dumpAndRestore } from '../support/postgres-dump-restore.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { SHOP, Shop, trade } from './shop.ts';

/** Everything that a database is made of but the rows of its tables: what pg_dump --schema-only would say, and more. */
const CATALOGUE = `
  SELECT format('relation %s %s %s %s %s', c.oid::regclass, c.relkind, c.relowner::regrole, c.relacl, c.reloptions) FROM pg_class c
  WHERE c.relnamespace::regnamespace::text !~ '^pg_(catalog|toast)|information_schema'
  UNION ALL SELECT format('schema %s %s %s', nspname, nspowner::regrole, nspacl) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
  UNION ALL SELECT format('column %s.%s %s %s %s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attacl, attisdropped)
  FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE attnum > 0 AND c.relnamespace = 'public'::regnamespace
  UNION ALL SELECT format('trigger %s %s %s', pg_get_triggerdef(oid), tgenabled, tgisinternal) FROM pg_trigger
  UNION ALL SELECT format('function %s %s', pg_get_functiondef(p.oid), proowner::regrole) FROM pg_proc p
  WHERE pronamespace::regnamespace::text !~ '^pg_catalog|information_schema' AND prokind = 'f'
  UNION ALL SELECT format('constraint %s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
  WHERE connamespace = 'public'::regnamespace
  UNION ALL SELECT format('index %s', pg_get_indexdef(indexrelid)) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  WHERE c.relnamespace = 'public'::regnamespace
  UNION ALL SELECT format('%s %s', 'publication', pubname) FROM pg_publication
  UNION ALL SELECT format('%s %s', 'slot', slot_name) FROM pg_replication_slots
  UNION ALL SELECT format('%s %s', 'setting', setconfig) FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
  UNION ALL SELECT format('type %s', t.oid::regtype) FROM pg_type t WHERE typnamespace::regnamespace::text !~ '^pg_|information_schema'
  UNION ALL SELECT format('comment %s %s', objoid, description) FROM pg_description WHERE objoid >= 16384
  UNION ALL SELECT format('event trigger %s', evtname) FROM pg_event_trigger`;

const SQLITE_CATALOGUE = `SELECT format('%s %s %s', type, name, sql) FROM sqlite_schema
  UNION ALL SELECT 'user_version ' || user_version FROM pragma_user_version
  UNION ALL SELECT 'application_id ' || application_id FROM pragma_application_id
  UNION ALL SELECT 'journal_mode ' || journal_mode FROM pragma_journal_mode
  UNION ALL SELECT 'auto_vacuum ' || auto_vacuum FROM pragma_auto_vacuum`;

/** Each thing once a line, sorted. */
async function catalogueOf(database: TestDatabase): Promise<readonly string[]> {
  const rows = await database.sql({ postgres: CATALOGUE, sqlite: SQLITE_CATALOGUE });
  return rows.map((row) => String(Object.values(row)[0])).toSorted();
}

/** What an application has: triggers, functions, views, defaults, grants and a schema of its own. */
const APPLICATION = `${SHOP};
  CREATE TABLE event (at date NOT NULL, n int NOT NULL, PRIMARY KEY (at, n)) PARTITION BY RANGE (at);
  CREATE TABLE event_2025 PARTITION OF event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
  CREATE TABLE event_rest PARTITION OF event DEFAULT;
  CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (more text) INHERITS (parent);
  CREATE UNLOGGED TABLE scratch (id int PRIMARY KEY);
  CREATE SCHEMA office; CREATE TABLE office.desk (id int PRIMARY KEY, customer int REFERENCES customer ON DELETE CASCADE);
  CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION stamp();
  CREATE VIEW rich AS SELECT * FROM customer WHERE bought > 100; COMMENT ON TABLE sale IS 'what was sold';
  GRANT SELECT ON customer TO PUBLIC; CREATE INDEX ON sale (amount)`;

testPairs(
  'untrack leaves nothing of ours in a source and touches nothing else. Guarantee T7',
  async ({ source, ...mirroring }) => {
    await source.sql(APPLICATION);
    const before = await catalogueOf(source);
    const shop = new Shop(source.address, mirroring.mirror.address);
    await shop.cycle();
    assert.notDeepEqual(await catalogueOf(source), before);
    await trade(source);
    await source.sql(
      "INSERT INTO event VALUES ('2025-05-05', 1), ('2030-01-01', 2); DELETE FROM customer WHERE id = 7",
    );
    await shop.cycle({ skipTables: ['scratch'] });
    const removed = await untrack(source.address);
    assert.ok(removed.removed.length > 0);
    assert.deepEqual(await catalogueOf(source), before);
    assert.deepEqual((await untrack(source.address)).removed, []);
    await trade(source);
  },
  fromPostgres.slice(0, 1),
);

testPairs(
  'untrack leaves nothing of ours in a file',
  async ({ source, mirror }) => {
    await source.sql(`${SHOP}; CREATE VIEW rich AS SELECT * FROM customer WHERE bought > 100; CREATE INDEX amount ON sale(amount);
      CREATE TRIGGER own AFTER INSERT ON visit BEGIN UPDATE customer SET bought = bought + 1 WHERE id = NEW.customer; END;
      PRAGMA user_version = 7`);
    const before = await catalogueOf(source);
    const shop = new Shop(source.address, mirror.address);
    await shop.cycle();
    await trade(source);
    await shop.cycle({ skipTables: ['sale'] });
    assert.ok((await untrack(source.address)).removed.length > 0);
    assert.deepEqual(await catalogueOf(source), before);
    assert.deepEqual((await untrack(source.address)).removed, []);
    await trade(source);
  },
  fromSqlite.slice(0, 1),
);

test('untrack also removes what a dump brought along, and what hand-made damage left of it', async () => {
  const server = await sharedPostgres();
  await using mirroring = await Mirroring.open({ name: 'moved', source: 'postgres', mirror: 'sqlite' });
  await mirroring.source.sql(SHOP);
  const before = await catalogueOf(mirroring.source);
  await mirroring.cycle();
  const moved = new Shop(await server.createDatabase(), mirroring.mirror.address);
  await dumpAndRestore(mirroring.source.address, moved.source.address);
  const functionOf = await mirroring.source.value(
    "SELECT tgfoid::regprocedure FROM pg_trigger WHERE tgname = 'speil_insert' LIMIT 1",
  );
  await mirroring.source.sql(`DROP FUNCTION ${String(functionOf)} CASCADE`);
  await untrack(mirroring.source.address);
  assert.deepEqual(await catalogueOf(mirroring.source), before);
  await moved.cycle({ skipTables: ['visit'] });
  await untrack(moved.source.address);
  const left = (await catalogueOf(moved.source)).filter((line) => /speil/.test(line));
  assert.deepEqual(left, []);
});

testPairs('what else stands in the database of a mirror is left alone', async (mirroring) => {
  await mirroring.source.sql(SHOP);
  const own = {
    postgres: `CREATE SCHEMA own; CREATE TABLE own.customer (id int); CREATE TABLE notes (id int PRIMARY KEY, text text);
        CREATE VIEW all_notes AS SELECT * FROM notes; INSERT INTO notes VALUES (1, 'mine'); INSERT INTO own.customer VALUES (9)`,
    sqlite: `CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT); CREATE VIEW all_notes AS SELECT * FROM notes;
        INSERT INTO notes VALUES (1, 'mine'); CREATE TRIGGER loud AFTER DELETE ON notes BEGIN SELECT 1; END`,
  };
  await mirroring.mirror.sql(own);
  const before = await catalogueOf(mirroring.mirror);
  await mirroring.cycle();
  await trade(mirroring.source);
  await resync(mirroring.mirror.address, ['customer']);
  await mirroring.cycle();
  await mirroring.source.sql('DROP TABLE sale');
  await mirroring.cycle();
  const after = new Set(await catalogueOf(mirroring.mirror));
  assert.deepEqual(
    before.filter((line) => !after.has(line)),
    [],
  );
  assert.equal(await mirroring.mirror.value('SELECT text FROM all_notes'), 'mine');
  await mirroring.same({ allowExtraTables: true });
});
