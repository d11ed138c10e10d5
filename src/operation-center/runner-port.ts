import type { Run } from './model.ts';

export type { Log as CenterLog } from '../service/log.ts';

/** What the API needs of whatever runs the cycles. Several centers may share the work: none of this is about one process. */
export interface Runner {
  /**
   * Has the mirror's next cycle start as soon as it may, also before it is due and in quiet hours. While one runs,
   * another follows it. Answers the mirror's newest run so far, for {@link Runner.waitForRun}.
   */
  requestRun(mirrorId: string): Promise<{ readonly lastRunId: string | null }>;
  /**
   * The first run of the mirror that began after `afterRunId` (null: any) and has ended, whichever center ran it; null
   * when there is none within `waitMs`. Throws the signal's reason.
   */
  waitForRun(
    mirrorId: string,
    wait: { readonly afterRunId: string | null; readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<Run | null>;
  /** True while this center runs a cycle of the mirror. */
  isRunning(mirrorId: string): boolean;
  /** Where this center stands, for `/readyz` and metrics. */
  state(): RunnerState;
}

export type RunnerState = {
  /** Cycles that this center runs now. */
  readonly running: number;
  /** Due cycles that wait for their turn, as far as this center knows. */
  readonly queued: number;
  /** False before it has begun to take up work, and once it ends. */
  readonly ready: boolean;
};

/** What the runner tells about its cycles. `src/operation-center/metrics.ts` counts it. */
export interface RunnerMetrics {
  cycleStarted(cycle: { readonly tenant: string; readonly application: string }): void;
  /** Once for every run that this center began, with its final status. */
  cycleFinished(run: Run): void;
}
