import { SpeilError } from '../../core/error.ts';
import { TRACKING_SCHEMA } from './catalogue-sql.ts';
import {
  endTrackingDdl,
  type RelationState,
  SENTINEL_XID,
  sideTable,
  TRIGGERS_NOW_SQL,
  type TrackedState,
} from './change-tracking.ts';
import type { PostgresConnection, Row } from './connection.ts';

export type TrackingState = {
  readonly isSetUp: boolean;
  /** By the oid of the table. */
  readonly tables: ReadonlyMap<number, TrackedState>;
  /** By the oid of the relation. */
  readonly triggersNow: ReadonlyMap<number, string>;
};

/** Tracking is changed by one session at a time. */
export const TRACKING_LOCK = "SELECT pg_advisory_xact_lock(hashtext('speil'), hashtext('tracking'))";

export async function readTracking(connection: PostgresConnection): Promise<TrackingState> {
  if (!(await readIsSetUp(connection))) return { isSetUp: false, tables: new Map(), triggersNow: new Map() };
  const rows = await connection.query<TrackedRow>(
    `SELECT t.relid::bigint::float8 AS oid, t.n, t.tracking_id, t.made_for,
       c.oid IS NOT NULL AND NOT EXISTS (SELECT FROM ${TRACKING_SCHEMA}.lost l WHERE l.n = t.n) AS intact
     FROM ${TRACKING_SCHEMA}.tracked t
       LEFT JOIN pg_class c ON c.relname = 'change_' || t.n AND c.relnamespace = '${TRACKING_SCHEMA}'::regnamespace`,
  );
  const relations = await connection.query<RelationRow>(
    `SELECT n, relid::bigint::float8 AS oid, filenode, definition, triggers FROM ${TRACKING_SCHEMA}.relation`,
  );
  const relationsOf = Map.groupBy(relations, (relation) => relation.n);
  const emptied = await emptiedSideTables(
    connection,
    rows.filter((row) => row.intact && isUnlogged(row.made_for)).map((row) => row.n),
  );
  const triggers = await connection.query<{ oid: number; triggers: string }>(TRIGGERS_NOW_SQL, [null]);
  return {
    isSetUp: true,
    tables: new Map(
      rows.map((row) => [row.oid, toState(row, relationsOf.get(row.n) ?? [], row.intact && !emptied.has(row.n))]),
    ),
    triggersNow: new Map(triggers.map((row) => [row.oid, row.triggers])),
  };
}

type TrackedRow = Row & {
  readonly oid: number;
  readonly n: number;
  readonly tracking_id: string;
  readonly made_for: string;
  readonly intact: boolean;
};

type RelationRow = Row & RelationState & { readonly n: number; readonly oid: number };

const toState = (row: TrackedRow, relations: readonly RelationRow[], intact: boolean): TrackedState => ({
  n: row.n,
  trackingId: row.tracking_id,
  madeFor: row.made_for,
  relations: new Map(
    relations.map(({ oid, filenode, definition, triggers }) => [oid, { filenode, definition, triggers }]),
  ),
  intact,
});

const isUnlogged = (made: string): boolean => (JSON.parse(made) as [string, boolean])[1];

/** After a crash an unlogged table is empty, and so is its side table, which is unlogged too: the sentinel is gone. */
async function emptiedSideTables(connection: PostgresConnection, numbers: readonly number[]): Promise<Set<number>> {
  if (numbers.length === 0) return new Set();
  const rows = await connection.query<{ n: number }>(
    numbers
      .map((n) => `SELECT ${n} AS n WHERE NOT EXISTS (SELECT FROM ${sideTable(n)} WHERE speil_xid = '${SENTINEL_XID}')`)
      .join(' UNION ALL '),
  );
  return new Set(rows.map((row) => row.n));
}

export async function readIsSetUp(connection: PostgresConnection): Promise<boolean> {
  await requireUsable(connection);
  const { there } = await connection.one<{ there: boolean }>(
    `SELECT to_regclass('${TRACKING_SCHEMA}.lost') IS NOT NULL AS there`,
  );
  return there;
}

/** Another login may have made the schema: then not even a plan can be read, and the answer is a statement to type. */
async function requireUsable(connection: PostgresConnection): Promise<void> {
  const [barred] = await connection.query<{ owner: string; me: string }>(
    `SELECT nspowner::regrole::text AS owner, quote_ident(current_user) AS me FROM pg_namespace
     WHERE nspname = '${TRACKING_SCHEMA}' AND NOT has_schema_privilege(oid, 'USAGE')`,
  );
  if (barred === undefined) return;
  const { owner, me } = barred;
  throw new SpeilError('PRIVILEGE_MISSING', `the schema ${TRACKING_SCHEMA} of the source belongs to ${owner}`, {
    hint: `Connect as ${owner}, or let this login act for it: GRANT ${owner} TO ${me};`,
  });
}

/** Ends the tracking of a table: its side table, its function and with it its triggers. */
export async function forget(connection: PostgresConnection, n: number): Promise<void> {
  await connection.query(`DELETE FROM ${TRACKING_SCHEMA}.tracked WHERE n = $1`, [n]);
  await connection.query(`DELETE FROM ${TRACKING_SCHEMA}.lost WHERE n = $1`, [n]);
  for (const sql of endTrackingDdl(n)) await connection.query(sql);
}

export async function inTransaction<T>(connection: PostgresConnection, work: () => Promise<T>): Promise<T> {
  await connection.query('BEGIN');
  try {
    const result = await work();
    await connection.query('COMMIT');
    return result;
  } catch (error) {
    if (connection.isUsable) await connection.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
