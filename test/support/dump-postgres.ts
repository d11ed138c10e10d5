import type pg from 'pg';
import { type Dump, type DumpedTable, type DumpOptions, isOwnTable } from './dump-model.ts';
import { withClient } from './postgres-client.ts';
import { quoteName } from './postgres-server.ts';

type Relation = { readonly schema: string; readonly name: string; readonly partitioned: boolean; readonly oid: string };

const SETTINGS = `
  SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex';
  SET extra_float_digits = 1; SET lc_monetary = 'C'; SET xmloption = 'content'; SET client_encoding = 'UTF8'`;

const RELATIONS = `
  SELECT n.nspname AS schema, c.relname AS name, c.relkind = 'p' AS partitioned, c.oid::text AS oid
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`;

/** A domain counts as the type that it is made of. */
const COLUMNS = `
  SELECT a.attname AS name, (
    WITH RECURSIVE made_of AS (
      SELECT t.oid, t.typtype, t.typbasetype FROM pg_type t WHERE t.oid = a.atttypid
      UNION ALL
      SELECT t.oid, t.typtype, t.typbasetype FROM pg_type t JOIN made_of d ON d.typtype = 'd' AND t.oid = d.typbasetype
    ) SELECT format_type(oid, NULL) FROM made_of WHERE typtype <> 'd') AS type
  FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`;

export function dumpPostgres(url: string, options: DumpOptions): Promise<Dump> {
  return withClient(url, async (client) => {
    await client.query(SETTINGS);
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    const tables = new Map<string, DumpedTable>();
    for (const relation of await relationsOf(client, options)) {
      tables.set(nameOf(relation), await dumpTable(client, relation));
    }
    await client.query('COMMIT');
    return { kind: 'postgres', tables };
  });
}

const nameOf = ({ schema, name }: Relation): string => (schema === 'public' ? name : `${schema}.${name}`);

async function relationsOf(client: pg.Client, { schemas, tables }: DumpOptions): Promise<readonly Relation[]> {
  const all = (await client.query<Relation>(RELATIONS)).rows;
  return all
    .filter(({ schema, name }) => !isOwnTable(schema, name))
    .filter(({ schema }) => schemas === undefined || schemas.includes(schema))
    .filter((relation) => tables === undefined || tables.includes(nameOf(relation)));
}

/** Values come as PostgreSQL prints them: the driver is told to leave them alone. */
const AS_TEXT = { getTypeParser: () => (text: string) => text };

async function dumpTable(client: pg.Client, relation: Relation): Promise<DumpedTable> {
  const columns = (await client.query<{ name: string; type: string }>(COLUMNS, [relation.oid])).rows;
  const list = columns.map(({ name }) => quoteName(name)).join(', ');
  const only = relation.partitioned ? '' : 'ONLY ';
  const text = `SELECT ${list} FROM ${only}${quoteName(relation.schema)}.${quoteName(relation.name)}`;
  const { rows } = await client.query<(string | null)[]>({ text, rowMode: 'array', types: AS_TEXT });
  return { name: nameOf(relation), columns, rows };
}
