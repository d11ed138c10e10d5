import type { Clock, Random } from '../core/clock.ts';
import { type ErrorReport, errorReport, SpeilError } from '../core/error.ts';
import type { TableName } from '../core/table.ts';
import type { SourceDatabase } from '../database/source-database.ts';
import { runTask } from '../task/mirroring-task.ts';
import { namedBy, type Preferences } from '../task/preferences.ts';
import type { CycleReport } from '../task/report.ts';
import type { CycleClients } from './cycle-clients.ts';
import { type CycleEnd, eventOf, failureOfTables, nameKey } from './cycle-words.ts';
import { guarded, type Lease } from './lease.ts';
import type { Mirror, MirrorSchedule, Run } from './model.ts';
import type { CenterLog, RunnerMetrics } from './runner-port.ts';
import { afterRun, type CycleOutcomeKind } from './schedule.ts';
import type { CycleBasis, Store } from './store.ts';

/**
 * A cycle that meets a passing failure is tried again this often, within two seconds, before it counts as failed. One whose
 * last failed is not: a mirror that stays away must not keep a place from others while nothing happens.
 */
const RETRIES_MAX = 2;

/** Opens a source database by its address; `openSource` of `src/open.ts`. */
export type OpenSource = (address: string) => Promise<SourceDatabase>;

/** Is told how each cycle ended, interrupted ones aside. Must not throw. */
export interface Alerts {
  cycleEnded(ended: {
    readonly run: Run;
    readonly mirror: Mirror;
    /** The schedule with which the cycle began. */
    readonly before: MirrorSchedule;
    readonly failuresInRow: number;
  }): Promise<void>;
}

/** What cycles are run with. */
export type CycleParts = {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly center: string;
  readonly openSource: OpenSource;
  readonly clients: CycleClients;
  /** Makes a function that takes the passwords of these addresses out of a text. */
  readonly redactor: (addresses: readonly string[]) => (text: string) => string;
  readonly metrics: RunnerMetrics;
  readonly log: CenterLog;
  readonly alerts: Alerts;
};

/**
 * One cycle of a mirror under a lease, with everything that is kept of it. Answers how it ended, or null when the lease was
 * lost: then another center writes what became of the mirror. Throws only when the center's database fails.
 */
export async function runCycle(parts: CycleParts, basis: CycleBasis, lease: Lease): Promise<CycleOutcomeKind | null> {
  const { store, clock } = parts;
  const { mirror, schedule } = basis;
  const startedAtMs = clock.now();
  const begun = { ...schedule, dueAtMs: Math.min(schedule.dueAtMs, startedAtMs) };
  // Before the run begins: who asks from here on, asks for another one.
  if (schedule.requested) await store.saveSchedule(mirror.id, { requested: false, dueAtMs: begun.dueAtMs });
  const { tenant, application } = mirror;
  const trigger = schedule.requested ? 'request' : 'schedule';
  const run = await store.beginRun({ tenant, application, trigger, center: parts.center });
  parts.metrics.cycleStarted({ tenant, application });
  const end = await mirrorOnce(parts, basis, lease);
  lease.check();
  if (lease.reason === 'lost') return lost(parts, run);
  return await settle(parts, { ...basis, schedule: begun }, { run, end, startedAtMs });
}

function lost({ log, metrics, clock }: CycleParts, run: Run): null {
  const { tenant, application } = run;
  log.warn({ tenant, application, run: run.id }, 'the cycle was not renewed in time and was left to others');
  metrics.cycleFinished({ ...run, status: 'interrupted', finishedAt: new Date(clock.now()).toISOString() });
  return null;
}

/** The cycle itself. Every failure is in what it answers. */
async function mirrorOnce(parts: CycleParts, basis: CycleBasis, lease: Lease): Promise<CycleEnd> {
  const reports: CycleReport[] = [];
  try {
    const report = await mirrorWith(parts, basis, lease, reports);
    if (report.skipped !== undefined) return { outcome: 'skipped', report, error: null };
    if (report.status === 'completed') return { outcome: 'completed', report, error: null };
    return { outcome: 'failed', report, error: failureOfTables(report) };
  } catch (error) {
    const outcome = lease.reason === null ? 'failed' : 'interrupted';
    const why: unknown = outcome === 'failed' ? error : lease.signal.reason;
    const told = withoutSecrets(errorReport(why), parts.redactor([basis.source]));
    const report = reports.at(-1) ?? null;
    return { outcome, report: report && { ...report, error: told }, error: told };
  }
}

const withoutSecrets = (report: ErrorReport, redact: (text: string) => string): ErrorReport => ({
  ...report,
  message: redact(report.message),
  hint: report.hint === null ? null : redact(report.hint),
});

