import { RETENTION_MS } from '../../core/limits.ts';
import { hasCatalog, readHeads, readTracked, type Tracking } from './change-tracking.ts';
import type { Connection } from './connection.ts';
import { sideTable } from './triggers.ts';

/** Changes carry no time; this often it is noted how far each table was, so they live at most this much too long. */
const MARK_INTERVAL_MS = RETENTION_MS / 168;

/** True when it is time to note how far the tables are. */
export function isPruneDue(connection: Connection, now: number): boolean {
  if (!hasCatalog(connection)) return false;
  const last = connection.value('SELECT max(at) FROM speil_clock');
  return last === null || Math.abs(now - Number(last)) >= MARK_INTERVAL_MS;
}

/** Deletes what is older than the retention, and notes how far the tables are now. Inside a write transaction. */
export function prune(connection: Connection, now: number): void {
  const oldest = BigInt(Math.floor(now - RETENTION_MS));
  const tracked = readTracked(connection);
  for (const tracking of tracked.tables.values()) pruneTable(connection, tracking, oldest);
  connection.run('DELETE FROM speil_bookmark WHERE left_at < ? AND n < (SELECT max(n) FROM speil_bookmark)', oldest);
  connection.run('DELETE FROM speil_clock WHERE at < ?', oldest);
  for (const [n, head] of readHeads(connection, tracked)) {
    connection.run('INSERT INTO speil_clock VALUES (?, ?, ?)', BigInt(n), head.lsn, BigInt(Math.floor(now)));
  }
}

/** The change that was the last one then stays: by its tag a mirror that has it is recognised. */
function pruneTable(connection: Connection, { n }: Tracking, oldest: bigint): void {
  const reached = connection.value('SELECT max(lsn) FROM speil_clock WHERE n = ? AND at < ?', BigInt(n), oldest);
  if (reached === null) return;
  connection.run(`DELETE FROM ${sideTable(n)} WHERE lsn < ?`, reached);
}
