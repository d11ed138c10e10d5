import type { Clock } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import { isTenantName } from '../../core/tenant-name.ts';
import { fillTemplate } from '../../database/location-template.ts';
import type { MirrorDatabase } from '../../database/mirror-database.ts';
import type { Hooks } from '../hooks.ts';
import type { TenantMirrors } from '../tenant-mirrors.ts';
import { type InstanceOwners, type MirrorAccess, type OpenMirror, openTenantMirror } from './open-mirror.ts';
import { Slots } from './slots.ts';
import { Turns } from './turns.ts';

/** A tenant's cycle makes one call at a time; more that wait are a caller gone wrong, each with its rows in memory. */
export const TURNS_WAITING_MAX = 16;
/** Connections or files open at once; a server of PostgreSQL takes 100 connections by default. */
export const OPEN_MIRRORS_MAX = 50;
/** Tenants whose calls wait until another's database is closed. */
export const TENANTS_WAITING_MAX = 200;
/** How often a mirror is opened anew whose server has no connection left, each time after another mirror was closed. */
const FULL_ATTEMPTS_MAX = 5;
/** A server counts a connection for a moment after it was closed. */
const FULL_DELAY_MS = 100;
/** Longer than the pauses within a cycle, shorter than those between two. */
export const IDLE_MS_DEFAULT = 60_000;

export type TenantMirrorsOptions = MirrorAccess & {
  /** Address of the mirrors; `{tenant}` in it stands for the tenant. */
  readonly template: string;
  readonly clock: Clock;
  /** Names another address than the template does. */
  readonly resolveMirror?: Hooks['resolveMirror'];
  /** A database that was not used for so long is closed. */
  readonly idleMs?: number | undefined;
  /** How many databases are open at once. */
  readonly openMax?: number | undefined;
};

/** The mirrors that are open, for whoever wants to know. */
export type PooledMirrors = TenantMirrors & { readonly openCount: number };

export const createTenantMirrors = (options: TenantMirrorsOptions): PooledMirrors => new TenantPool(options);

/** A tenant that has work, or whose mirror is open. */
type Tenant = { readonly name: string; readonly turns: Turns; opened: OpenMirror | null; usedAtMs: number };

