import { TRACKING_SCHEMA } from './catalogue-sql.ts';
import type { KeyColumn, PostgresTable, StoredRelation, TrackingMode } from './introspect.ts';
import { ident, identList, literal, textOf } from './sql.ts';

/**
 * Change tracking: for each table a side table with the key and the transaction (`xid8`, 64 bits, never reused) of
 * every change, filled by triggers. Statement triggers with transition tables cost a sixth of row triggers.
 *
 *   speil.history      one row: the id of this history, its server and database, from which transaction on changes are kept
 *   speil.tracked      a row per tracked table: number n, tracking id, what its triggers were made for
 *   speil.relation     a row per relation with triggers: what it looked like when we last looked
 *   speil.bookmark     random ids left by cycles
 *   speil.lost         numbers of tables whose key was altered while they were written: tracking begins anew
 *   speil.change_<n>   transaction and key of each change; all keys null: TRUNCATE (or, without a key, any change)
 *   speil.track_<n>()  the trigger function
 */
export const SETUP_DDL: readonly string[] = [
  `CREATE SCHEMA IF NOT EXISTS ${TRACKING_SCHEMA}`,
  `CREATE TABLE IF NOT EXISTS ${TRACKING_SCHEMA}.history (
    id text NOT NULL, server text NOT NULL, valid_from xid8 NOT NULL, pruned_at timestamptz NOT NULL, one boolean PRIMARY KEY DEFAULT true CHECK (one))`,
  `CREATE TABLE IF NOT EXISTS ${TRACKING_SCHEMA}.tracked (
    n integer PRIMARY KEY, relid oid NOT NULL UNIQUE, tracking_id text NOT NULL, made_for text NOT NULL)`,
  `CREATE SEQUENCE IF NOT EXISTS ${TRACKING_SCHEMA}.tracked_n OWNED BY ${TRACKING_SCHEMA}.tracked.n`,
  `CREATE TABLE IF NOT EXISTS ${TRACKING_SCHEMA}.relation (
    relid oid PRIMARY KEY, n integer NOT NULL REFERENCES ${TRACKING_SCHEMA}.tracked ON DELETE CASCADE,
    filenode text NOT NULL, definition text NOT NULL, triggers text NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS ${TRACKING_SCHEMA}.bookmark (
    id text PRIMARY KEY, xid xid8 NOT NULL, horizon xid8 NOT NULL, at timestamptz NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS ${TRACKING_SCHEMA}.lost (n integer NOT NULL)`,
];

/** What the catalogue of tracking says about a table. */
export type TrackedState = {
  readonly n: number;
  readonly trackingId: string;
  readonly madeFor: string;
  readonly relations: ReadonlyMap<number, RelationState>;
  /** False when changes were lost: a crash emptied an unlogged table, or its key was altered while it was written. */
  readonly intact: boolean;
};

export type RelationState = { readonly filenode: string; readonly definition: string; readonly triggers: string };

export type TrackingStep =
  | { readonly kind: 'none' }
  /** Nothing was missed, but what we know of some relations is out of date. */
  | { readonly kind: 'refresh'; readonly relations: readonly StoredRelation[] }
  /** Partitions that are not tracked yet: track them, and count all their rows as changed. */
  | { readonly kind: 'extend'; readonly added: readonly StoredRelation[] }
  /** Tracking begins anew: every mirror has to copy this table again. */
  | { readonly kind: 'begin'; readonly reason: string };

/**
 * Decides whether change tracking of a table can still be trusted. `triggersNow` is the fingerprint of the triggers as
 * they are: it holds the transaction that last touched them, so that off and on again is seen.
 */
export function judgeTracking(
  table: PostgresTable,
  tracked: TrackedState | undefined,
  triggersNow: ReadonlyMap<number, string>,
): TrackingStep {
  if (tracked === undefined) return { kind: 'begin', reason: 'change tracking was off' };
  if (tracked.madeFor !== madeFor(table)) return { kind: 'begin', reason: 'the key of the table changed' };
  if (!tracked.intact)
    return { kind: 'begin', reason: 'changes were lost in a crash of the source or while the key was altered' };
  const present = new Set(table.writable.map((relation) => relation.oid));
  if ([...tracked.relations.keys()].some((oid) => !present.has(oid))) {
    return { kind: 'begin', reason: 'a partition was dropped or detached' };
  }
  const known = table.writable.filter((relation) => tracked.relations.has(relation.oid));
  const before = (relation: StoredRelation) => tracked.relations.get(relation.oid);
  if (known.some((relation) => triggersNow.get(relation.oid) !== before(relation)?.triggers)) {
    return { kind: 'begin', reason: 'change tracking was off' };
  }
  const moved = known.filter((relation) => relation.filenode !== before(relation)?.filenode);
  const redefined = known.filter((relation) => relation.definition !== before(relation)?.definition);
  if (moved.some((relation) => redefined.includes(relation))) {
    return { kind: 'begin', reason: 'ALTER TABLE rewrote the rows' };
  }
  const added = table.writable.filter((relation) => !tracked.relations.has(relation.oid));
  if (added.length > 0) return { kind: 'extend', added };
  const stale = new Set([...moved, ...redefined]);
  return stale.size === 0 ? { kind: 'none' } : { kind: 'refresh', relations: [...stale] };
}

