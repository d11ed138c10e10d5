import { SpeilError } from '../core/error.ts';
import { BATCH_BYTES_DEFAULT } from '../core/limits.ts';
import { isTenantName } from '../core/tenant-name.ts';
import { parseLocation } from '../database/parse-location.ts';
import { sourcePurpose } from './key-check.ts';
import type { Tenant, TenantPreferences } from './model.ts';
import type { Store } from './store.ts';
import {
  assignments,
  conflict,
  instant,
  instead,
  json,
  notFound,
  nowIso,
  queryList,
  type StoredRow,
  type StoreParts,
} from './store-sql.ts';

const PREFERENCES: TenantPreferences = { batchBytes: BATCH_BYTES_DEFAULT, skipTables: [], blockedTables: [] };

const COLUMNS = 'name, source_display, paused, maintenance, preferences, created_at';

export const tenantOf = (row: StoredRow): Tenant => ({
  name: String(row['name']),
  sourceDisplay: String(row['source_display']),
  paused: row['paused'] === true,
  maintenance: row['maintenance'] === true,
  preferences: row['preferences'] as TenantPreferences,
  createdAt: instant(row['created_at']),
});

type TenantPart = Pick<
  Store,
  'addTenant' | 'saveSource' | 'tenants' | 'tenant' | 'source' | 'saveTenant' | 'removeTenant'
>;

export function tenantStore(parts: StoreParts): TenantPart {
  const { database } = parts;
  return {
    addTenant: ({ name, source }) => addTenant(parts, name, source),
    saveSource: async (name, source) => {
      const sealed = await sealSource(parts, name, source);
      const [row] = await database.query(
        `UPDATE speil_center.tenant SET source = $2, source_display = $3 WHERE name = $1 RETURNING ${COLUMNS}`,
        [name, sealed.source, sealed.display],
      );
      return row === undefined ? await noTenant(parts, name) : tenantOf(row);
    },
    tenants: async () =>
      (await queryList(parts, `SELECT ${COLUMNS} FROM speil_center.tenant ORDER BY name`)).map(tenantOf),
    tenant: async (name) => {
      const [row] = await database.query(`SELECT ${COLUMNS} FROM speil_center.tenant WHERE name = $1`, [name]);
      return row === undefined ? await noTenant(parts, name) : tenantOf(row);
    },
    source: async (name) => {
      const [row] = await database.query('SELECT source FROM speil_center.tenant WHERE name = $1', [name]);
      if (row === undefined) return await noTenant(parts, name);
      return (await parts.secrets()).open(String(row['source']), sourcePurpose(name));
    },
    saveTenant: (name, change) => saveTenant(parts, name, change),
    removeTenant: async (name) => {
      const removed = await database.query('DELETE FROM speil_center.tenant WHERE name = $1 RETURNING name', [name]);
      if (removed.length === 0) await noTenant(parts, name);
    },
  };
}

async function addTenant(parts: StoreParts, name: string, source: string): Promise<Tenant> {
  if (!isTenantName(name)) throw badName(name);
  const sealed = await sealSource(parts, name, source);
  const [row] = await parts.database.query(
    `INSERT INTO speil_center.tenant (name, source, source_display, preferences, created_at)
     VALUES ($1, $2, $3, $4::jsonb, $5::timestamptz) ON CONFLICT (name) DO NOTHING RETURNING ${COLUMNS}`,
    [name, sealed.source, sealed.display, json(PREFERENCES), nowIso(parts)],
  );
  if (row !== undefined) return tenantOf(row);
  throw conflict(`there is a tenant ${name} already`, `To begin anew with it: speil center tenant remove ${name}`);
}

/** Nothing of the address but its display leaves in the clear. */
async function sealSource(
  { secrets }: StoreParts,
  name: string,
  address: string,
): Promise<{ readonly source: string; readonly display: string }> {
  const { display } = parseLocation(address);
  return { source: (await secrets()).seal(address, sourcePurpose(name)), display };
}

async function saveTenant(
  parts: StoreParts,
  name: string,
  change: Parameters<Store['saveTenant']>[1],
): Promise<Tenant> {
  const { paused, maintenance, preferences } = change;
  const { text, values } = assignments({ paused, maintenance }, 2);
  const [row] = await parts.database.query(
    `UPDATE speil_center.tenant SET preferences = preferences || $2::jsonb ${text === '' ? '' : `, ${text}`}
     WHERE name = $1 RETURNING ${COLUMNS}`,
    [name, json(preferences ?? {}), ...values],
  );
  return row === undefined ? await noTenant(parts, name) : tenantOf(row);
}

/** Throws `NOT_FOUND`, and says which tenants there are. */
export async function noTenant({ database }: StoreParts, name: string): Promise<never> {
  const rows = await database.query('SELECT name FROM speil_center.tenant ORDER BY name LIMIT 11');
  const names = rows.map((row) => String(row['name']));
  throw notFound(`tenant ${name}`, instead(names, 'speil center tenant list'));
}

const badName = (name: string): SpeilError =>
  new SpeilError('USAGE', `${JSON.stringify(name)} cannot be the name of a tenant`, {
    hint: 'It has up to 40 letters, digits, _ and -, and does not begin with a digit.',
  });