class TenantPool implements PooledMirrors {
  readonly #options: TenantMirrorsOptions;
  readonly #tenants = new Map<string, Tenant>();
  readonly #owners: InstanceOwners = new Map();
  readonly #slots: Slots;
  readonly #idleMs: number;
  readonly #end = new AbortController();
  #isSweeping = false;
  /** When a server took no more connections. */
  #fullAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: TenantMirrorsOptions) {
    this.#options = options;
    this.#slots = new Slots(options.openMax ?? OPEN_MIRRORS_MAX);
    this.#idleMs = options.idleMs ?? IDLE_MS_DEFAULT;
  }

  get openCount(): number {
    return this.#open().length;
  }

  async use<T>(name: string, clientState: string, work: (mirror: MirrorDatabase) => Promise<T>): Promise<T> {
    const tenant = this.#admit(name);
    return tenant.turns
      .take(async () => {
        const { mirror } = await this.#opened(tenant, clientState);
        try {
          return await work(mirror);
        } catch (error) {
          if (!mirror.isUsable || isOfTheDatabase(error)) await this.#close(tenant);
          throw error;
        }
      })
      .finally(() => this.#rest(tenant));
  }

  /** Waits for the work that is under way or has a turn, and closes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort(new SpeilError('INTERRUPTED', 'the mirror client ends'));
    await Promise.all([...this.#tenants.values()].map((tenant) => tenant.turns.take(() => this.#close(tenant))));
  }

  #admit(name: string): Tenant {
    if (this.#end.signal.aborted) throw ending();
    if (!isTenantName(name)) throw new SpeilError('USAGE', 'the call names a tenant that cannot be one');
    const tenant = this.#tenants.get(name) ?? { name, turns: new Turns(), opened: null, usedAtMs: 0 };
    if (tenant.turns.count > TURNS_WAITING_MAX) throw tooBusy(`calls of the tenant ${name}`, TURNS_WAITING_MAX);
    this.#tenants.set(name, tenant);
    return tenant;
  }

  /** The tenant's mirror, opened anew when it was lost or has another address now. Within its turn. */
  async #opened(tenant: Tenant, clientState: string): Promise<OpenMirror> {
    const address = await this.#addressOf(tenant.name, clientState);
    const { opened } = tenant;
    if (opened !== null && opened.address === address && opened.mirror.isUsable) return opened;
    await this.#close(tenant);
    for (let attempt = 1; ; attempt++) {
      await this.#takeSlot();
      try {
        tenant.opened = await openTenantMirror(this.#options, this.#owners, { tenant: tenant.name, address });
        return tenant.opened;
      } catch (error) {
        this.#slots.giveBack();
        if (attempt === FULL_ATTEMPTS_MAX || this.#options.isFull?.(error) !== true) throw error;
        if (!(await this.#makeDo())) throw error;
      }
    }
  }

  /** The server takes no more connections: for a while fewer mirrors are open at once. False when it is not for ours. */
  async #makeDo(): Promise<boolean> {
    if (this.#slots.takenCount === 0) return false;
    this.#slots.lower();
    this.#fullAtMs = this.#options.clock.monotonicMs();
    await this.#options.clock.sleep(FULL_DELAY_MS, this.#end.signal).catch(() => undefined);
    return !this.#end.signal.aborted;
  }

  async #addressOf(tenant: string, clientState: string): Promise<string> {
    const { resolveMirror, template } = this.#options;
    if (resolveMirror === undefined) return fillTemplate(template, tenant);
    const address: unknown = await Promise.try(() => resolveMirror({ tenant, clientState })).catch(unresolved);
    return typeof address === 'string' ? address : unresolved(new TypeError('it must answer an address'));
  }

  async #takeSlot(): Promise<void> {
    if (this.#options.clock.monotonicMs() - this.#fullAtMs > this.#idleMs) this.#slots.restore();
    if (this.#slots.waitingCount >= TENANTS_WAITING_MAX) throw tooBusy('tenants', TENANTS_WAITING_MAX);
    const slot = this.#slots.take();
    this.#makeRoom();
    await slot;
  }

  /** Closes the database that was not used for longest, of those that nobody uses, for each tenant that waits. */
  #makeRoom(): void {
    const idle = this.#open()
      .filter(({ turns }) => turns.count === 0)
      .toSorted((a, b) => a.usedAtMs - b.usedAtMs);
    for (const tenant of idle.slice(0, this.#slots.waitingCount)) void this.#closeInTurn(tenant);
  }

  #open(): readonly Tenant[] {
    return [...this.#tenants.values()].filter(({ opened }) => opened !== null);
  }

  /** After a turn. */
  #rest(tenant: Tenant): void {
    tenant.usedAtMs = this.#options.clock.monotonicMs();
    if (tenant.turns.count > 0) return;
    if (tenant.opened === null) this.#tenants.delete(tenant.name);
    this.#makeRoom();
    if (tenant.opened !== null && !this.#isSweeping) void this.#sweep();
  }

  /** One round for all idle databases, as long as there are any. */
  async #sweep(): Promise<void> {
    const { clock } = this.#options;
    this.#isSweeping = true;
    while (this.#open().length > 0 && !this.#end.signal.aborted) {
      const oldestMs = Math.min(...this.#open().map(({ usedAtMs }) => usedAtMs));
      const waitMs = Math.max(oldestMs + this.#idleMs - clock.monotonicMs(), this.#idleMs / 4);
      await clock.sleep(waitMs, this.#end.signal).catch(() => undefined);
      const sinceMs = clock.monotonicMs() - this.#idleMs;
      const idle = this.#open().filter(({ turns, usedAtMs }) => turns.count === 0 && usedAtMs <= sinceMs);
      await Promise.all(idle.map((tenant) => this.#closeInTurn(tenant)));
    }
    this.#isSweeping = false;
  }

  async #closeInTurn(tenant: Tenant): Promise<void> {
    await tenant.turns.take(() => this.#close(tenant));
    if (tenant.turns.count === 0 && tenant.opened === null) this.#tenants.delete(tenant.name);
  }

  /** A database that cannot be closed any more is gone all the same. Within the tenant's turn. */
  async #close(tenant: Tenant): Promise<void> {
    const { opened } = tenant;
    if (opened === null) return;
    tenant.opened = null;
    await opened.close().catch(() => undefined);
    this.#slots.giveBack();
  }
}

const ending = (): SpeilError =>
  new SpeilError('UNREACHABLE', 'the mirror client is ending', { hint: 'It is tried again.', recovery: 'retry' });

const tooBusy = (what: string, countMax: number): SpeilError =>
  new SpeilError('MIRROR_BUSY', `more than ${countMax} ${what} wait already`, {
    hint: 'It is tried again; nothing is lost.',
    recovery: 'retry',
  });

function unresolved(cause: unknown): never {
  const why = cause instanceof Error ? cause.message : String(cause);
  throw new SpeilError('UNREACHABLE', `the mirror could not be named: hook resolveMirror failed: ${why}`, {
    hint: 'Mend the hook of the mirror client.',
    recovery: 'retry',
    cause,
  });
}

/** After these nothing is known of the session or file that was open. */
const isOfTheDatabase = (error: unknown): boolean =>
  !(error instanceof SpeilError) ||
  [
    'CONNECTION_LOST',
    'UNREACHABLE',
    'DATABASE_MISSING',
    'NOT_A_DATABASE',
    'READ_ONLY',
    'MIRROR_BUSY',
    'INTERNAL',
  ].includes(error.code);
