/** What of a mirror has been told already. */
export type AlertState = {
  /** Milliseconds since 1970 of the last alert of the failures that have not ended yet; null when there are none. */
  readonly failedAtMs: number | null;
  /** It was told that the mirror is behind. */
  readonly behind: boolean;
};

export const NOTHING_TOLD: AlertState = { failedAtMs: null, behind: false };

/** How a mirror is now. */
export type MirrorHealth = { readonly failuresInRow: number; readonly behind: boolean };

export type AlertKind = 'failed' | 'recovered' | 'behind' | 'caught-up';

/** Failures that go on are told again after this long. */
export const TOLD_AGAIN_MS = 24 * 60 * 60 * 1000;

/** A mirror is behind when its last completed cycle is more than so many intervals ago. */
const BEHIND_INTERVALS = 2;
/** And has caught up when it is less: centers whose clocks differ a little agree on either. */
const CAUGHT_UP_INTERVALS = 1.5;

/** What is to be told of a mirror, and what has been told after that: the beginning and the end of each trouble. */
export function decideAlert(
  before: AlertState,
  after: MirrorHealth,
  nowMs: number,
): { readonly alerts: readonly AlertKind[]; readonly state: AlertState } {
  const failing = after.failuresInRow > 0;
  const tellFailure = failing && (before.failedAtMs === null || nowMs - before.failedAtMs >= TOLD_AGAIN_MS);
  const alerts: readonly (AlertKind | false)[] = [
    tellFailure && 'failed',
    !failing && before.failedAtMs !== null && 'recovered',
    after.behind && !before.behind && 'behind',
    !after.behind && before.behind && 'caught-up',
  ];
  const failedAtMs = tellFailure ? nowMs : failing ? before.failedAtMs : null;
  return { alerts: alerts.filter((alert) => alert !== false), state: { failedAtMs, behind: after.behind } };
}

/**
 * Whether a mirror is behind its schedule. Time in which no cycle could start does not put it behind: `freeSinceMs` is when
 * pause, maintenance, quiet hours or the center's own absence ended last. Once that was `told`, only a cycle ends it.
 */
export function isBehind(mirror: {
  readonly told: boolean;
  readonly lastCompletedAtMs: number | null;
  readonly createdAtMs: number;
  readonly everyMs: number;
  readonly freeSinceMs: number;
  readonly nowMs: number;
}): boolean {
  const { told, nowMs, everyMs, freeSinceMs } = mirror;
  const lastMs = mirror.lastCompletedAtMs ?? mirror.createdAtMs;
  if (told) return nowMs - lastMs > CAUGHT_UP_INTERVALS * everyMs;
  return nowMs - Math.max(lastMs, freeSinceMs) > BEHIND_INTERVALS * everyMs;
}
