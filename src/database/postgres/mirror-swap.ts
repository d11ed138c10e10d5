import { SpeilError } from '../../core/error.ts';
import { TableName } from '../../core/table.ts';
import type { WriteTarget } from '../mirror-database.ts';
import { type PostgresConnection, type Row, rethrowIfLost } from './connection.ts';
import { targetName } from './mirror-tables.ts';
import type { Writer } from './mirror-write.ts';
import { ident, identList, literal } from './sql.ts';

/** Something of the mirror's owner that hangs on a table, and how to make it again. */
type Belonging = { readonly what: string; readonly create: readonly string[]; readonly drop: string | null };

/**
 * The key, after the rows: building it once is cheaper than keeping it. Rows that came twice go first, whichever of
 * them is left: a row that moved during the copy is in the changes too. Then the owner's indexes, under names of ours.
 * The table itself keeps its key and indexes while it is filled.
 */
export async function buildKey(writer: Writer, target: WriteTarget): Promise<{ readonly duplicates: number }> {
  if (target.shadow === null) return { duplicates: 0 };
  const { connection, dialect } = writer;
  const { key, table } = target.schema;
  const shadow = dialect.qualify(targetName(target));
  const addKey = (): Promise<OwnersIndex[]> => {
    if (key.length > 0) connection.post(`ALTER TABLE ${shadow} ADD PRIMARY KEY (${identList(key)})`);
    return connection.query<OwnersIndex>(about(OWNERS_INDEXES_SQL, dialect.qualify(table)));
  };
  let duplicates = 0;
  const indexes = await connection.savepoint(addKey).catch(async (error: unknown) => {
    if (!(error instanceof SpeilError) || error.code !== 'KEY_VIOLATED' || connection.isAborted) throw error;
    duplicates = await removeDuplicates(connection, shadow, key);
    return addKey();
  });
  await buildOwnersIndexes(connection, indexes, shadow);
  return { duplicates };
}

const removeDuplicates = (connection: PostgresConnection, table: string, key: readonly string[]): Promise<number> =>
  connection.execute(
    `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM (SELECT ctid, row_number() OVER (PARTITION BY ${identList(key)} ORDER BY ctid DESC) AS nth FROM ${table}) d
       WHERE nth > 1))`,
  );

type OwnersIndex = Row & { readonly oid: number; readonly name: string; readonly definition: string };

/** Indexes that the owner added: all but our key and those that a constraint keeps. `$1` is the table, as in all below. */
const OWNERS_INDEXES_SQL = `
  SELECT i.indexrelid::bigint::float8 AS oid, c.relname AS name, pg_get_indexdef(i.indexrelid) AS definition
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  WHERE i.indrelid = to_regclass($1) AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
  ORDER BY c.relname`;

const about = (sql: string, table: string): string => sql.replaceAll('$1', () => literal(table));

const temporaryIndexName = (oid: number): string => `speil_index_${oid}`;

async function buildOwnersIndexes(
  connection: PostgresConnection,
  indexes: readonly OwnersIndex[],
  shadow: string,
): Promise<void> {
  for (const index of indexes) {
    const build = () => connection.query(indexSql(index, temporaryIndexName(index.oid), shadow));
    await unlessAborted(connection, connection.savepoint(build));
  }
}

/** Of a savepoint's work that may fail: answers why it did. An index whose column is gone is told of at the swap. */
async function unlessAborted(connection: PostgresConnection, work: Promise<unknown>): Promise<string | null> {
  try {
    await work;
    return null;
  } catch (error) {
    rethrowIfLost(error);
    if (connection.isAborted) throw error;
    return error instanceof Error ? error.message : String(error);
  }
}

/** The definition from ` USING ` on, on another table under another name. */
function indexSql({ definition }: OwnersIndex, name: string, table: string): string {
  const unique = definition.startsWith('CREATE UNIQUE') ? 'UNIQUE ' : '';
  return `CREATE ${unique}INDEX ${ident(name)} ON ${table}${definition.slice(definition.indexOf(' USING '))}`;
}

/**
 * The shadow takes the table's place, all in the transaction that is open: readers see the old rows or the new ones.
 * What the owner hung on the table is made again; what its columns no longer allow is left out and told.
 */
