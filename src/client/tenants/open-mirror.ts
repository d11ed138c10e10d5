import { SpeilError } from '../../core/error.ts';
import { TENANT_PLACEHOLDER } from '../../database/location-template.ts';
import type { MirrorDatabase, MirrorHolder } from '../../database/mirror-database.ts';

export type OpenMirror = {
  readonly address: string;
  readonly mirror: MirrorDatabase;
  /** Releases the hold and closes the database. */
  close(): Promise<void>;
};

export type MirrorAccess = {
  readonly open: (address: string, options: { readonly tenant: string }) => Promise<MirrorDatabase>;
  /** Makes what has to be there before the address can be opened. May run at once for the same address. */
  readonly provision: (address: string) => Promise<void>;
  /** True for the failure of `open` or `provision` that says: not now, too many are open there already. */
  readonly isFull?: ((error: unknown) => boolean) | undefined;
  /** Who holds the mirrors from now on, for others who want to. */
  readonly holder: () => MirrorHolder;
};

/** Which tenant each open database belongs to, under whatever address it was opened. */
export type InstanceOwners = Map<string, string>;

/** Opens a tenant's mirror, made first where it is missing, and holds it. It is that tenant's alone. */
export async function openTenantMirror(
  access: MirrorAccess,
  owners: InstanceOwners,
  { tenant, address }: { readonly tenant: string; readonly address: string },
): Promise<OpenMirror> {
  await using opened = new AsyncDisposableStack();
  const mirror = opened.use(await openOrProvision(access, tenant, address));
  refuseOther(mirror, tenant, owners.get(mirror.instance));
  owners.set(mirror.instance, tenant);
  opened.defer(() => void owners.delete(mirror.instance));
  opened.use(await mirror.hold(access.holder()));
  refuseOther(
    mirror,
    tenant,
    (await mirror.tenants()).find((other) => other !== tenant),
  );
  const kept = opened.move();
  return { address, mirror, close: () => kept.disposeAsync() };
}

async function openOrProvision(access: MirrorAccess, tenant: string, address: string): Promise<MirrorDatabase> {
  try {
    return await access.open(address, { tenant });
  } catch (error) {
    if (!(error instanceof SpeilError) || !['DATABASE_MISSING', 'FILE_MISSING'].includes(error.code)) throw error;
    await access.provision(address);
    return access.open(address, { tenant });
  }
}

/** Tables of two tenants have the same names. */
function refuseOther({ display }: MirrorDatabase, tenant: string, other: string | undefined): void {
  if (other === undefined || other === tenant) return;
  throw new SpeilError('CONFLICT', `${display} is the mirror of the tenant ${other}; ${tenant} cannot have it too`, {
    hint: `Give each tenant a database of its own: write ${TENANT_PLACEHOLDER} where its name belongs in --mirror.`,
  });
}
