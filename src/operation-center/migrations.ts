import { SpeilError } from '../core/error.ts';
import type { CenterDatabase, CenterSession } from './database.ts';
import { MIGRATION_1 } from './migration-1.ts';

/** Each is applied once, in this order, whole or not at all. What was released is never changed: add another. */
const MIGRATIONS: readonly string[] = [MIGRATION_1];

/** Any number that nothing else in the database takes its advisory locks by. */
const LOCK = '8300913705221649';

/**
 * Brings the tables up to date. Centers that start at once wait for each other. Throws `CENTER_DATABASE_FAILED` for
 * tables of a newer Speil.
 */
export function migrate(database: CenterDatabase, migrations: readonly string[] = MIGRATIONS): Promise<void> {
  return database.transaction(async (session) => {
    await session.exec(`SELECT pg_advisory_xact_lock(${LOCK})`);
    const version = await versionOf(session);
    if (version > migrations.length) throw tooNew(database.display, version, migrations.length);
    for (const [index, migration] of migrations.entries()) {
      if (index >= version) await apply(session, index + 1, migration);
    }
  });
}

async function versionOf(session: CenterSession): Promise<number> {
  const [found] = await session.query("SELECT to_regclass('speil_center.migration') IS NOT NULL AS there");
  if (found?.['there'] !== true) return 0;
  const [row] = await session.query('SELECT coalesce(max(version), 0) AS version FROM speil_center.migration');
  return Number(row?.['version']);
}

async function apply(session: CenterSession, version: number, migration: string): Promise<void> {
  await session.exec(migration);
  await session.query('INSERT INTO speil_center.migration (version) VALUES ($1)', [version]);
}

const tooNew = (display: string, version: number, known: number): SpeilError =>
  new SpeilError(
    'CENTER_DATABASE_FAILED',
    `The tables in ${display} are of version ${version}; this Speil knows ${known} and older ones.`,
    { hint: 'A newer Speil has been here. Run that one, or update this one.' },
  );
