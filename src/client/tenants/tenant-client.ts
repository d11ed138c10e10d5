import type { MirrorClientService } from '../../task/contract.ts';
import { type ClientOptions, createClientOn } from '../mirror-client.ts';
import type { TenantMirrors } from '../tenant-mirrors.ts';

export type TenantClientOptions = Omit<ClientOptions, 'tenant'> & { readonly mirrors: TenantMirrors };

/**
 * The five calls of one tenant on the mirrors of all: what a transport runs once it knows, from a token, whose call it
 * is. Cheap to make: one for every call is fine.
 */
export const createTenantClient = (tenant: string, { mirrors, ...options }: TenantClientOptions): MirrorClientService =>
  createClientOn((clientState, work) => mirrors.use(tenant, clientState, work), { ...options, tenant });
