import type { Random } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import { TableName } from '../../core/table.ts';
import type { MissingPrivilege } from '../source-database.ts';
import { TRACKING_SCHEMA } from './catalogue-sql.ts';
import {
  beginTrackingDdl,
  enableAlwaysDdl,
  enqueueAllSql,
  judgeTracking,
  madeFor,
  SETUP_DDL,
  TRIGGERS_NOW_SQL,
  type TrackedState,
  type TrackingStep,
  triggerDdl,
} from './change-tracking.ts';
import type { PostgresConnection } from './connection.ts';
import { SERVER_SQL } from './history.ts';
import type { PostgresTable, StoredRelation } from './introspect.ts';
import { missingInDatabase, missingOnTables } from './privileges.ts';
import type { TrackedPostgresTable } from './snapshot.ts';
import { ident } from './sql.ts';
import { forget, inTransaction, readIsSetUp, readTracking, TRACKING_LOCK } from './tracking-state.ts';

/** In the order in which they can be dropped. */
const CATALOGUE_TABLES = ['relation', 'tracked', 'bookmark', 'lost', 'history'] as const;

/** Makes the schema `speil` when it is not there, and makes it this database's own when it came from another. */
export async function setUpTracking(connection: PostgresConnection, random: Random): Promise<void> {
  if (!(await readIsSetUp(connection))) return beginHistory(connection, random);
  const { moved } = await connection.one<{ moved: boolean }>(
    `SELECT server <> ${SERVER_SQL} AS moved FROM ${TRACKING_SCHEMA}.history`,
  );
  if (moved) await inTransaction(connection, () => settleHistory(connection));
}

async function beginHistory(connection: PostgresConnection, random: Random): Promise<void> {
  refuseIfMissing('the source', await missingInDatabase(connection, false));
  await inTransaction(connection, async () => {
    await connection.query(TRACKING_LOCK);
    const { there } = await connection.one<{ there: boolean }>(
      `SELECT to_regnamespace('${TRACKING_SCHEMA}') IS NOT NULL AS there`,
    );
    if (there && !(await readIsSetUp(connection))) await refuseForeign(connection);
    for (const sql of there ? SETUP_DDL.slice(1) : SETUP_DDL) await connection.query(sql);
    await connection.query(
      `INSERT INTO ${TRACKING_SCHEMA}.history (id, server, valid_from, pruned_at)
       VALUES ($1, ${SERVER_SQL}, pg_snapshot_xmin(pg_current_snapshot()), now()) ON CONFLICT DO NOTHING`,
      [random.uuid()],
    );
  });
}

