import type { MissingPrivilege } from '../source-database.ts';
import { TRACKING_SCHEMA } from './catalogue-sql.ts';
import type { PostgresConnection } from './connection.ts';
import type { PostgresTable } from './introspect.ts';
import { ident } from './sql.ts';

/** What the login lacks for the database as a whole. */
export async function missingInDatabase(
  connection: PostgresConnection,
  isSetUp: boolean,
): Promise<readonly MissingPrivilege[]> {
  const row = await connection.one<{
    create: boolean;
    schema: boolean;
    standby: boolean;
    me: string;
    database: string;
  }>(
    `SELECT has_database_privilege(current_database(), 'CREATE') AS create, pg_is_in_recovery() AS standby,
       coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = '${TRACKING_SCHEMA}'), false) AS schema,
       current_user AS me, current_database() AS database`,
  );
  const missing: MissingPrivilege[] = [];
  if (row.standby) {
    missing.push({
      what: 'the source is a standby: change tracking cannot be written',
      grant: 'name the primary server',
      required: true,
    });
  }
  if (!isSetUp && !row.create && !row.schema) {
    missing.push({
      what: `CREATE on the database, for the schema ${TRACKING_SCHEMA}`,
      grant: `GRANT CREATE ON DATABASE ${ident(row.database)} TO ${ident(row.me)};`,
      required: true,
    });
  }
  return missing;
}

type TablePrivileges = {
  readonly oid: number;
  readonly usage: boolean;
  readonly select: boolean;
  readonly trigger: boolean;
  readonly owns: boolean;
  readonly owner: string;
  readonly policies: boolean;
  readonly me: string;
  readonly schema: string;
  readonly name: string;
};

const TABLE_PRIVILEGES_SQL = `
  SELECT c.oid::bigint::float8 AS oid, has_schema_privilege(n.oid, 'USAGE') AS usage, has_table_privilege(c.oid, 'SELECT') AS select,
    has_table_privilege(c.oid, 'TRIGGER') AS trigger, pg_has_role(c.relowner, 'USAGE') AS owns,
    pg_get_userbyid(c.relowner) AS owner, current_user AS me, n.nspname AS schema, c.relname AS name,
    c.relrowsecurity AND row_security_active(c.oid) AS policies
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[])`;

/** What the login lacks on tables and their partitions, by the oid of the table. */
export async function missingOnTables(
  connection: PostgresConnection,
  tables: readonly PostgresTable[],
): Promise<ReadonlyMap<number, readonly MissingPrivilege[]>> {
  const oids = tables.flatMap((table) => table.writable.map((relation) => relation.oid));
  const rows = await connection.query<TablePrivileges>(TABLE_PRIVILEGES_SQL, [oids]);
  const byOid = new Map(rows.map((row) => [row.oid, row]));
  return new Map(
    tables.map((table) => [
      table.oid,
      table.writable.flatMap((relation) => {
        const row = byOid.get(relation.oid);
        return row === undefined ? [] : missingOf(row);
      }),
    ]),
  );
}

function missingOf(row: TablePrivileges): readonly MissingPrivilege[] {
  const table = `${ident(row.schema)}.${ident(row.name)}`;
  const missing: MissingPrivilege[] = [];
  const need = (holds: boolean, privilege: string, on: string) => {
    if (holds) return;
    missing.push({
      what: `${privilege} on ${on}`,
      grant: `GRANT ${privilege} ON ${on} TO ${ident(row.me)};`,
      required: true,
    });
  };
  need(row.usage, 'USAGE', `SCHEMA ${ident(row.schema)}`);
  need(row.select, 'SELECT', table);
  need(row.trigger || row.owns, 'TRIGGER', table);
  if (!row.owns) {
    missing.push({
      what: `ownership of ${table}, to see writes under session_replication_role = replica`,
      grant: `GRANT ${ident(row.owner)} TO ${ident(row.me)};`,
      required: false,
    });
  }
  if (row.policies) {
    missing.push({
      what: `row security of ${table} hides rows from this login`,
      grant: `ALTER ROLE ${ident(row.me)} BYPASSRLS;`,
      required: true,
    });
  }
  return missing;
}
