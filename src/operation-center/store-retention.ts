import type { Store } from './store.ts';
import type { StoreParts } from './store-sql.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Runs and events are kept so long. */
export const KEPT_MS = 90 * DAY_MS;
/** And no more of them than so many: about two gigabytes of runs with their reports. */
export const RUNS_KEPT_MAX = 1_000_000;
export const EVENTS_KEPT_MAX = 1_000_000;

/** Removed by one statement: none holds up the center for long. */
const SLICE = 1_000;
/** Of one call; what is left goes with the next. */
const SLICES_MAX = 200;

export function retentionStore(parts: StoreParts): Pick<Store, 'prune'> {
  return {
    prune: async () => {
      const oldest = new Date(parts.clock.now() - KEPT_MS).toISOString();
      await inSlices(parts, PRUNE_RUNS, oldest);
      await inSlices(parts, PRUNE_EVENTS, oldest);
      await parts.database.query(RETIME, [parts.clock.now()]);
      await parts.database.tidyUp();
    },
  };
}

async function inSlices({ database }: StoreParts, statement: string, oldest: string): Promise<void> {
  for (let slice = 0; slice < SLICES_MAX; slice++) {
    const [removed] = await database.query(statement, [oldest]);
    if (Number(removed?.['count']) < SLICE) return;
  }
}

/** Clocks of centers that share the database may differ by this. */
const CLOCKS_DIFFER_MS = 60_000;

/**
 * No mirror is due later than an interval from now: it was made so by a clock that was wrong. It keeps its place within the
 * interval, so that those of a center do not all become due together.
 */
const RETIME = `
UPDATE speil_center.schedule SET due_at_ms = $1::bigint + (due_at_ms - $1::bigint) % every_ms,
  last_completed_at_ms = least(last_completed_at_ms, $1::bigint)
FROM speil_center.mirror
WHERE mirror.id = mirror_id AND due_at_ms > $1::bigint + every_ms + ${CLOCKS_DIFFER_MS}
RETURNING mirror_id`;

/** The last run of a mirror stays: status shows it, also of a mirror that is paused for long. */
const PRUNE_RUNS = `
WITH newest AS (SELECT coalesce(max(seq), 0) AS seq FROM speil_center.run),
gone AS (
  DELETE FROM speil_center.run WHERE seq IN (
    (SELECT old.seq FROM speil_center.run AS old JOIN speil_center.mirror USING (tenant, application)
     WHERE old.started_at < $1::timestamptz AND old.number < mirror.runs ORDER BY old.started_at LIMIT ${SLICE})
    UNION ALL
    (SELECT old.seq FROM speil_center.run AS old JOIN speil_center.mirror USING (tenant, application)
     WHERE old.seq <= (SELECT seq - ${RUNS_KEPT_MAX} FROM newest) AND old.number < mirror.runs
     ORDER BY old.seq LIMIT ${SLICE}))
  RETURNING 1)
SELECT count(*) AS count FROM gone`;

/** Ids and times ascend together, so what is too old is among the first. */
const PRUNE_EVENTS = `
WITH gone AS (
  DELETE FROM speil_center.event
  WHERE id IN (SELECT id FROM speil_center.event ORDER BY id LIMIT ${SLICE})
    AND (at < $1::timestamptz OR id <= (SELECT id - ${EVENTS_KEPT_MAX} FROM speil_center.last_event))
  RETURNING 1)
SELECT count(*) AS count FROM gone`;
