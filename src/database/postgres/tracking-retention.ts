import type { Random } from '../../core/clock.ts';
import { RETENTION_MS } from '../../core/limits.ts';
import { TRACKING_SCHEMA } from './catalogue-sql.ts';
import { SENTINEL_XID, sideTable } from './change-tracking.ts';
import type { PostgresConnection } from './connection.ts';
import { forget, inTransaction, TRACKING_LOCK } from './tracking-state.ts';

/** Tracking is pruned at most this often; it scans no table, but deletes. */
const PRUNE_INTERVAL_MS = 3_600_000;

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
export async function pruneTracking(connection: PostgresConnection): Promise<void> {
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