/** A schema of this name can be somebody else's. What has our names in it is not ours and must not become so. */
async function refuseForeign(connection: PostgresConnection): Promise<void> {
  const taken = await connection.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = '${TRACKING_SCHEMA}'::regnamespace
       AND relname = ANY ($1::text[]) ORDER BY 1`,
    [[...CATALOGUE_TABLES, 'tracked_n']],
  );
  if (taken.length === 0) return;
  const names = taken.map(({ name }) => `${TRACKING_SCHEMA}.${name}`).join(', ');
  throw new SpeilError('NAME_TAKEN', `the source has ${names}, not made by Speil, where change tracking belongs`, {
    hint: `Rename it, or the schema: ALTER SCHEMA ${TRACKING_SCHEMA} RENAME TO … .`,
  });
}

/**
 * A dump or a copied database brought the tracking along. Numbers of transactions and objects are others here, so that
 * tracking of every table has to begin anew; its triggers, which work, stay until then. The bookmarks stay too: by them
 * the mirrors of the old place are known.
 */
async function settleHistory(connection: PostgresConnection): Promise<void> {
  await connection.query(TRACKING_LOCK);
  await connection.query(`UPDATE ${TRACKING_SCHEMA}.bookmark SET xid = '0', horizon = '0'`);
  const tables = await connection.query<{ n: number; tracking_id: string; relid: string | null }>(
    `SELECT n, tracking_id, (SELECT min(g.tgrelid)::text FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
       WHERE NOT c.relispartition AND g.tgfoid = to_regproc('${TRACKING_SCHEMA}.track_' || n)) AS relid
     FROM ${TRACKING_SCHEMA}.tracked`,
  );
  for (const { n, tracking_id, relid } of tables) {
    if (relid === null) await forget(connection, n);
    else await connection.query(`DELETE FROM ${TRACKING_SCHEMA}.tracked WHERE n = $1 OR relid = $2`, [n, relid]);
    if (relid !== null)
      await connection.query(`INSERT INTO ${TRACKING_SCHEMA}.tracked VALUES ($1, $2, $3, '[]')`, [
        n,
        relid,
        tracking_id,
      ]);
  }
  await connection.query(
    `UPDATE ${TRACKING_SCHEMA}.history SET server = ${SERVER_SQL}, valid_from = pg_snapshot_xmin(pg_current_snapshot())`,
  );
}

export type TrackingOutcome = {
  readonly tracked: readonly TrackedPostgresTable[];
  readonly refused: readonly { readonly table: PostgresTable; readonly error: unknown }[];
  readonly notes: readonly string[];
};

/** Brings tracking of each table into order, each in a transaction of its own, so that one cannot hinder another. */
export async function applyTracking(
  connection: PostgresConnection,
  tables: readonly PostgresTable[],
  random: Random,
): Promise<TrackingOutcome> {
  const state = await readTracking(connection);
  const tracked: TrackedPostgresTable[] = [];
  const refused: { table: PostgresTable; error: unknown }[] = [];
  const notes: string[] = [];
  for (const table of tables) {
    const known = state.tables.get(table.oid);
    const step = judgeTracking(table, known, state.triggersNow);
    try {
      if (step.kind === 'begin' || step.kind === 'extend') await requirePrivileges(connection, table);
      tracked.push(await takeStep(connection, { table, known, step, random, notes }));
    } catch (error) {
      if (isFatal(error)) throw error;
      refused.push({ table, error });
    }
  }
  return { tracked, refused, notes };
}

/** Looked at before anything is tried, so that the answer is a statement to type. */
async function requirePrivileges(connection: PostgresConnection, table: PostgresTable): Promise<void> {
  const missing = (await missingOnTables(connection, [table])).get(table.oid) ?? [];
  refuseIfMissing(TableName.toText(table.schema.table), missing);
}

function refuseIfMissing(what: string, missing: readonly MissingPrivilege[]): void {
  const required = missing.filter((privilege) => privilege.required);
  if (required.length === 0) return;
  throw new SpeilError(
    'PRIVILEGE_MISSING',
    `${what} cannot be mirrored: ${required.map((one) => one.what).join(', ')} is missing`,
    {
      hint: required.map((one) => one.grant).join(' '),
    },
  );
}

const isFatal = (error: unknown): boolean => error instanceof SpeilError && error.code === 'CONNECTION_LOST';

type StepContext = {
  readonly table: PostgresTable;
  readonly known: TrackedState | undefined;
  readonly step: TrackingStep;
  readonly random: Random;
  readonly notes: string[];
};

async function takeStep(connection: PostgresConnection, context: StepContext): Promise<TrackedPostgresTable> {
  const { table, known, step } = context;
  if (known === undefined || step.kind === 'begin') return begin(connection, context);
  if (step.kind === 'extend')
    await inTransaction(connection, () => extend(connection, table, known.n, step.added, context.notes));
  if (step.kind === 'refresh') await rememberRelations(connection, known.n, step.relations);
  return { table, n: known.n, trackingId: known.trackingId, isNew: false };
}

async function begin(
  connection: PostgresConnection,
  { table, known, random, notes }: StepContext,
): Promise<TrackedPostgresTable> {
  const trackingId = random.uuid();
  const n = await inTransaction(connection, async () => {
    await connection.query(TRACKING_LOCK);
    if (known !== undefined) await forget(connection, known.n);
    await connection.query(`DELETE FROM ${TRACKING_SCHEMA}.relation WHERE relid = ANY ($1::oid[])`, [
      table.writable.map((relation) => relation.oid),
    ]);
    const next = await connection.one<{ n: number }>(`SELECT nextval('${TRACKING_SCHEMA}.tracked_n')::int AS n`);
    await dropOurTriggers(connection, table.writable);
    for (const sql of beginTrackingDdl(table, next.n)) await connection.query(sql);
    await enableAlways(connection, table.writable, notes);
    await connection.query(`INSERT INTO ${TRACKING_SCHEMA}.tracked VALUES ($1, $2, $3, $4)`, [
      next.n,
      table.oid,
      trackingId,
      madeFor(table),
    ]);
    await rememberRelations(connection, next.n, table.writable);
    return next.n;
  });
  return { table, n, trackingId, isNew: true };
}

async function extend(
  connection: PostgresConnection,
  table: PostgresTable,
  n: number,
  added: readonly StoredRelation[],
  notes: string[],
): Promise<void> {
  await connection.query(TRACKING_LOCK);
  await dropOurTriggers(connection, added);
  for (const relation of added) {
    for (const sql of triggerDdl(relation, table.mode, n)) await connection.query(sql);
    const storesRows = table.stores.some((store) => store.oid === relation.oid);
    if (storesRows) await connection.query(enqueueAllSql(table, relation, n));
  }
  await enableAlways(connection, added, notes);
  await rememberRelations(connection, n, added);
}

/** Only the owner may; without it, writes under `session_replication_role = replica` go unseen, and the plan says so. */
async function enableAlways(
  connection: PostgresConnection,
  relations: readonly StoredRelation[],
  notes: string[],
): Promise<void> {
  for (const relation of relations) {
    const { owns } = await connection.one<{ owns: boolean }>(
      "SELECT pg_has_role(relowner, 'USAGE') AS owns FROM pg_class WHERE oid = $1",
      [relation.oid],
    );
    if (!owns)
      notes.push(`${relation.schema}.${relation.name}: not its owner, so writes of replication roles are not tracked`);
    for (const sql of owns ? enableAlwaysDdl(relation) : []) await connection.query(sql);
  }
}

async function dropOurTriggers(connection: PostgresConnection, relations: readonly StoredRelation[]): Promise<void> {
  const rows = await connection.query<{ sql: string }>(
    `SELECT format('DROP FUNCTION %s CASCADE', p.oid::regprocedure) AS sql FROM pg_proc p
     WHERE p.oid IN (SELECT tgfoid FROM pg_trigger WHERE tgrelid = ANY ($1::oid[]) AND tgname IN
       ('speil_insert', 'speil_update', 'speil_delete', 'speil_truncate')) AND p.pronamespace = '${TRACKING_SCHEMA}'::regnamespace`,
    [relations.map((relation) => relation.oid)],
  );
  for (const { sql } of rows) await connection.query(sql);
}
/** What the relations look like now, in the words of the catalogue query, so that both can be compared. */
async function rememberRelations(
  connection: PostgresConnection,
  n: number,
  relations: readonly StoredRelation[],
): Promise<void> {
  await connection.query(
    `INSERT INTO ${TRACKING_SCHEMA}.relation (relid, n, filenode, definition, triggers)
     SELECT r.oid, $1, r.filenode, r.definition, g.triggers
     FROM unnest($2::oid[], $3::text[], $4::text[]) r (oid, filenode, definition)
       JOIN (${TRIGGERS_NOW_SQL.replaceAll('$1', '$2')}) g ON g.oid = r.oid::bigint::float8
     ON CONFLICT (relid) DO UPDATE SET n = excluded.n, filenode = excluded.filenode, definition = excluded.definition,
       triggers = excluded.triggers`,
    [n, relations.map((r) => r.oid), relations.map((r) => r.filenode), relations.map((r) => r.definition)],
  );
}

/** Removes triggers, functions, side tables and the schema; whatever else stands in the schema stays, with it. */
export async function removeTracking(connection: PostgresConnection): Promise<readonly string[]> {
  const tables = await connection.query<{ n: number; name: string }>(
    (await readIsSetUp(connection))
      ? `SELECT n, coalesce(relid::regclass::text, '?') AS name FROM ${TRACKING_SCHEMA}.tracked ORDER BY 2`
      : 'SELECT 0 AS n, NULL AS name WHERE false',
  );
  if (tables.length === 0 && !(await readIsSetUp(connection))) return [];
  await inTransaction(connection, async () => {
    await connection.query(TRACKING_LOCK);
    for (const { n } of tables) await forget(connection, n);
    for (const table of CATALOGUE_TABLES) {
      await connection.query(`DROP TABLE IF EXISTS ${TRACKING_SCHEMA}.${ident(table)}`);
    }
    await connection.query(`DO $$ BEGIN DROP SCHEMA ${TRACKING_SCHEMA} RESTRICT;
      EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN NULL; END $$`);
  });
  const { gone } = await connection.one<{ gone: boolean }>(
    `SELECT to_regnamespace('${TRACKING_SCHEMA}') IS NULL AS gone`,
  );
  const rest = gone ? `schema ${TRACKING_SCHEMA}` : `all of Speil in the schema ${TRACKING_SCHEMA}, which stays`;
  return [...tables.map(({ name }) => `change tracking of ${name}`), rest];
}