export async function swapTables(writer: Writer, target: WriteTarget): Promise<{ readonly notes: readonly string[] }> {
  const { connection, dialect } = writer;
  if (target.shadow === null) return { notes: [] };
  const live = dialect.qualify(target.schema.table);
  const shadow = dialect.qualify(targetName(target));
  const { key, belongings } = await readAround(writer, target);
  for (const { drop } of belongings.toReversed()) if (drop !== null) connection.post(drop);
  connection.post(`DROP TABLE IF EXISTS ${live}`);
  connection.post(`ALTER TABLE ${shadow} RENAME TO ${ident(target.schema.table.name)}`);
  if (key !== null) await renameKey(connection, { table: live, key, wanted: keyName(target) });
  const notes: string[] = [];
  for (const belonging of belongings) {
    const note = await makeAgain(connection, belonging);
    if (note !== null) notes.push(`${TableName.toText(target.schema.table)}: ${note}`);
  }
  return { notes };
}

async function makeAgain(connection: PostgresConnection, { what, create }: Belonging): Promise<string | null> {
  const made = connection.savepoint(async () => {
    for (const sql of create) connection.post(sql);
  });
  const why = await unlessAborted(connection, made);
  return why === null ? null : `${what} could not be kept: ${why}`;
}

const keyName = ({ schema }: WriteTarget): string => `${schema.table.name.slice(0, 50)}_pkey`;

/** The key's constraint is named after the shadow; give it the usual name if that is free. */
async function renameKey(
  connection: PostgresConnection,
  { table, key, wanted }: { readonly table: string; readonly key: string; readonly wanted: string },
): Promise<void> {
  if (key === wanted) return;
  const rename = () => connection.query(`ALTER TABLE ${table} RENAME CONSTRAINT ${ident(key)} TO ${ident(wanted)}`);
  await unlessAborted(connection, connection.savepoint(rename));
}

type Around = {
  /** Name of the shadow's key; null when it has none. */
  readonly key: string | null;
  /** What hangs on the table; nothing when it is not there. */
  readonly belongings: readonly Belonging[];
};

/** All that a swap has to know, in one round trip. */
async function readAround(writer: Writer, target: WriteTarget): Promise<Around> {
  const live = writer.dialect.qualify(target.schema.table);
  const shadow = writer.dialect.qualify(targetName(target));
  const [keys, built, indexes, views, ...statements] = (await writer.connection.queryEach([
    about(KEY_SQL, shadow),
    about(INDEX_NAMES_SQL, shadow),
    ...[OWNERS_INDEXES_SQL, DEPENDENT_VIEWS_SQL, ...STATEMENTS_SQL].map((sql) => about(sql, live)),
  ])) as readonly [readonly Named[], readonly Named[], readonly OwnersIndex[], readonly ViewRow[], ...StatementRow[][]];
  return {
    key: keys[0]?.name ?? null,
    belongings: [
      ...indexBelongings(writer, target, { indexes, built }),
      ...statements.flat().map(({ what, create, drop }) => ({ what, create: [create], drop })),
      ...views.map(viewBelonging),
    ],
  };
}

function indexBelongings(
  writer: Writer,
  target: WriteTarget,
  { indexes, built }: { readonly indexes: readonly OwnersIndex[]; readonly built: readonly Named[] },
): readonly Belonging[] {
  const live = writer.dialect.qualify(target.schema.table);
  const schema = writer.dialect.qualify({ schema: target.schema.table.schema, name: '' }).replace(/\.""$/, '');
  return indexes.map((index) => {
    const temporary = temporaryIndexName(index.oid);
    const isBuilt = built.some(({ name }) => name === temporary);
    const create = isBuilt
      ? `ALTER INDEX ${schema}.${ident(temporary)} RENAME TO ${ident(index.name)}`
      : indexSql(index, index.name, live);
    return { what: `index ${index.name}`, create: [create], drop: null };
  });
}

type Named = Row & { readonly name: string };
type StatementRow = Row & { readonly what: string; readonly create: string; readonly drop: string | null };

const KEY_SQL = "SELECT conname AS name FROM pg_constraint WHERE conrelid = to_regclass($1) AND contype = 'p'";

const INDEX_NAMES_SQL =
  'SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = to_regclass($1)';

/** `regclass::text` is qualified, since our search_path is `pg_catalog` alone. */
const CONSTRAINTS_SQL = `
  SELECT 'constraint ' || conname AS what, NULL AS drop,
    format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS create
  FROM pg_constraint WHERE conrelid = to_regclass($1) AND contype IN ('u', 'c', 'x', 'f') ORDER BY contype <> 'u', conname`;

const FOREIGN_KEYS_TO_SQL = `
  SELECT 'foreign key ' || conname AS what, format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS drop,
    format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS create
  FROM pg_constraint WHERE confrelid = to_regclass($1) AND conrelid <> to_regclass($1) AND contype = 'f' ORDER BY conname`;

