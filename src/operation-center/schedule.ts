import { createHash } from 'node:crypto';
import type { CenterSettings, MirrorSchedule, Tenant } from './model.ts';
import { isQuiet } from './quiet-hours.ts';
import type { DueMirror } from './store.ts';

/** SuperOffice's interval. */
export const EVERY_MS_DEFAULT = 20 * 60 * 1000;

/** The first failure is tried again after this long; each further one in a row waits twice as long, up to the interval. */
export const BACKOFF_MS_MIN = 30_000;

/** A cycle that starts this soon after it was due is on time: the next is counted from when it was due, so phases stay. */
export const PUNCTUAL_MS = 5_000;

/** What keeps a mirror from starting a cycle now. */
export type Hindrance = 'not-due' | 'paused' | 'maintenance' | 'quiet-hours';

export type Situation = {
  readonly settings: Pick<CenterSettings, 'maintenance' | 'quietHours'>;
  readonly tenant: Pick<Tenant, 'paused' | 'maintenance'>;
  readonly schedule: Pick<MirrorSchedule, 'dueAtMs' | 'requested'>;
  readonly nowMs: number;
};

/**
 * Why no cycle of the mirror may start; null when one may. A cycle that a person asked for starts before it is due and in
 * quiet hours, but neither while its tenant is paused nor in maintenance: it then waits.
 */
export function hindrance({ settings, tenant, schedule, nowMs }: Situation): Hindrance | null {
  if (settings.maintenance || tenant.maintenance) return 'maintenance';
  if (tenant.paused) return 'paused';
  if (schedule.requested) return null;
  if (schedule.dueAtMs > nowMs) return 'not-due';
  return isQuiet(settings.quietHours, nowMs) ? 'quiet-hours' : null;
}

/**
 * What goes first when not all can run. First copies come last, and have places of their own so that they come at all
 * (see {@link placesFor}).
 */
export const PRIORITY = { requestedCatchUp: 40, catchUp: 30, requestedFirstCopy: 20, firstCopy: 10 } as const;

/** Jobs of at most this priority are first copies. */
export const FIRST_COPY_PRIORITY_MAX = PRIORITY.requestedFirstCopy;

export function priorityOf({ copied, requested }: Pick<MirrorSchedule, 'copied' | 'requested'>): number {
  if (copied) return requested ? PRIORITY.requestedCatchUp : PRIORITY.catchUp;
  return requested ? PRIORITY.requestedFirstCopy : PRIORITY.firstCopy;
}

export type Startable = { readonly mirrorId: string; readonly tenant: string; readonly priority: number };

/**
 * The mirrors whose cycle may start now, the most urgent first; of equals the one that has waited longest. Of a tenant
 * whose first copy has waited for a whole interval no catch-up starts by itself while there is a place for first copies
 * (`hasFirstCopyPlace`): long catch-ups of its other mirrors would keep it waiting for ever.
 */
export function startable(
  settings: Pick<CenterSettings, 'maintenance' | 'quietHours'>,
  candidates: readonly DueMirror[],
  { nowMs, hasFirstCopyPlace }: { readonly nowMs: number; readonly hasFirstCopyPlace: boolean },
): readonly Startable[] {
  const free = candidates.filter(({ tenant, schedule }) => hindrance({ settings, tenant, schedule, nowMs }) === null);
  const giveWay = new Set(
    free.filter((one) => hasFirstCopyPlace && isOverdueCopy(one, nowMs)).map(({ mirror }) => mirror.tenant),
  );
  return free
    .filter(({ mirror, schedule }) => !schedule.copied || schedule.requested || !giveWay.has(mirror.tenant))
    .map(({ mirror, schedule }) => ({
      mirrorId: mirror.id,
      tenant: mirror.tenant,
      priority: priorityOf(schedule),
      dueAtMs: schedule.dueAtMs,
    }))
    .toSorted((a, b) => b.priority - a.priority || a.dueAtMs - b.dueAtMs)
    .map(({ mirrorId, tenant, priority }) => ({ mirrorId, tenant, priority }));
}

