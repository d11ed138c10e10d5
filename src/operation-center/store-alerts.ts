import { NOTHING_TOLD } from './alert-decision.ts';
import type { AlertCandidate, Store } from './store.ts';
import { BOTH, bothOf } from './store-schedules.ts';
import { numberOrNull, type StoredRow, type StoreParts } from './store-sql.ts';

/** More alerts at once help nobody; the others come with the next look. */
const CANDIDATES_MAX = 1_000;

const stateOf = (row: StoredRow | undefined) =>
  row === undefined || row['behind'] === null
    ? NOTHING_TOLD
    : { failedAtMs: numberOrNull(row['failed_at_ms']), behind: row['behind'] === true };

export function alertStore({ database }: StoreParts): Pick<Store, 'alertState' | 'saveAlertState' | 'alertCandidates'> {
  return {
    alertState: async (mirrorId) => {
      const rows = await database.query('SELECT failed_at_ms, behind FROM speil_center.alert WHERE mirror_id = $1', [
        mirrorId,
      ]);
      return stateOf(rows[0]);
    },
    saveAlertState: async (mirrorId, from, to) => {
      const saved = await database.query(SAVE, [mirrorId, to.failedAtMs, to.behind, from.failedAtMs, from.behind]);
      return saved.length > 0;
    },
    alertCandidates: async (nowMs) => {
      const rows = await database.query(CANDIDATES, [nowMs]);
      return rows.map(
        (row): AlertCandidate => ({
          ...bothOf(row),
          held: row['held'] === true,
          told: stateOf(row),
        }),
      );
    },
  };
}

/** Nothing when another center told something meanwhile, or the mirror is gone. */
const SAVE = `
INSERT INTO speil_center.alert AS told (mirror_id, failed_at_ms, behind)
SELECT id, $2::bigint, $3::boolean FROM speil_center.mirror WHERE id = $1
  AND (($4::bigint IS NULL AND NOT $5::boolean) OR EXISTS (SELECT 1 FROM speil_center.alert WHERE mirror_id = $1))
ON CONFLICT (mirror_id) DO UPDATE SET failed_at_ms = excluded.failed_at_ms, behind = excluded.behind
WHERE told.failed_at_ms IS NOT DISTINCT FROM $4::bigint AND told.behind = $5::boolean
RETURNING mirror_id`;

/** Late by the clock alone, or told to be behind; those of paused tenants too, so that their time is not counted. */
const CANDIDATES = `
SELECT ${BOTH}, tenant.paused OR tenant.maintenance AS held, alert.failed_at_ms, alert.behind
FROM speil_center.schedule JOIN speil_center.mirror ON mirror.id = schedule.mirror_id
JOIN speil_center.tenant ON tenant.name = mirror.tenant
LEFT JOIN speil_center.alert ON alert.mirror_id = mirror.id
WHERE alert.behind
  OR $1::bigint - coalesce(last_completed_at_ms, extract(epoch FROM mirror.created_at) * 1000) > 2 * every_ms
ORDER BY tenant.paused OR tenant.maintenance, alert.behind DESC NULLS LAST, last_completed_at_ms
LIMIT ${CANDIDATES_MAX}`;
