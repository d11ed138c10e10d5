/** What is known of a job that was not answered when its executor ended. */
export type LostJob = {
  readonly isWrite: boolean;
  readonly isCancelled: boolean;
  /** It needs a connection that is gone. */
  readonly needsConnection: boolean;
  /** The one that was being carried out, if any was. */
  readonly isFirst: boolean;
  /** How often it was lost before. */
  readonly losses: number;
};

/**
 * What becomes of it. `rerun`: nothing of it happened. `unknown`: it may have been committed. `failed`: it ended its
 * executor twice.
 */
export type LossVerdict = 'rerun' | 'cancelled' | 'expired' | 'unknown' | 'failed';

/**
 * `hasCommitted`: the WAL holds commits that no answer told of. `isCrash`: the executor ended by itself.
 * Reads change nothing, and writes that were not committed are rolled back, so that both can be carried out again.
 */
export function judgeLoss(job: LostJob, hasCommitted: boolean, isCrash: boolean): LossVerdict {
  if (job.isWrite && hasCommitted) return 'unknown';
  if (job.isCancelled) return 'cancelled';
  if (job.needsConnection) return 'expired';
  return isCrash && job.isFirst && job.losses > 0 ? 'failed' : 'rerun';
}
