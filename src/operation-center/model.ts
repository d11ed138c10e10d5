import type { ErrorReport } from '../core/error.ts';
import type { CycleReport } from '../task/report.ts';

/** A customer: one source database, and a mirror for each application. */
export type Tenant = {
  readonly name: string;
  /** The source's address without its secrets. */
  readonly sourceDisplay: string;
  readonly paused: boolean;
  /** No cycles and no wipe while on. The whole center can be in maintenance too. */
  readonly maintenance: boolean;
  readonly preferences: TenantPreferences;
  /** UTC, ISO 8601. */
  readonly createdAt: string;
};

/** SuperOffice's preference section `Mirroring`, and the tables that nobody's mirror may have. */
export type TenantPreferences = {
  readonly batchBytes: number;
  /** The tenant's own choice (`SkipTable`). */
  readonly skipTables: readonly string[];
  /** The vendor's choice (`BlockTable`): only an operator changes it. */
  readonly blockedTables: readonly string[];
};

/** How a mirror client is reached. */
export type ClientTransport =
  | { readonly kind: 'http'; readonly url: string }
  | { readonly kind: 'soap'; readonly url: string }
  /** The client dials the center and is reached through that connection. */
  | { readonly kind: 'dialled' };

/** One application's mirror of one tenant. */
export type Mirror = {
  readonly id: string;
  readonly tenant: string;
  readonly application: string;
  /** PEM; what the application's answers are proved with. */
  readonly publicKey: string;
  readonly transport: ClientTransport;
  readonly everyMs: number;
  /** UTC, ISO 8601. */
  readonly createdAt: string;
};

/**
 * What the center remembers of a mirror to schedule it. Nothing here says how far the mirror has come: throw it away and
 * the mirror continues.
 */
export type MirrorSchedule = {
  readonly mirrorId: string;
  /** Milliseconds since 1970: the next cycle starts then, or as soon after as it may. */
  readonly dueAtMs: number;
  readonly failuresInRow: number;
  /** A cycle was asked for: it starts now, also before it is due. */
  readonly requested: boolean;
  /** Tables that somebody asked to have copied again, until a cycle began to. */
  readonly resyncTables: readonly string[];
  /** Skipped or blocked tables whose drop was announced by an earlier cycle. */
  readonly announcedSkips: readonly string[];
  /** True once a cycle completed: what follows is small, and goes before others' first copies. */
  readonly copied: boolean;
  /** Milliseconds since 1970; null before the first completed cycle. */
  readonly lastCompletedAtMs: number | null;
};

export type RunStatus = 'running' | 'completed' | 'failed' | 'skipped' | 'interrupted';

/** One cycle, as it is kept. */
export type Run = {
  readonly id: string;
  readonly tenant: string;
  readonly application: string;
  readonly status: RunStatus;
  readonly trigger: 'schedule' | 'request';
  /** The center that ran it. */
  readonly center: string;
  /** UTC, ISO 8601. */
  readonly startedAt: string;
  readonly finishedAt: string | null;
  /** Bytes of rows that were sent. */
  readonly bytes: number;
  readonly report: CycleReport | null;
  readonly error: ErrorReport | null;
};

/** A run without its report, which may be long. */
export type LastRun = Omit<Run, 'report'>;

export type EventKind = 'information' | 'warning' | 'error';

/** A line of a tenant's event log: one information a good cycle, errors otherwise. `tenant` null: the whole center. */
export type CenterEvent = {
  readonly id: number;
  readonly at: string;
  readonly kind: EventKind;
  readonly tenant: string | null;
  readonly application: string | null;
  readonly runId: string | null;
  readonly message: string;
  readonly hint: string | null;
};

export type Role = 'operator' | 'tenant' | 'read-only';

/** An API token; its secret is known to its holder alone, here is only its hash. */
export type ApiToken = {
  readonly id: string;
  readonly role: Role;
  /** The tenant that a token of role `tenant` sees; null sees all. */
  readonly tenant: string | null;
  readonly createdAt: string;
  readonly revokedAt: string | null;
};

/** No new cycle starts inside; a running one ends. `from` after `to` wraps over midnight. Minutes of the local day. */
export type QuietHours = { readonly fromMinute: number; readonly toMinute: number; readonly timezone: string };

/** What holds for the whole center. */
export type CenterSettings = {
  readonly maintenance: boolean;
  readonly quietHours: QuietHours | null;
  /** Alerts are posted here; null for nowhere. The address may hold a secret. */
  readonly webhook: string | null;
};
