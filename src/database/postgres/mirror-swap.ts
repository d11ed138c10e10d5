import { SpeilError } from '../../core/error.ts';
import { TableName } from '../../core/table.ts';
import type { WriteTarget } from '../mirror-database.ts';
import type { PostgresConnection } from './connection.ts';
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
  const table = dialect.qualify(targetName(target));
  let duplicates = 0;
  if (target.schema.key.length > 0) {
    const addKey = () => connection.query(`ALTER TABLE ${table} ADD PRIMARY KEY (${identList(target.schema.key)})`);
    try {
      await inSavepoint(connection, addKey);
    } catch (error) {
      if (!(error instanceof SpeilError) || error.code !== 'KEY_VIOLATED') throw error;
      duplicates = await removeDuplicates(connection, table, target.schema.key);
      await addKey();
    }
  }
  await buildOwnersIndexes(writer, target);
  return { duplicates };
}

const removeDuplicates = (connection: PostgresConnection, table: string, key: readonly string[]): Promise<number> =>
  connection.execute(
    `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM (SELECT ctid, row_number() OVER (PARTITION BY ${identList(key)} ORDER BY ctid DESC) AS nth FROM ${table}) d
       WHERE nth > 1))`,
  );

async function inSavepoint<T>(connection: PostgresConnection, work: () => Promise<T>): Promise<T> {
  await connection.query('SAVEPOINT speil_swap');
  try {
    const result = await work();
    await connection.query('RELEASE SAVEPOINT speil_swap');
    return result;
  } catch (error) {
    if (connection.isUsable) await connection.query('ROLLBACK TO SAVEPOINT speil_swap');
    throw error;
  }
}

type OwnersIndex = { readonly oid: number; readonly name: string; readonly definition: string };

/** Indexes that the owner added: all but our key and those that a constraint keeps. */
const ownersIndexes = (connection: PostgresConnection, table: string): Promise<OwnersIndex[]> =>
  connection.query<OwnersIndex & Readonly<Record<string, unknown>>>(
    `SELECT i.indexrelid::bigint::float8 AS oid, c.relname AS name, pg_get_indexdef(i.indexrelid) AS definition
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE i.indrelid = to_regclass($1) AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
     ORDER BY c.relname`,
    [table],
  );

const temporaryIndexName = (oid: number): string => `speil_index_${oid}`;

async function buildOwnersIndexes(writer: Writer, target: WriteTarget): Promise<void> {
  const live = writer.dialect.qualify(target.schema.table);
  const shadow = writer.dialect.qualify(targetName(target));
  for (const index of await ownersIndexes(writer.connection, live)) {
    const build = () => writer.connection.query(indexSql(index, temporaryIndexName(index.oid), shadow));
    await inSavepoint(writer.connection, build).catch(rethrowIfLost);
  }
}

/** An index whose column is gone is told of at the swap, not here. */
function rethrowIfLost(error: unknown): void {
  if (error instanceof SpeilError && error.code === 'CONNECTION_LOST') throw error;
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
  const { there } = await connection.one<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [live]);
  const belongings = there ? await readBelongings(writer, target) : [];
  for (const { drop } of belongings.toReversed()) if (drop !== null) await connection.query(drop);
  if (there) await connection.query(`DROP TABLE ${live}`);
  await connection.query(`ALTER TABLE ${shadow} RENAME TO ${ident(target.schema.table.name)}`);
  await renameKey(connection, live, target.schema.table.name);
  const notes: string[] = [];
  for (const belonging of belongings) {
    const note = await makeAgain(connection, belonging);
    if (note !== null) notes.push(`${TableName.toText(target.schema.table)}: ${note}`);
  }
  return { notes };
}

async function makeAgain(connection: PostgresConnection, { what, create }: Belonging): Promise<string | null> {
  try {
    await inSavepoint(connection, async () => {
      for (const sql of create) await connection.query(sql);
    });
    return null;
  } catch (error) {
    rethrowIfLost(error);
    return `${what} could not be kept: ${error instanceof Error ? error.message : error}`;
  }
}

/** The key's constraint is named after the shadow; give it the usual name if that is free. */
async function renameKey(connection: PostgresConnection, live: string, name: string): Promise<void> {
  const [key] = await connection.query<{ name: string }>(
    "SELECT conname AS name FROM pg_constraint WHERE conrelid = to_regclass($1) AND contype = 'p'",
    [live],
  );
  const wanted = `${name.slice(0, 50)}_pkey`;
  if (key === undefined || key.name === wanted) return;
  const rename = () => connection.query(`ALTER TABLE ${live} RENAME CONSTRAINT ${ident(key.name)} TO ${ident(wanted)}`);
  await inSavepoint(connection, rename).catch(rethrowIfLost);
}

async function readBelongings(writer: Writer, target: WriteTarget): Promise<readonly Belonging[]> {
  const live = writer.dialect.qualify(target.schema.table);
  const { connection } = writer;
  const dependents = await dependentViews(connection, live);
  return [
    ...(await indexBelongings(writer, target, live)),
    ...(await statements(connection, CONSTRAINTS_SQL, live)),
    ...(await statements(connection, TRIGGERS_SQL, live)),
    ...(await statements(connection, GRANTS_SQL, live)),
    ...(await statements(connection, COMMENTS_SQL, live)),
    ...(await statements(connection, FOREIGN_KEYS_TO_SQL, live)),
    ...dependents,
  ];
}

async function indexBelongings(writer: Writer, target: WriteTarget, live: string): Promise<readonly Belonging[]> {
  const indexes = await ownersIndexes(writer.connection, live);
  const schema = writer.dialect.qualify({ schema: target.schema.table.schema, name: '' }).replace(/\.""$/, '');
  const built = await writer.connection.query<{ name: string }>(
    'SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = to_regclass($1)',
    [writer.dialect.qualify(targetName(target))],
  );
  return indexes.map((index) => {
    const temporary = temporaryIndexName(index.oid);
    const isBuilt = built.some(({ name }) => name === temporary);
    const create = isBuilt
      ? `ALTER INDEX ${schema}.${ident(temporary)} RENAME TO ${ident(index.name)}`
      : indexSql(index, index.name, live);
    return { what: `index ${index.name}`, create: [create], drop: null };
  });
}

type StatementRow = { readonly what: string; readonly create: string; readonly drop: string | null };

async function statements(connection: PostgresConnection, sql: string, table: string): Promise<readonly Belonging[]> {
  const rows = await connection.query<StatementRow & Readonly<Record<string, unknown>>>(sql, [table]);
  return rows.map((row) => ({ what: row.what, create: [row.create], drop: row.drop }));
}

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

type ViewRow = {
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

/** Views on the table and views on those, each after what it needs. */
async function dependentViews(connection: PostgresConnection, table: string): Promise<readonly Belonging[]> {
  const rows = await connection.query<ViewRow & Readonly<Record<string, unknown>>>(DEPENDENT_VIEWS_SQL, [table]);
  return rows.map((view) => {
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
  });
}

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
