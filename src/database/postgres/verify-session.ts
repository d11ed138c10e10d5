import { PostgresConnection, type PostgresLocation } from './connection.ts';

/**
 * For a snapshot in which whole tables are summed up by bucket: the sums fit in memory, and the planner, which cannot
 * know how many buckets there are, must not sort the table instead.
 */
export const HASHING_SETTINGS = "SET LOCAL work_mem = '64MB'; SET LOCAL enable_sort = off";

/** From this version on a server can look whether its client is still there while it works (where the system lets it). */
const CLIENT_CHECK_VERSION = 140000;

/** A session whose statements of minutes end when it is ended here. */
export async function openSession(location: PostgresLocation, applicationName: string): Promise<PostgresConnection> {
  const connection = await PostgresConnection.open(location, applicationName);
  if (connection.serverVersion >= CLIENT_CHECK_VERSION) {
    await connection.query("SET client_connection_check_interval = '2s'").catch(() => undefined);
  }
  return connection;
}

/** Servers that agree in this compute the same hash for the same text. */
export type HashFacts = { readonly encoding: string; readonly hash: string };

/** The hash depends on the bytes of the text, and so on the encoding, and on the byte order of the machine. */
export const readHashFacts = (connection: PostgresConnection): Promise<HashFacts> =>
  connection.one<HashFacts>(
    `SELECT current_setting('server_encoding') AS encoding, hashtextextended('speil' COLLATE "C", 1)::text AS hash`,
  );

export async function endSnapshot(connection: PostgresConnection): Promise<void> {
  if (connection.isUsable) await connection.query('ROLLBACK').catch(() => undefined);
}