const isOverdueCopy = ({ mirror, schedule }: DueMirror, nowMs: number): boolean =>
  !schedule.copied && nowMs - schedule.dueAtMs >= mirror.everyMs;

export type Running = { readonly catchUps: number; readonly firstCopies: number };

/**
 * How many more cycles of either kind a center may take up. First copies get half of the places at most, so that copies of
 * days never hold up catch-ups; catch-ups leave a quarter, so that first copies always come.
 */
export function placesFor(cyclesMax: number, running: Running): Running {
  const firstCopiesMax = Math.max(1, Math.floor(cyclesMax / 2));
  const catchUpsMax = Math.max(1, cyclesMax - Math.ceil(cyclesMax / 4));
  const free = Math.max(0, cyclesMax - running.catchUps - running.firstCopies);
  return {
    catchUps: Math.min(free, Math.max(0, catchUpsMax - running.catchUps)),
    firstCopies: Math.min(free, Math.max(0, firstCopiesMax - running.firstCopies)),
  };
}

/** How a cycle went, as far as the schedule cares. */
export type CycleOutcomeKind = 'completed' | 'failed' | 'skipped' | 'interrupted';

export type EndedCycle = {
  readonly outcome: CycleOutcomeKind;
  readonly startedAtMs: number;
  readonly nowMs: number;
  readonly everyMs: number;
  /** In [0, 1): how much sooner than at the latest a failed cycle is tried again. */
  readonly chance: number;
};

export type NextCycle = Pick<MirrorSchedule, 'dueAtMs' | 'failuresInRow' | 'copied' | 'lastCompletedAtMs'>;

/**
 * When the mirror's next cycle is due. Cycles follow each other from start to start: one that took longer than the interval
 * delays the next, and what was missed is not made up for. An interrupted one is due still.
 */
export function afterRun(schedule: MirrorSchedule, ended: EndedCycle): NextCycle {
  const { failuresInRow, copied, lastCompletedAtMs } = schedule;
  switch (ended.outcome) {
    case 'completed':
      return { dueAtMs: regularDueMs(schedule, ended), failuresInRow: 0, copied: true, lastCompletedAtMs: ended.nowMs };
    case 'skipped':
      return { dueAtMs: regularDueMs(schedule, ended), failuresInRow: 0, copied, lastCompletedAtMs };
    case 'failed':
      return { dueAtMs: retryDueMs(failuresInRow, ended), failuresInRow: failuresInRow + 1, copied, lastCompletedAtMs };
    case 'interrupted':
      return { dueAtMs: Math.min(schedule.dueAtMs, ended.startedAtMs), failuresInRow, copied, lastCompletedAtMs };
  }
}

/** Mirrors that were registered together start together once; the second cycle brings each into its own phase. */
function regularDueMs(schedule: MirrorSchedule, { startedAtMs, nowMs, everyMs }: EndedCycle): number {
  const lateMs = startedAtMs - schedule.dueAtMs;
  const countedFromMs = lateMs >= 0 && lateMs <= PUNCTUAL_MS ? schedule.dueAtMs : startedAtMs;
  const delayMs = schedule.copied ? everyMs : everyMs * phaseOf(schedule.mirrorId);
  return Math.max(countedFromMs + Math.round(delayMs), nowMs);
}

function retryDueMs(failuresBefore: number, { nowMs, everyMs, chance }: EndedCycle): number {
  const delayMs = Math.min(BACKOFF_MS_MIN * 2 ** Math.min(failuresBefore, 30), everyMs);
  return nowMs + Math.round(delayMs * (1 - chance / 2));
}

/** A number in (0, 1] that belongs to the mirror: where in the interval its cycles start. */
export function phaseOf(mirrorId: string): number {
  const hash = createHash('sha256').update(mirrorId).digest().readUInt32BE(0);
  return (hash + 1) / 2 ** 32;
}