/** What triggers and side table depend on; another value means that they have to be made anew. */
export const madeFor = (table: PostgresTable): string =>
  JSON.stringify([
    table.mode,
    isUnlogged(table),
    table.key.map((column) => [column.name, column.sideType, column.typeOid, column.typeModifier]),
  ]);

const isUnlogged = (table: PostgresTable): boolean => table.stores.some((relation) => relation.unlogged);

export const sideTable = (n: number): string => `${TRACKING_SCHEMA}.change_${n}`;

/** Transaction 0 of a side table: there as long as nobody emptied it. Smaller than any real one. */
export const SENTINEL_XID = 0;

export function beginTrackingDdl(table: PostgresTable, n: number): readonly string[] {
  const unlogged = isUnlogged(table) ? 'UNLOGGED ' : '';
  const columns = table.key.map((column) => `, ${ident(column.name)} ${column.sideType}`).join('');
  return [
    `CREATE ${unlogged}TABLE ${sideTable(n)} (speil_xid xid8 NOT NULL${columns})`,
    `CREATE INDEX ON ${sideTable(n)} (speil_xid)`,
    `INSERT INTO ${sideTable(n)} (speil_xid) VALUES ('${SENTINEL_XID}')`,
    trackFunctionDdl(table, n),
    ...table.writable.flatMap((relation) => triggerDdl(relation, table.mode, n)),
  ];
}

export const endTrackingDdl = (n: number): readonly string[] => [
  `DROP FUNCTION IF EXISTS ${TRACKING_SCHEMA}.track_${n}() CASCADE`,
  `DROP TABLE IF EXISTS ${sideTable(n)}`,
];

const relationSql = (relation: StoredRelation): string => `${ident(relation.schema)}.${ident(relation.name)}`;

const EVENTS = [
  { event: 'INSERT', referencing: 'REFERENCING NEW TABLE AS speil_new' },
  { event: 'UPDATE', referencing: 'REFERENCING OLD TABLE AS speil_old NEW TABLE AS speil_new' },
  { event: 'DELETE', referencing: 'REFERENCING OLD TABLE AS speil_old' },
] as const;

/** CREATE TRIGGER needs the TRIGGER privilege; ENABLE ALWAYS, for writes of replicas, the ownership. */
export function triggerDdl(relation: StoredRelation, mode: TrackingMode, n: number): readonly string[] {
  const on = `ON ${relationSql(relation)}`;
  const run = `EXECUTE FUNCTION ${TRACKING_SCHEMA}.track_${n}()`;
  const partitionedRoot = relation.filenode === '0';
  const rows = EVENTS.flatMap(({ event, referencing }) => {
    if (mode === 'statement')
      return [
        `CREATE TRIGGER speil_${event.toLowerCase()} AFTER ${event} ${on} ${referencing} FOR EACH STATEMENT ${run}`,
      ];
    return partitionedRoot
      ? []
      : [`CREATE TRIGGER speil_${event.toLowerCase()} AFTER ${event} ${on} FOR EACH ROW ${run}`];
  });
  return [...rows, `CREATE TRIGGER speil_truncate BEFORE TRUNCATE ${on} FOR EACH STATEMENT ${run}`];
}

export const enableAlwaysDdl = (relation: StoredRelation): readonly string[] =>
  ['insert', 'update', 'delete', 'truncate'].map(
    (event) => `ALTER TABLE ${relationSql(relation)} ENABLE ALWAYS TRIGGER speil_${event}`,
  );

const keyValue = (column: KeyColumn, row: string): string =>
  column.asText ? textOf(`${row}.${ident(column.name)}`) : `${row}.${ident(column.name)}`;

const keyList = (table: PostgresTable, row: string): string =>
  table.key.map((column) => `, ${keyValue(column, row)}`).join('');

/**
 * SECURITY DEFINER: whoever may write the table need not know of Speil. Everything is named in full, so no
 * search_path can lead it astray. One UNION for updates: a key that changed counts as two, and the plan stays good
 * whether a statement changes one row or a million.
 */
