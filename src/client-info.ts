import { type ErrorReport, errorReport } from './core/error.ts';
import { fillTemplate, hasTenantPlaceholder } from './database/location-template.ts';
import { type TableStatus, tableStatus } from './mirror.ts';
import { openMirror, provisionedTenants } from './open.ts';

/** What one tenant's mirror holds, read from the mirror alone. */
export type TenantInfo = {
  readonly tenant: string;
  readonly mirror: string;
  readonly tables: readonly TableStatus[];
  /** As counted from the operations. */
  readonly rows: number;
  /** What the database takes on its disk, whatever else is in it. */
  readonly bytes: number;
  /** When the last cycle completed: UTC, ISO 8601; null before the first. */
  readonly completedAt: string | null;
  /** Why nothing is known. */
  readonly error: ErrorReport | null;
};

export type ClientInfo = { readonly tenants: readonly TenantInfo[] };

/**
 * The tenants of a mirror client, found by the template of its mirrors: files and databases whose names fit, or without
 * `{tenant}` whoever has tables in the one that it names. Changes nothing, and needs no client that runs.
 */
export async function clientInfo(template: string, options: { tenant?: string | undefined } = {}): Promise<ClientInfo> {
  const { tenant } = options;
  const names = tenant === undefined ? await tenantsOf(template) : [tenant];
  const tenants: TenantInfo[] = [];
  for (const name of names) tenants.push(await tenantInfo(fillTemplate(template, name), name));
  return { tenants };
}

async function tenantsOf(template: string): Promise<readonly string[]> {
  if (hasTenantPlaceholder(template)) return provisionedTenants(template);
  await using mirror = await openMirror(template, { tenant: 'speil', readOnly: true });
  return await mirror.tenants();
}

async function tenantInfo(address: string, tenant: string): Promise<TenantInfo> {
  try {
    await using mirror = await openMirror(address, { tenant, readOnly: true });
    const rows = await mirror.readMetadata();
    return {
      tenant,
      mirror: mirror.display,
      tables: rows.map(tableStatus),
      rows: rows.reduce((sum, row) => sum + row.rows, 0),
      bytes: await mirror.sizeBytes(),
      completedAt: rows.reduce<string | null>((last, { completedAt }) => later(last, completedAt), null),
      error: null,
    };
  } catch (error) {
    const nothing = { tables: [], rows: 0, bytes: 0, completedAt: null };
    return { tenant, mirror: tenant, ...nothing, error: errorReport(error) };
  }
}

/** Times of one form sort as text. */
const later = (a: string | null, b: string | null): string | null => (a === null || (b !== null && b > a) ? b : a);