const TRIGGERS_SQL = `
  SELECT 'trigger ' || tgname AS what, NULL AS drop, pg_get_triggerdef(oid) AS create
  FROM pg_trigger WHERE tgrelid = to_regclass($1) AND NOT tgisinternal ORDER BY tgname`;

const COMMENTS_SQL = `
  SELECT 'comment' AS what, NULL AS drop, format('COMMENT ON TABLE %s IS %L', c.oid::regclass, d.description) AS create
  FROM pg_class c JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = 0
  WHERE c.oid = to_regclass($1)
  UNION ALL
  SELECT 'comment on column ' || a.attname, NULL, format('COMMENT ON COLUMN %s.%I IS %L', c.oid::regclass, a.attname, d.description)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = a.attnum
  WHERE c.oid = to_regclass($1) AND a.attnum > 0`;

const aclSql = (acl: string, on: string): string => `
  SELECT 'grant to ' || coalesce(r.rolname, 'PUBLIC') AS what, NULL AS drop,
    format('GRANT %s ${on} TO %s%s', g.privilege_type, ${on.includes('%I') ? 'a.attname, ' : ''}c.oid::regclass,
      coalesce(quote_ident(r.rolname), 'PUBLIC'), CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS create
  FROM pg_class c ${on.includes('%I') ? 'JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0' : ''}
    CROSS JOIN LATERAL aclexplode(${acl}) g LEFT JOIN pg_roles r ON r.oid = g.grantee
  WHERE c.oid = to_regclass($1) AND g.grantee <> c.relowner`;

const GRANTS_SQL = `${aclSql('c.relacl', 'ON %s')} UNION ALL ${aclSql('a.attacl', '(%I) ON %s')}`;

/** Each answers how to make things again, in the order in which they are made. */
const STATEMENTS_SQL = [CONSTRAINTS_SQL, TRIGGERS_SQL, GRANTS_SQL, COMMENTS_SQL, FOREIGN_KEYS_TO_SQL];

type ViewRow = Row & {
  readonly oid: number;
  readonly name: string;
  readonly kind: string;
  readonly definition: string;
  readonly options: readonly string[] | null;
  readonly owner: string;
  readonly comment: string | null;
  readonly grants: readonly string[] | null;
  readonly indexes: readonly string[] | null;
};

function viewBelonging(view: ViewRow): Belonging {
  const word = view.kind === 'm' ? 'MATERIALIZED VIEW' : 'VIEW';
  const options = view.options === null ? '' : ` WITH (${view.options.join(', ')})`;
  const definition = view.definition.replace(/;\s*$/, '');
  return {
    what: `view ${view.name}`,
    drop: `DROP ${word} ${view.name}`,
    create: [
      `CREATE ${word} ${view.name}${options} AS ${definition}`,
      `ALTER ${word} ${view.name} OWNER TO ${ident(view.owner)}`,
      ...(view.comment === null ? [] : [`COMMENT ON ${word} ${view.name} IS ${literal(view.comment)}`]),
      ...(view.grants ?? []),
      ...(view.indexes ?? []),
    ],
  };
}

/** Views on the table and views on those, each after what it needs. */
const DEPENDENT_VIEWS_SQL = `
  WITH RECURSIVE views AS (
    SELECT r.ev_class AS oid, 1 AS depth FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass($1)
    UNION
    SELECT r.ev_class, v.depth + 1 FROM views v JOIN pg_depend d ON d.refobjid = v.oid AND d.refclassid = 'pg_class'::regclass
      JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
    WHERE r.ev_class <> v.oid
  )
  SELECT c.oid::bigint::float8 AS oid, c.oid::regclass::text AS name, c.relkind::text AS kind, pg_get_viewdef(c.oid) AS definition,
    c.reloptions AS options, pg_get_userbyid(c.relowner) AS owner, obj_description(c.oid, 'pg_class') AS comment,
    (SELECT array_agg(format('GRANT %s ON %s TO %s%s', g.privilege_type, c.oid::regclass, coalesce(quote_ident(r.rolname), 'PUBLIC'),
       CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END))
     FROM aclexplode(c.relacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee WHERE g.grantee <> c.relowner) AS grants,
    (SELECT array_agg(pg_get_indexdef(i.indexrelid)) FROM pg_index i WHERE i.indrelid = c.oid) AS indexes
  FROM (SELECT oid, max(depth) AS depth FROM views GROUP BY oid) v JOIN pg_class c ON c.oid = v.oid
  WHERE c.relkind IN ('v', 'm') ORDER BY v.depth, c.oid`;
