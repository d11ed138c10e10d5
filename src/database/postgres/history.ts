import { BarePosition } from '../../core/bare-position.ts';
import { RETENTION_MS } from '../../core/limits.ts';
import { Lsn } from '../../core/lsn.ts';
import type { RepopulateReason, SourcePosition, Verdict } from '../../core/position.ts';
import { TableName } from '../../core/table.ts';
import { TRACKING_SCHEMA } from './catalogue-sql.ts';
import type { PostgresConnection, Row } from './connection.ts';
import { tableName } from './introspect.ts';

/** A `pg_snapshot`: what was committed. Everything below xmin, nothing from xmax on, and between them not `running`. */
export type Snapshot = { readonly xmin: bigint; readonly xmax: bigint; readonly running: readonly bigint[] };

export const Snapshot = {
  parse: (text: string): Snapshot => {
    const [xmin = '0', xmax = '0', running = ''] = text.split(':');
    return { xmin: BigInt(xmin), xmax: BigInt(xmax), running: running === '' ? [] : running.split(',').map(BigInt) };
  },
  toText: ({ xmin, xmax, running }: Snapshot): string => `${xmin}:${xmax}:${running.join(',')}`,
};

/**
 * Condition on a column of transactions: not visible in the snapshot. This and not "greater than the last one seen",
 * because transactions commit in another order than their numbers were given out (guarantee T1).
 */
export const notVisibleSql = (column: string, { xmax, running }: Snapshot): string =>
  running.length === 0
    ? `${column} >= '${xmax}'::xid8`
    : `(${column} >= '${xmax}'::xid8 OR ${column} = ANY ('{${running.join(',')}}'::xid8[]))`;

/** What the token of a position says. */
export type PositionToken = { readonly snapshot: Snapshot; readonly trackingId: string; readonly timeline: string };

export const PositionToken = {
  toText: (token: PositionToken): string =>
    JSON.stringify([Snapshot.toText(token.snapshot), token.trackingId, token.timeline]),
  /** Null for a token that is not one of ours. */
  parse: (text: string): PositionToken | null => {
    try {
      const [snapshot, trackingId, timeline] = JSON.parse(text) as [string, string, string];
      return { snapshot: Snapshot.parse(snapshot), trackingId, timeline };
    } catch {
      return null;
    }
  },
};

/**
 * What the mirror has that holds this position. A bare one only says "everything below": what is above its horizon is
 * sent again, and nothing is missed. Null for a token that is not one of ours.
 */
export const seenSnapshot = (held: SourcePosition): Snapshot | null =>
  BarePosition.is(held)
    ? { xmin: held.lsn, xmax: held.lsn, running: [] }
    : (PositionToken.parse(held.token)?.snapshot ?? null);

export type Identity = { readonly server: string; readonly historyId: string; readonly timeline: string };

export const lineageOf = (identity: Identity): string => `${identity.server}:${identity.historyId}`;

/** Server and database, without the history: the part of a lineage that untracking does not change. */
const serverOf = (lineage: string): string => lineage.split(':').slice(0, 3).join(':');

export type HistoryFacts = {
  readonly identity: Identity;
  readonly snapshot: Snapshot;
  /** Changes of older transactions may have been deleted. */
  readonly validFrom: bigint;
  /** Transactions of those bookmarks that were asked for and are known. */
  readonly bookmarks: ReadonlyMap<string, bigint>;
  /** By the LSN of each bare position that is judged: the youngest bookmark of a transaction below. */
  readonly bookmarksBelow: ReadonlyMap<bigint, string>;
  /** Tracking ids that are in force, each with the table that it is for, as `TableName.toText` spells it. */
  readonly trackingIds: ReadonlyMap<string, string>;
};

/** May a mirror that holds this position go on from it? Without a table only lineage and bookmark are judged. */
export function judge(held: SourcePosition, table: TableName | null, facts: HistoryFacts): Verdict {
  if (BarePosition.is(held)) return judgeBare(held, table, facts);
  const bookmarkXid = held.bookmark === null ? undefined : facts.bookmarks.get(held.bookmark);
  if (held.lineage !== lineageOf(facts.identity)) return judgeOtherLineage(held, bookmarkXid, facts);
  const token = PositionToken.parse(held.token);
  if (token === null) return repopulate('history-lost', 'the mirror’s position cannot be read');
  if (token.snapshot.xmax > facts.snapshot.xmax) {
    return repopulate('ahead', 'the mirror is ahead of the source: the source was restored to an earlier time');
  }
  if (held.bookmark !== null && bookmarkXid === undefined && token.snapshot.xmin >= facts.validFrom) {
    return repopulate('history-lost', 'the source does not know the mirror’s last bookmark: it was restored');
  }
  if (token.timeline !== facts.identity.timeline && !isProvenBy(bookmarkXid, token.snapshot)) {
    return repopulate('history-lost', 'the source failed over or was restored after the mirror’s last bookmark');
  }
  if (table === null) return { kind: 'continue' };
  if (facts.trackingIds.get(token.trackingId) !== TableName.toText(table)) {
    return repopulate('tracking-was-off', 'change tracking of the table began anew');
  }
  if (token.snapshot.xmin < facts.validFrom) {
    return repopulate('retention', 'the mirror is older than the changes that the source keeps');
  }
  return { kind: 'continue' };
}