function trackFunctionDdl(table: PostgresTable, n: number): string {
  const into = `INSERT INTO ${sideTable(n)} (speil_xid${table.key.map((column) => `, ${ident(column.name)}`).join('')})`;
  const marker = truncateBody(table, into, n);
  const body =
    table.key.length === 0
      ? markerSql(n)
      : table.mode === 'row'
        ? rowBody(table, into, marker)
        : statementBody(table, into, marker);
  return `CREATE FUNCTION ${TRACKING_SCHEMA}.track_${n}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER${textSettings(table)} AS ${literal(
    `BEGIN ${guard(table, n)} ${body} RETURN NULL; END`,
  )}`;
}

/** Where a key is kept as text, its text must not depend on the session that writes. */
const textSettings = (table: PostgresTable): string =>
  table.key.some((column) => column.asText)
    ? ` SET search_path = pg_catalog SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC'
      SET bytea_output = 'hex' SET extra_float_digits = 1`
    : '';

/**
 * A key column that was renamed or got another type must not make the application's writes fail: then the change is
 * not tracked, that fact is noted, and the next cycle begins tracking anew.
 */
function guard(table: PostgresTable, n: number): string {
  if (table.key.length === 0) return '';
  const unchanged = table.key.map(
    ({ name, typeOid, typeModifier }) =>
      `EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = TG_RELID AND attname = ${literal(name)}
         AND atttypid = ${typeOid} AND atttypmod = ${typeModifier})`,
  );
  return `IF NOT (${unchanged.join(' AND ')}) THEN INSERT INTO ${TRACKING_SCHEMA}.lost VALUES (${n}); RETURN NULL; END IF;`;
}

const XID = 'pg_catalog.pg_current_xact_id()';

const markerSql = (n: number): string => `INSERT INTO ${sideTable(n)} (speil_xid) VALUES (${XID});`;

/**
 * TRUNCATE of the table is one mark. Of a single partition it is the loss of the rows that it holds, unless the whole
 * table is being truncated: its own trigger ran first.
 */
function truncateBody(table: PostgresTable, into: string, n: number): string {
  if (!table.partitioned) return markerSql(n);
  const isMarked = `EXISTS (SELECT FROM ${sideTable(n)} WHERE speil_xid = ${XID} AND ${ident(table.key[0]?.name ?? '')} IS NULL)`;
  const rows = literal(`${into} SELECT ${XID}${keyList(table, 't')} FROM ONLY %I.%I t`);
  return `IF TG_RELID = ${table.oid} THEN ${markerSql(n)}
    ELSIF NOT ${isMarked} THEN EXECUTE pg_catalog.format(${rows}, TG_TABLE_SCHEMA, TG_TABLE_NAME); END IF;`;
}

function statementBody(table: PostgresTable, into: string, marker: string): string {
  const from = (rows: string) => `SELECT ${XID}${keyList(table, rows)} FROM ${rows}`;
  const union = table.key.some((column) => column.respellable) ? 'UNION ALL' : 'UNION';
  return `IF TG_OP = 'UPDATE' THEN ${into} ${from('speil_new')} ${union} ${from('speil_old')};
    ELSIF TG_OP = 'INSERT' THEN ${into} ${from('speil_new')};
    ELSIF TG_OP = 'DELETE' THEN ${into} ${from('speil_old')};
    ELSE ${marker} END IF;`;
}

function rowBody(table: PostgresTable, into: string, marker: string): string {
  const values = (row: string) => `(${XID}${keyList(table, row)})`;
  return `IF TG_OP = 'UPDATE' THEN ${into} VALUES ${values('NEW')}, ${values('OLD')};
    ELSIF TG_OP = 'INSERT' THEN ${into} VALUES ${values('NEW')};
    ELSIF TG_OP = 'DELETE' THEN ${into} VALUES ${values('OLD')};
    ELSE ${marker} END IF;`;
}

/** All rows of a new partition count as changed: they may have been there before its triggers. */
export const enqueueAllSql = (table: PostgresTable, relation: StoredRelation, n: number): string =>
  table.key.length === 0
    ? `INSERT INTO ${sideTable(n)} (speil_xid) VALUES (${XID})`
    : `INSERT INTO ${sideTable(n)} (speil_xid, ${identList(table.key.map((column) => column.name))})
       SELECT ${XID}${keyList(table, 't')} FROM ONLY ${relationSql(relation)} t`;

export const TRIGGERS_NOW_SQL = `
  SELECT tgrelid::bigint::float8 AS oid,
    md5(string_agg(tgname || tgenabled::text || xmin || tgfoid, ',' ORDER BY tgname)) AS triggers
  FROM pg_trigger WHERE NOT tgisinternal AND tgname IN ('speil_insert', 'speil_update', 'speil_delete', 'speil_truncate')
    AND ($1::oid[] IS NULL OR tgrelid = ANY ($1::oid[]))
  GROUP BY tgrelid`;
