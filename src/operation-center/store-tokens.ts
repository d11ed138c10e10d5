import type { ApiToken, Role } from './model.ts';
import type { Store } from './store.ts';
import { instant, instantOrNull, notFound, nowIso, type StoredRow, type StoreParts } from './store-sql.ts';
import { noTenant } from './store-tenants.ts';
import { hashToken, newTokenSecret } from './tokens.ts';

const COLUMNS = 'id, role, tenant, created_at, revoked_at';

const tokenOf = (row: StoredRow): ApiToken => ({
  id: String(row['id']),
  role: row['role'] as Role,
  tenant: row['tenant'] === null ? null : String(row['tenant']),
  createdAt: instant(row['created_at']),
  revokedAt: instantOrNull(row['revoked_at']),
});

export function tokenStore(parts: StoreParts): Pick<Store, 'createToken' | 'findToken' | 'tokens' | 'revokeToken'> {
  const { database } = parts;
  return {
    createToken: async ({ role, tenant }) => {
      const secret = newTokenSecret(role);
      const [row] = await database.query(
        `INSERT INTO speil_center.token (id, role, tenant, hash, created_at)
         SELECT $1, $2, $3::text, $4, $5::timestamptz
         WHERE $3 IS NULL OR EXISTS (SELECT 1 FROM speil_center.tenant WHERE name = $3) RETURNING ${COLUMNS}`,
        [parts.random.uuid(), role, tenant, hashToken(secret), nowIso(parts)],
      );
      return row === undefined ? await noTenant(parts, String(tenant)) : { token: tokenOf(row), secret };
    },
    findToken: async (secret) => {
      const [row] = await database.query(
        `SELECT ${COLUMNS} FROM speil_center.token WHERE hash = $1 AND revoked_at IS NULL`,
        [hashToken(secret)],
      );
      return row === undefined ? null : tokenOf(row);
    },
    tokens: async () =>
      (await database.query(`SELECT ${COLUMNS} FROM speil_center.token ORDER BY created_at, id`)).map(tokenOf),
    revokeToken: async (id) => {
      const revoked = await database.query(
        `UPDATE speil_center.token SET revoked_at = coalesce(revoked_at, $2::timestamptz) WHERE id = $1 RETURNING id`,
        [id, nowIso(parts)],
      );
      if (revoked.length === 0) throw notFound(`token ${id}`, 'speil center token list shows those there are.');
    },
  };
}