/** The horizon of a history never goes back, and what it holds below the horizon never changes. */
function judgeBare(held: SourcePosition, table: TableName | null, facts: HistoryFacts): Verdict {
  if (table === null) return { kind: 'continue' };
  if (held.lsn > facts.snapshot.xmin) {
    return repopulate('ahead', 'the mirror is ahead of the source: the source was restored to an earlier time');
  }
  if (held.lsn < facts.validFrom) {
    return repopulate('retention', 'the mirror is older than the changes that the source keeps');
  }
  const name = TableName.toText(table);
  const [trackingId = ''] = [...facts.trackingIds].find(([, tracked]) => tracked === name) ?? [];
  const witness = witnessOf(facts.identity, trackingId, facts.bookmarksBelow.get(held.lsn) ?? null);
  if (BarePosition.isWitnessedBy(held, witness)) return { kind: 'continue' };
  return repopulate(
    'history-lost',
    'the mirror’s number is not of the source’s present history: it was restored, failed over, or its table changed',
  );
}

const witnessOf = (identity: Identity, trackingId: string, bookmarkBelow: string | null): string =>
  JSON.stringify([lineageOf(identity), identity.timeline, trackingId, bookmarkBelow]);

/** Nothing that the mirror has seen can lie after this bookmark, which the present history contains. */
const isProvenBy = (bookmarkXid: bigint | undefined, seen: Snapshot): boolean =>
  bookmarkXid !== undefined && seen.xmax <= bookmarkXid + 1n && seen.running.length === 0;

function judgeOtherLineage(held: SourcePosition, bookmarkXid: bigint | undefined, facts: HistoryFacts): Verdict {
  if (serverOf(held.lineage) === facts.identity.server) {
    return repopulate('history-lost', 'change tracking was removed from the source and set up again');
  }
  if (bookmarkXid !== undefined) {
    return repopulate('moved', 'the source was moved to another server with its data');
  }
  return { kind: 'foreign', explanation: `the mirror belongs to another source (${held.lineage})` };
}

const repopulate = (reason: RepopulateReason, explanation: string): Verdict => ({
  kind: 'repopulate',
  reason,
  explanation,
});

/** Server and database: the part of a lineage that a dump does not take along. */
export const SERVER_SQL = `'postgres:' || (SELECT system_identifier FROM pg_control_system()) || ':'
      || (SELECT oid FROM pg_database WHERE datname = current_database())`;

/** Identity needs no privilege: control functions are open to all, the timeline is the start of a WAL file's name. */
const IDENTITY_SQL = `
  SELECT ${SERVER_SQL} AS server,
    substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline,
    pg_current_snapshot()::text AS snapshot`;

type FactsRow = Row & {
  readonly server: string;
  readonly timeline: string;
  readonly snapshot: string;
  readonly history_id: string;
  readonly valid_from: string;
  readonly last_bookmark: string | null;
  readonly bookmark_below: string | null;
  readonly aging_before: string | null;
};

/** A position that stood still this long is moved on although nothing changed: well before the retention ends. */
const AGING_MS = RETENTION_MS / 7;

/** Who the source is and what it holds now, in the snapshot of the transaction if there is one. */
export type Present = {
  readonly identity: Identity;
  readonly snapshot: Snapshot;
  readonly validFrom: bigint;
  readonly bookmark: string | null;
  /** The youngest bookmark of a transaction below the horizon. */
  readonly bookmarkBelow: string | null;
  readonly agingBefore: bigint;
};

/** Before tracking was set up the history id is ''. */
export async function readPresent(connection: PostgresConnection): Promise<Present> {
  const found = await connection.one<{ there: boolean }>(
    `SELECT to_regclass('${TRACKING_SCHEMA}.history') IS NOT NULL AS there`,
  );
  const row = await connection.one<FactsRow>(
    found.there
      ? PRESENT_SQL
      : `SELECT *, '' AS history_id, '0' AS valid_from, NULL AS last_bookmark, NULL AS bookmark_below, NULL AS aging_before FROM (${IDENTITY_SQL}) i`,
  );
  return {
    identity: { server: row.server, historyId: row.history_id ?? '', timeline: row.timeline },
    snapshot: Snapshot.parse(row.snapshot),
    validFrom: BigInt(row.valid_from ?? '0'),
    bookmark: row.last_bookmark,
    bookmarkBelow: row.bookmark_below,
    agingBefore: BigInt(row.aging_before ?? '0'),
  };
}

