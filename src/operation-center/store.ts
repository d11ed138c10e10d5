import type { ErrorReport } from '../core/error.ts';
import type { CycleReport } from '../task/report.ts';
import type { AlertState } from './alert-decision.ts';
import type {
  ApiToken,
  CenterEvent,
  CenterSettings,
  ClientTransport,
  EventKind,
  LastRun,
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

/** A mirror that may have a cycle now, with what may still hinder it. */
export type DueMirror = MirrorWithSchedule & { readonly tenant: Pick<Tenant, 'paused' | 'maintenance'> };

/** Everything that a cycle of a mirror begins with. */
export type CycleBasis = MirrorWithSchedule & {
  readonly tenant: Tenant;
  /** The source's address with its secrets. */
  readonly source: string;
};

/** A mirror of which there may be something to tell, as far as its schedule shows. */
export type AlertCandidate = MirrorWithSchedule & {
  readonly told: AlertState;
  /** Its tenant is paused or in maintenance. */
  readonly held: boolean;
};

/**
 * What an operation center keeps. Several centers may share one. Throws `NOT_FOUND` for what is not there, `CONFLICT`
 * for what is there already, and `CENTER_DATABASE_FAILED` when the database cannot be asked.
 */
export interface Store {
  settings(): Promise<CenterSettings>;
  saveSettings(change: Partial<CenterSettings>): Promise<CenterSettings>;
  /** What alerts are signed with, `whsec_…`; made when it is first asked for. For the webhook's owner, once. */
  webhookSecret(): Promise<string>;

  addTenant(tenant: { readonly name: string; readonly source: string }): Promise<Tenant>;
  /** Gives the tenant another source address (a password that changed). */
  saveSource(tenant: string, source: string): Promise<Tenant>;
  tenants(): Promise<readonly Tenant[]>;
  tenant(name: string): Promise<Tenant>;
  /** The address with its secrets, for the one who opens it. */
  source(tenant: string): Promise<string>;
  /** Of the preferences only those that are named change, whatever others change meanwhile. */
  saveTenant(
    name: string,
    change: {
      readonly paused?: boolean;
      readonly maintenance?: boolean;
      readonly preferences?: Partial<TenantPreferences>;
    },
  ): Promise<Tenant>;
  /** Removes the tenant, its mirrors, runs, events and tokens from the center. The mirrors stay as they are. */
  removeTenant(name: string): Promise<void>;

  addMirror(mirror: NewMirror, dueAtMs: number): Promise<Mirror>;
  /** With a shorter interval the next cycle is due within it. */
  saveMirror(id: string, change: Partial<Pick<Mirror, 'publicKey' | 'transport' | 'everyMs'>>): Promise<Mirror>;
  removeMirror(id: string): Promise<void>;
  mirrors(tenant?: string): Promise<readonly Mirror[]>;
  mirror(tenant: string, application: string): Promise<Mirror>;
  mirrorById(id: string): Promise<Mirror | null>;
  mirrorsOfApplication(application: string): Promise<readonly Mirror[]>;

  schedules(tenant?: string): Promise<readonly MirrorWithSchedule[]>;
  schedule(mirrorId: string): Promise<MirrorSchedule>;
  /**
   * Mirrors that are requested, or (unless `requestedOnly`) due, of tenants that are neither paused nor in maintenance:
   * either those that were `copied` or those that were not. Of each tenant only the first, requested before others and
   * then in the order in which they are due; the answer is in that order too. Asked twice a second, so with an index.
   */
  dueMirrors(filter: {
    readonly nowMs: number;
    readonly requestedOnly: boolean;
    readonly copied: boolean;
    readonly limit: number;
  }): Promise<readonly DueMirror[]>;
  /** Adds tables to `resyncTables` whatever others do meanwhile; answers them all. `CONFLICT` when very many wait already. */
  addResync(mirrorId: string, tables: readonly string[]): Promise<readonly string[]>;
  /** Takes tables out of `resyncTables`; those that were added meanwhile stay. */
  resyncBegun(mirrorId: string, tables: readonly string[]): Promise<void>;
  /** In one query; null when the mirror is gone. */
  cycleBasis(mirrorId: string): Promise<CycleBasis | null>;
  saveSchedule(mirrorId: string, change: Partial<Omit<MirrorSchedule, 'mirrorId'>>): Promise<void>;

  /** `NOT_FOUND` when the mirror is gone. */
  beginRun(run: Pick<Run, 'tenant' | 'application' | 'trigger' | 'center'>): Promise<Run>;
  /** Also of a run that was taken for interrupted meanwhile; `CONFLICT` when it ended otherwise. */
  endRun(
    id: string,
    end: {
      readonly status: Exclude<RunStatus, 'running'>;
      readonly report: CycleReport | null;
      readonly error: ErrorReport | null;
      readonly bytes: number;
    },
  ): Promise<Run>;
  /**
   * Ends runs as `interrupted` that still count as running though whoever ran them is gone: those of one mirror, or all.
   * Answers them as they are now.
   */
  interruptRuns(filter: { readonly tenant?: string; readonly application?: string }): Promise<readonly Run[]>;
  /** Newest first. */
  runs(filter: {
    readonly tenant?: string;
    readonly application?: string;
    readonly limit: number;
  }): Promise<readonly Run[]>;
  /** The newest run of each mirror that has one, without its report: for status, of all mirrors in one query. */
  lastRuns(tenant?: string): Promise<readonly LastRun[]>;
  run(id: string): Promise<Run>;

  /** Ids ascend in the order in which events become visible, whichever center adds them. */
  addEvent(event: NewEvent): Promise<CenterEvent>;
  /** Oldest first, those after `afterId`; without it the newest `limit`. */
  events(filter: {
    readonly tenant?: string;
    readonly afterId?: number;
    readonly limit: number;
  }): Promise<readonly CenterEvent[]>;

  alertState(mirrorId: string): Promise<AlertState>;
  /** False when the state is not `from` any more: another center was faster; or the mirror is gone. */
  saveAlertState(mirrorId: string, from: AlertState, to: AlertState): Promise<boolean>;
  /** Mirrors that are late by the clock, or that were told to be behind. */
  alertCandidates(nowMs: number): Promise<readonly AlertCandidate[]>;

  /** Answers the secret once; it is not kept. */
  createToken(token: {
    readonly role: Role;
    readonly tenant: string | null;
  }): Promise<{ token: ApiToken; secret: string }>;
  /** The token that has this secret and is not revoked. */
  findToken(secret: string): Promise<ApiToken | null>;
  tokens(): Promise<readonly ApiToken[]>;
  revokeToken(id: string): Promise<void>;

  /**
   * Removes runs and events older than the retention, sets right what a wrong clock left due far ahead, and tidies up the database. Cheap when there is nothing to do; call
   * it every few minutes.
   */
  prune(): Promise<void>;
}
