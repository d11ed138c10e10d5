import type { MirrorDatabase } from '../database/mirror-database.ts';

/**
 * The mirror databases of all tenants that a client serves. A tenant's database is made at its first call, opened when
 * needed, held against other processes while open, and closed when it was not used for a while.
 */
export interface TenantMirrors extends AsyncDisposable {
  /**
   * Runs `work` with the tenant's mirror. Work of one tenant waits for its turn, in order; different tenants do not wait
   * for each other. Throws `MIRROR_BUSY` when another process holds the mirror or too much work waits already.
   */
  use<T>(tenant: string, clientState: string, work: (mirror: MirrorDatabase) => Promise<T>): Promise<T>;
}
