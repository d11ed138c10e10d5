import type pg from 'pg';
import { withClient } from './postgres-client.ts';

/** What pg_dump writes before the rows, as statements that can be run in this order. */
const BEFORE_ROWS = `
  SELECT format('CREATE SCHEMA %I', nspname) FROM pg_namespace
  WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')
  UNION ALL
  SELECT format('CREATE %s %s (%s)', CASE relpersistence WHEN 'u' THEN 'UNLOGGED TABLE' ELSE 'TABLE' END, c.oid::regclass, (
    SELECT string_agg(format('%I %s%s', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END), ', ' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped))
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
  WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
  UNION ALL
  SELECT format('CREATE SEQUENCE %I.%I; SELECT setval(%L, %s)', schemaname, sequencename, format('%I.%I', schemaname, sequencename), coalesce(last_value, 1))
  FROM pg_sequences`;

/** And after them: defaults, keys, indexes, functions and triggers, with the state that each trigger is in. */
const AFTER_ROWS = `
  SELECT format('ALTER TABLE %s ALTER %I SET DEFAULT %s', adrelid::regclass, attname, pg_get_expr(adbin, adrelid))
  FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum JOIN pg_class c ON c.oid = adrelid
  WHERE c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
  UNION ALL
  (SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
  FROM pg_constraint WHERE contype IN ('p', 'u', 'c', 'f') AND connamespace::regnamespace::text !~ '^(pg_|information_schema)'
  ORDER BY contype = 'f')
  UNION ALL
  SELECT pg_get_indexdef(indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = indexrelid
  WHERE relnamespace::regnamespace::text !~ '^(pg_|information_schema)' AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
  UNION ALL
  SELECT format('ALTER SEQUENCE %s OWNED BY %s.%I', objid::regclass, refobjid::regclass, attname)
  FROM pg_depend JOIN pg_class s ON s.oid = objid AND relkind = 'S' JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
  WHERE classid = 'pg_class'::regclass AND deptype = 'a'
  UNION ALL
  SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace::regnamespace::text !~ '^(pg_|information_schema)'
  UNION ALL
  SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL
  SELECT format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', tgrelid::regclass, tgname) FROM pg_trigger
  WHERE NOT tgisinternal AND tgenabled = 'A'`;

const ROWS_OF = `
  SELECT c.oid::regclass::text AS table FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
  WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema'`;

async function statements(client: pg.Client, sql: string): Promise<readonly string[]> {
  const { rows } = await client.query<[string]>({ text: sql, rowMode: 'array' });
  return rows.map(([statement]) => statement);
}

/** Copies a database of plain tables into an empty one, on any server, as pg_dump and psql would: all that is in it. */
export async function dumpAndRestore(from: string, to: string): Promise<void> {
  await withClient(from, (source) =>
    withClient(to, async (target) => {
      for (const client of [source, target]) await client.query('SET search_path = pg_catalog');
      await source.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      for (const sql of await statements(source, BEFORE_ROWS)) await target.query(sql);
      for (const table of await statements(source, ROWS_OF)) await copyRows(source, target, table);
      for (const sql of await statements(source, AFTER_ROWS)) await target.query(sql);
    }),
  );
}

async function copyRows(source: pg.Client, target: pg.Client, table: string): Promise<void> {
  const { rows } = await source.query<{ all: string | null }>(`SELECT json_agg(t)::text AS all FROM ${table} t`);
  const [found] = rows;
  if (found?.all == null) return;
  await target.query(`INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1)`, [found.all]);
}