const bookmarkBelowSql = (xid: string): string =>
  `(SELECT id FROM ${TRACKING_SCHEMA}.bookmark WHERE xid < ${xid} ORDER BY xid DESC LIMIT 1)`;

const HORIZON_SQL = 'pg_snapshot_xmin(i.snapshot::pg_snapshot)';

const PRESENT_SQL = `
  WITH last AS (SELECT id, xid FROM ${TRACKING_SCHEMA}.bookmark ORDER BY xid DESC LIMIT 1)
  SELECT i.*, (SELECT id FROM ${TRACKING_SCHEMA}.history) AS history_id,
    (SELECT valid_from::text FROM ${TRACKING_SCHEMA}.history) AS valid_from,
    (SELECT id FROM last) AS last_bookmark,
    CASE WHEN (SELECT xid FROM last) < ${HORIZON_SQL} THEN (SELECT id FROM last)
      ELSE ${bookmarkBelowSql(HORIZON_SQL)} END AS bookmark_below,
    (SELECT max(horizon::text::numeric)::text FROM ${TRACKING_SCHEMA}.bookmark WHERE at < now() - ${AGING_MS} * interval '1 ms') AS aging_before
  FROM (${IDENTITY_SQL}) i`;

/** What it takes to judge these positions. */
export async function readFacts(
  connection: PostgresConnection,
  held: readonly SourcePosition[],
): Promise<HistoryFacts> {
  const present = await readPresent(connection);
  if (present.identity.historyId === '') {
    return { ...present, bookmarks: new Map(), bookmarksBelow: new Map(), trackingIds: new Map() };
  }
  const bookmarks = [...new Set(held.flatMap(({ bookmark }) => bookmark ?? []))];
  const known = await connection.query<{ id: string; xid: string }>(
    `SELECT id, xid::text AS xid FROM ${TRACKING_SCHEMA}.bookmark WHERE id = ANY ($1::text[])`,
    [bookmarks],
  );
  const tracked = await connection.query<{ tracking_id: string; schema: string; name: string }>(
    `SELECT t.tracking_id, n.nspname AS schema, c.relname AS name
     FROM ${TRACKING_SCHEMA}.tracked t JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace`,
  );
  return {
    ...present,
    bookmarksBelow: await readBookmarksBelow(connection, held),
    bookmarks: new Map(known.map(({ id, xid }) => [id, BigInt(xid)])),
    trackingIds: new Map(tracked.map((row) => [row.tracking_id, TableName.toText(tableName(row.schema, row.name))])),
  };
}

async function readBookmarksBelow(
  connection: PostgresConnection,
  held: readonly SourcePosition[],
): Promise<ReadonlyMap<bigint, string>> {
  const horizons = [...new Set(held.filter(BarePosition.is).map(({ lsn }) => lsn.toString()))];
  if (horizons.length === 0) return new Map();
  const rows = await connection.query<{ horizon: string; id: string | null }>(
    `SELECT h AS horizon, ${bookmarkBelowSql('h::xid8')} AS id FROM unnest($1::text[]) h`,
    [horizons],
  );
  return new Map(rows.flatMap(({ horizon, id }) => (id === null ? [] : [[BigInt(horizon), id]])));
}

export const positionAt = (present: Present, trackingId: string): SourcePosition => ({
  lsn: Lsn.of(present.snapshot.xmin),
  token: PositionToken.toText({ snapshot: present.snapshot, trackingId, timeline: present.identity.timeline }),
  lineage: lineageOf(present.identity),
  bookmark: present.bookmark,
  witness: witnessOf(present.identity, trackingId, present.bookmarkBelow),
});

/**
 * Commits can be visible before they are on disk (`synchronous_commit = off`). A crash takes them away and their numbers
 * are given out again, so that a mirror that holds them would never know. What was read is therefore made durable first.
 */
export async function makeDurable(connection: PostgresConnection): Promise<void> {
  const { durable } = await connection.one<{ durable: boolean }>(
    'SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn() AS durable',
  );
  if (durable) return;
  await connection.query(
    "BEGIN; SET LOCAL synchronous_commit = local; SELECT pg_logical_emit_message(true, 'speil', ''); COMMIT",
  );
}
