import type { Clock, Random } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import { RETENTION_MS } from '../../core/limits.ts';
import { TableName } from '../../core/table.ts';
import type { MissingPrivilege } from '../source-database.ts';
import { TRACKING_SCHEMA } from './catalogue-sql.ts';
import {
  beginTrackingDdl,
  enableAlwaysDdl,
  endTrackingDdl,
  enqueueAllSql,
  judgeTracking,
  madeFor,
  type RelationState,
  SENTINEL_XID,
  SETUP_DDL,
  sideTable,
  TRIGGERS_NOW_SQL,
  type TrackedState,
  type TrackingStep,
  triggerDdl,
} from './change-tracking.ts';
import type { PostgresConnection, Row } from './connection.ts';
import { SERVER_SQL } from './history.ts';
import type { PostgresTable, StoredRelation } from './introspect.ts';
import { missingInDatabase, missingOnTables } from './privileges.ts';
import type { TrackedPostgresTable } from './snapshot.ts';
import { ident } from './sql.ts';

export type TrackingState = {
  readonly isSetUp: boolean;
  /** By the oid of the table. */
  readonly tables: ReadonlyMap<number, TrackedState>;
  /** By the oid of the relation. */
  readonly triggersNow: ReadonlyMap<number, string>;
};

/** In the order in which they can be dropped. */
const CATALOGUE_TABLES = ['relation', 'tracked', 'bookmark', 'lost', 'history'] as const;

/** Tracking is changed by one session at a time. */
const TRACKING_LOCK = "SELECT pg_advisory_xact_lock(hashtext('speil'), hashtext('tracking'))";
/** Tracking is pruned at most this often; it scans no table, but deletes. */
const PRUNE_INTERVAL_MS = 3_600_000;

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

async function readIsSetUp(connection: PostgresConnection): Promise<boolean> {
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
       ('speil_insert', 'speil_update', 'speil_delete', 'speil_truncate'))`,
    [relations.map((relation) => relation.oid)],
  );
  for (const { sql } of rows) await connection.query(sql);
}

async function forget(connection: PostgresConnection, n: number): Promise<void> {
  await connection.query(`DELETE FROM ${TRACKING_SCHEMA}.tracked WHERE n = $1`, [n]);
  await connection.query(`DELETE FROM ${TRACKING_SCHEMA}.lost WHERE n = $1`, [n]);
  for (const sql of endTrackingDdl(n)) await connection.query(sql);
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

/** A random id, in a transaction of its own: later snapshots include it. */
export async function leaveBookmark(connection: PostgresConnection, { random }: { random: Random }): Promise<void> {
  await connection.query(
    `INSERT INTO ${TRACKING_SCHEMA}.bookmark (id, xid, horizon, at)
     VALUES ($1, pg_current_xact_id(), pg_snapshot_xmin(pg_current_snapshot()), now())`,
    [random.uuid()],
  );
}

/**
 * Deletes what is older than the retention, by the clock of the source, and tracking of tables that are gone. The
 * bound is the horizon of the youngest bookmark that is old enough.
 */
export async function pruneTracking(connection: PostgresConnection, _deps: { clock: Clock }): Promise<void> {
  const due = await connection.query<{ horizon: string | null }>(
    `SELECT (SELECT max(horizon::text::numeric)::text FROM ${TRACKING_SCHEMA}.bookmark WHERE at < now() - $1 * interval '1 ms') AS horizon
     FROM ${TRACKING_SCHEMA}.history WHERE pruned_at < now() - $2 * interval '1 ms'`,
    [RETENTION_MS, PRUNE_INTERVAL_MS],
  );
  if (due.length === 0) return;
  await inTransaction(connection, async () => {
    await connection.query(TRACKING_LOCK);
    await forgetVanished(connection);
    await connection.query(`UPDATE ${TRACKING_SCHEMA}.history SET pruned_at = now()`);
    const horizon = due[0]?.horizon;
    if (horizon == null) return;
    await connection.query(
      `UPDATE ${TRACKING_SCHEMA}.history SET valid_from = greatest(valid_from, '${BigInt(horizon)}')`,
    );
    const there = `SELECT n FROM ${TRACKING_SCHEMA}.tracked WHERE to_regclass('${TRACKING_SCHEMA}.change_' || n) IS NOT NULL`;
    for (const { n } of await connection.query<{ n: number }>(there)) {
      await connection.query(
        `DELETE FROM ${sideTable(n)} WHERE speil_xid < '${BigInt(horizon)}' AND speil_xid > '${SENTINEL_XID}'`,
      );
    }
    await connection.query(PRUNE_BOOKMARKS_SQL, [RETENTION_MS]);
  });
}

/**
 * A bookmark is needed for as long as a position that counts may have it as its last: until the one after it is older
 * than the changes that are kept.
 */
const PRUNE_BOOKMARKS_SQL = `
  DELETE FROM ${TRACKING_SCHEMA}.bookmark WHERE at < now() - $1 * interval '1 ms' AND xid < (
    SELECT b.xid FROM ${TRACKING_SCHEMA}.bookmark b, ${TRACKING_SCHEMA}.history h WHERE b.xid < h.valid_from ORDER BY b.xid DESC LIMIT 1)`;

async function forgetVanished(connection: PostgresConnection): Promise<void> {
  const gone = await connection.query<{ n: number }>(
    `SELECT n FROM ${TRACKING_SCHEMA}.tracked t WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.relid)`,
  );
  for (const { n } of gone) await forget(connection, n);
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