async function mirrorWith(
  parts: CycleParts,
  basis: CycleBasis,
  lease: Lease,
  reports: CycleReport[],
): Promise<CycleReport> {
  const { clock, random, clients, openSource } = parts;
  const { mirror, tenant, schedule } = basis;
  if (!clients.isReachable(mirror)) throw notConnected(mirror);
  await using connected = clients.connect(mirror, tenant, lease.callSignal);
  await using source = await openSource(basis.source);
  const client = guarded(connected.client, lease, {
    beforeWipe: () => refuseInMaintenance(parts.store, tenant.name, lease),
    afterWipe: ({ schema }) => resyncBegun(parts.store, basis, schema.table),
  });
  const context = {
    clock,
    random,
    source,
    client,
    tenant: tenant.name,
    selection: { schemas: null },
    preferences: preferencesOf(basis),
    takeOver: false,
    resyncTables: schedule.resyncTables,
    emit: (event: { readonly event: string }) => {
      if (isReport(event)) reports.push(event);
    },
    signal: lease.signal,
  };
  return await runTask(context, { kind: 'once', retriesMax: schedule.failuresInRow === 0 ? RETRIES_MAX : 0 });
}

const isReport = (event: { readonly event: string }): event is CycleReport => event.event === 'cycle';

/** What is skipped for the first time is announced by this cycle and dropped by the next. */
function preferencesOf({ tenant: { preferences }, schedule }: CycleBasis): Preferences {
  const skipTables = [...preferences.skipTables, ...preferences.blockedTables];
  const announceOnly = newlySkipped(skipTables, schedule.announcedSkips);
  return { batchBytes: preferences.batchBytes, skipTables, onlyTables: [], announceOnly };
}

export function newlySkipped(skipTables: readonly string[], announced: readonly string[]): readonly string[] {
  const known = new Set(announced.map(nameKey));
  return skipTables.filter((name) => !known.has(nameKey(name)));
}

/** Also what came on a moment ago: the runner, which looks every half second, has not seen it yet. */
async function refuseInMaintenance(store: Store, tenant: string, lease: Lease): Promise<void> {
  const [settings, now] = await Promise.all([store.settings(), store.tenant(tenant)]);
  if (settings.maintenance || now.maintenance) lease.end('maintenance');
}

/** From the wipe on, a cycle that is tried again goes on with the copy instead of beginning another. */
async function resyncBegun(store: Store, { mirror, schedule }: CycleBasis, table: TableName): Promise<void> {
  const begun = schedule.resyncTables.filter((name) => namedBy([name])(table));
  if (begun.length > 0) await store.resyncBegun(mirror.id, begun);
}

const notConnected = ({ application }: Mirror): SpeilError =>
  new SpeilError('CLIENT_NOT_CONNECTED', `no mirror client of ${application} is connected to the operation center`, {
    hint: 'On the mirror’s side: speil client connect --center <this center>. Its cycle starts as soon as it is there.',
    recovery: 'retry',
  });

type Ended = { readonly run: Run; readonly end: CycleEnd; readonly startedAtMs: number };

/** Keeps what became of the cycle: when the next one is due, the run, a line in the tenant's event log. */
async function settle(
  parts: CycleParts,
  basis: CycleBasis,
  { run, end, startedAtMs }: Ended,
): Promise<CycleOutcomeKind> {
  const { store, clock, random, metrics, alerts } = parts;
  const { mirror, schedule, tenant } = basis;
  const { outcome, report, error } = end;
  const times = { startedAtMs, nowMs: clock.now(), everyMs: mirror.everyMs, chance: random.unit() };
  const next = afterRun(schedule, { outcome, ...times });
  const skips = [...tenant.preferences.skipTables, ...tenant.preferences.blockedTables];
  const announced = newlySkipped(skips, schedule.announcedSkips);
  await store.saveSchedule(mirror.id, { ...next, ...(outcome === 'completed' ? { announcedSkips: skips } : {}) });
  if (outcome === 'completed' && schedule.resyncTables.length > 0) {
    await store.resyncBegun(mirror.id, schedule.resyncTables);
  }
  const kept = await store.endRun(run.id, { status: outcome, report, error, bytes: report?.bytes ?? 0 });
  for (const event of eventOf({ end, announced: outcome === 'completed' ? announced : [], nextDueMs: next.dueAtMs })) {
    await store.addEvent({ ...event, tenant: mirror.tenant, application: mirror.application, runId: run.id });
    tellLog(parts.log, mirror, run, event);
  }
  metrics.cycleFinished(kept);
  if (outcome !== 'interrupted') {
    await alerts.cycleEnded({ run: kept, mirror, before: schedule, failuresInRow: next.failuresInRow });
  }
  return outcome;
}

function tellLog(log: CenterLog, mirror: Mirror, run: Run, event: ReturnType<typeof eventOf>[number]): void {
  const fields = { tenant: mirror.tenant, application: mirror.application, run: run.id };
  const level = { information: 'info', warning: 'warn', error: 'error' } as const;
  log[level[event.kind]](fields, event.message);
}
