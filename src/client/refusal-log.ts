import type { Clock } from '../core/clock.ts';
import type { ErrorReport } from '../core/error.ts';

/** Anybody can send calls that are refused: a log must not grow by as many lines. */
const TOLD_PER_WINDOW_MAX = 10;
const WINDOW_MS = 60_000;

export type Refusal = {
  readonly error: ErrorReport;
  /** Refusals since the last one that was told. */
  readonly untold: number;
};

/** Passes on a few refusals a minute, and how many there were besides. */
export function tellFewRefusals(clock: Clock, tell: (refusal: Refusal) => void): (error: ErrorReport) => void {
  let windowMs = Number.NEGATIVE_INFINITY;
  let told = 0;
  let untold = 0;
  return (error) => {
    const nowMs = clock.monotonicMs();
    if (nowMs - windowMs >= WINDOW_MS) {
      windowMs = nowMs;
      told = 0;
    }
    if (told >= TOLD_PER_WINDOW_MAX) {
      untold++;
      return;
    }
    told++;
    tell({ error, untold });
    untold = 0;
  };
}
