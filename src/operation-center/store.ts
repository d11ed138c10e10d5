import type { ErrorReport } from '../core/error.ts';
import type { CycleReport } from '../task/report.ts';
import type {
  ApiToken,
  CenterEvent,
  CenterSettings,
  ClientTransport,
  EventKind,
  Mirror,
  MirrorSchedule,
  Role,
  Run,
  RunStatus,
  Tenant,
  TenantPreferences,
} from './model.ts';

export type NewMirror = {
  readonly tenant: string;
  readonly application: string;
  readonly publicKey: string;
  readonly transport: ClientTransport;
  readonly everyMs: number;
};

export type NewEvent = {
  readonly kind: EventKind;
  readonly tenant: string | null;
  readonly application?: string | null;
  readonly runId?: string | null;
  readonly message: string;
  readonly hint?: string | null;
};

export type MirrorWithSchedule = { readonly mirror: Mirror; readonly schedule: MirrorSchedule };

/**
 * What an operation center keeps. Several centers may share one. Throws `NOT_FOUND` for what is not there, `CONFLICT`
 * for what is there already, and `CENTER_DATABASE_FAILED` when the database cannot be asked.
 */
export interface Store {
  settings(): Promise<CenterSettings>;
  saveSettings(change: Partial<CenterSettings>): Promise<CenterSettings>;

  addTenant(tenant: { readonly name: string; readonly source: string }): Promise<Tenant>;
  /** Gives the tenant another source address (a password that changed). */
  saveSource(tenant: string, source: string): Promise<Tenant>;
  tenants(): Promise<readonly Tenant[]>;
  tenant(name: string): Promise<Tenant>;
  /** The address with its secrets, for the one who opens it. */
  source(tenant: string): Promise<string>;
  saveTenant(
    name: string,
    change: { readonly paused?: boolean; readonly maintenance?: boolean; readonly preferences?: TenantPreferences },
  ): Promise<Tenant>;
  /** Removes the tenant, its mirrors, runs, events and tokens from the center. The mirrors stay as they are. */
  removeTenant(name: string): Promise<void>;

  addMirror(mirror: NewMirror, dueAtMs: number): Promise<Mirror>;
  saveMirror(id: string, change: Partial<Pick<Mirror, 'publicKey' | 'transport' | 'everyMs'>>): Promise<Mirror>;
  removeMirror(id: string): Promise<void>;
  mirrors(tenant?: string): Promise<readonly Mirror[]>;
  mirror(tenant: string, application: string): Promise<Mirror>;
  mirrorById(id: string): Promise<Mirror | null>;
  mirrorsOfApplication(application: string): Promise<readonly Mirror[]>;

  schedules(tenant?: string): Promise<readonly MirrorWithSchedule[]>;
  schedule(mirrorId: string): Promise<MirrorSchedule>;
  saveSchedule(mirrorId: string, change: Partial<Omit<MirrorSchedule, 'mirrorId'>>): Promise<void>;

  beginRun(run: Pick<Run, 'tenant' | 'application' | 'trigger' | 'center'>): Promise<Run>;
  endRun(
    id: string,
    end: {
      readonly status: Exclude<RunStatus, 'running'>;
      readonly report: CycleReport | null;
      readonly error: ErrorReport | null;
      readonly bytes: number;
    },
  ): Promise<Run>;
  /** Newest first. */
  runs(filter: {
    readonly tenant?: string;
    readonly application?: string;
    readonly limit: number;
  }): Promise<readonly Run[]>;
  run(id: string): Promise<Run>;

  addEvent(event: NewEvent): Promise<CenterEvent>;
  /** Oldest first, those after `afterId`; without it the newest `limit`. */
  events(filter: {
    readonly tenant?: string;
    readonly afterId?: number;
    readonly limit: number;
  }): Promise<readonly CenterEvent[]>;

  /** Answers the secret once; it is not kept. */
  createToken(token: {
    readonly role: Role;
    readonly tenant: string | null;
  }): Promise<{ token: ApiToken; secret: string }>;
  /** The token that has this secret and is not revoked. */
  findToken(secret: string): Promise<ApiToken | null>;
  tokens(): Promise<readonly ApiToken[]>;
  revokeToken(id: string): Promise<void>;

  /** Removes runs and events older than the retention; cheap when there is nothing to do. */
  prune(): Promise<void>;
}
