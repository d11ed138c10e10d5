import type { CenterDatabase } from './database.ts';
import type { Secrets } from './secrets.ts';

const PURPOSE = 'check of the key';

/**
 * Makes sure that everything in the database is sealed with keys that all its centers have: the first center leaves a
 * sealed word, and every other must be able to open it. Throws `CENTER_DATABASE_FAILED` when it is not.
 */
export async function checkSecrets(database: CenterDatabase, secrets: Secrets): Promise<void> {
  const sealed = secrets.seal('speil', PURPOSE);
  await database.query('UPDATE speil_center.settings SET key_check = $1 WHERE key_check IS NULL', [sealed]);
  const [row] = await database.query('SELECT key_check FROM speil_center.settings');
  secrets.open(String(row?.['key_check']), PURPOSE);
}

/** The columns that hold sealed texts; `purpose` as SQL, the same as whoever seals them has it. */
const SEALED = [
  { table: 'tenant', column: 'source', purpose: "'source of ' || name" },
  { table: 'settings', column: 'webhook', purpose: "'webhook'" },
  { table: 'settings', column: 'webhook_secret', purpose: "'webhook secret'" },
  { table: 'settings', column: 'key_check', purpose: `'${PURPOSE}'` },
] as const;

export const sourcePurpose = (tenant: string): string => `source of ${tenant}`;
export const WEBHOOK_PURPOSE = 'webhook';
export const WEBHOOK_SECRET_PURPOSE = 'webhook secret';

/**
 * Seals everything with the first key that an earlier one sealed; answers how much that was. Then the earlier keys may go.
 * Safe beside running centers that know both keys.
 */
export async function resealSecrets(database: CenterDatabase, secrets: Secrets): Promise<number> {
  let resealed = 0;
  for (const { table, column, purpose } of SEALED) {
    const rows = await database.query(
      `SELECT ${column} AS sealed, ${purpose} AS purpose FROM speil_center.${table} WHERE ${column} IS NOT NULL`,
    );
    for (const row of rows) {
      const [sealed, why] = [String(row['sealed']), String(row['purpose'])];
      if (secrets.isCurrent(sealed)) continue;
      const again = secrets.seal(secrets.open(sealed, why), why);
      // Only what is still there: an address that was just changed is sealed with the first key already.
      await database.query(`UPDATE speil_center.${table} SET ${column} = $1 WHERE ${column} = $2`, [again, sealed]);
      resealed += 1;
    }
  }
  return resealed;
}
