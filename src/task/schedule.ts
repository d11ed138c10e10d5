/** When a task runs its cycles. */
export type Schedule =
  /** `retriesMax`: how often a cycle that failed for a passing reason is tried again; {@link RETRIES_MAX}. */
  | { readonly kind: 'once'; readonly retriesMax?: number }
  /** Every so often, measured from start to start. */
  | { readonly kind: 'every'; readonly everyMs: number }
  /** As soon as there are changes. */
  | { readonly kind: 'follow' };

/** A cycle that took longer than the interval delays the next one; what was missed is not made up for. */
export const nextStartMs = (startedMs: number, finishedMs: number, everyMs: number): number =>
  Math.max(startedMs + everyMs, finishedMs);

/** Rounds that find changes follow each other this closely. */
export const FOLLOW_DELAY_MS_MIN = 50;
/** Rounds that find nothing back off to this. */
export const FOLLOW_DELAY_MS_MAX = 900;

/** A round that failed for a reason that does not pass by itself is tried again this much later. */
export const FAILED_DELAY_MS = 30_000;

export const nextFollowDelayMs = (delayMs: number, foundChanges: boolean): number =>
  foundChanges ? FOLLOW_DELAY_MS_MIN : Math.min(delayMs * 2, FOLLOW_DELAY_MS_MAX);

/** A round without changes at the source still looks at the mirror and at the schemas this often. */
export const QUIET_MS_MAX = 10_000;

/** A cycle that failed as a whole is tried again this often when there is no next cycle anyway. */
export const RETRIES_MAX = 6;

const RETRY_DELAY_MS_MIN = 500;
const RETRY_DELAY_MS_MAX = 30_000;

/** Doubles from half a second to half a minute, shortened by chance by up to half, so that many tasks do not march in step. */
export const retryDelayMs = (attempt: number, chance: number): number =>
  Math.min(RETRY_DELAY_MS_MIN * 2 ** (attempt - 1), RETRY_DELAY_MS_MAX) * (1 - chance / 2);
