import { DatabaseSync } from 'node:sqlite';
import type { PostgresServer } from '../../test/support/postgres-server.ts';

/** The big table of pgbench: 93 bytes a row as text. */
const DEFINITION = 'CREATE TABLE accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))';

export const createAccounts = (server: PostgresServer, database: string): Promise<unknown> =>
  server.sql(database, DEFINITION);

/** A database with this many accounts, settled as after a night's vacuum. Answers its URL. */
export async function createAccountsDatabase(server: PostgresServer, database: string, rows: number): Promise<string> {
  const url = await server.createDatabase(database);
  await createAccounts(server, database);
  await server.sql(
    database,
    `INSERT INTO accounts SELECT i, (i - 1) / 100000 + 1, 0, '' FROM generate_series(1, ${rows}) i`,
  );
  await server.sql(database, 'VACUUM (ANALYZE, FREEZE) accounts');
  return url;
}

export function createAccountsFile(path: string, rows: number): void {
  const database = new DatabaseSync(path);
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF');
  database.exec('CREATE TABLE accounts (aid integer PRIMARY KEY, bid integer, abalance integer, filler text)');
  database.exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
    INSERT INTO accounts SELECT i, (i - 1) / 100000 + 1, 0, printf('%84s', '') FROM n`);
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  database.close();
}

/** A number that only equal contents have, for all that a benchmark needs to know. */
export async function fingerprint(server: PostgresServer, database: string): Promise<string> {
  const [row] = await server.sql(
    database,
    "SELECT count(*) || ':' || coalesce(sum(hashtext(aid || ' ' || bid || ' ' || abalance)::bigint), 0) AS print FROM accounts",
  );
  return String(row?.['print']);
}
