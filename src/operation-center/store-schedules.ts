import type { SpeilError } from '../core/error.ts';
import { sourcePurpose } from './key-check.ts';
import type { MirrorSchedule } from './model.ts';
import type { CycleBasis, DueMirror, MirrorWithSchedule, Store } from './store.ts';
import { MIRROR_COLUMNS, mirrorOf, noMirrorById } from './store-mirrors.ts';
import { assignments, conflict, json, numberOrNull, queryList, type StoredRow, type StoreParts } from './store-sql.ts';
import { tenantOf } from './store-tenants.ts';

const SCHEDULE_COLUMNS =
  'mirror_id, due_at_ms, failures_in_row, requested, resync_tables, announced_skips, copied, last_completed_at_ms';

export const BOTH = `${MIRROR_COLUMNS.join(', ')}, schedule.${SCHEDULE_COLUMNS}`;

const JOINED = 'speil_center.schedule JOIN speil_center.mirror ON mirror.id = mirror_id';

const scheduleOf = (row: StoredRow): MirrorSchedule => ({
  mirrorId: String(row['mirror_id']),
  dueAtMs: Number(row['due_at_ms']),
  failuresInRow: Number(row['failures_in_row']),
  requested: row['requested'] === true,
  resyncTables: row['resync_tables'] as readonly string[],
  announcedSkips: row['announced_skips'] as readonly string[],
  copied: row['copied'] === true,
  lastCompletedAtMs: numberOrNull(row['last_completed_at_ms']),
});

export const bothOf = (row: StoredRow): MirrorWithSchedule => ({ mirror: mirrorOf(row), schedule: scheduleOf(row) });

type SchedulePart = Pick<
  Store,
  'schedules' | 'schedule' | 'saveSchedule' | 'addResync' | 'resyncBegun' | 'dueMirrors' | 'cycleBasis'
>;

export function scheduleStore(parts: StoreParts): SchedulePart {
  const { database } = parts;
  return {
    schedules: async (tenant) => {
      const [where, values] = tenant === undefined ? ['', []] : ['WHERE mirror.tenant = $1', [tenant]];
      const rows = await queryList(
        parts,
        `SELECT ${BOTH} FROM ${JOINED} ${where} ORDER BY mirror.tenant, application`,
        values,
      );
      return rows.map(bothOf);
    },
    schedule: async (mirrorId) => {
      const [row] = await database.query(`SELECT ${SCHEDULE_COLUMNS} FROM speil_center.schedule WHERE mirror_id = $1`, [
        mirrorId,
      ]);
      if (row === undefined) throw noMirrorById(mirrorId);
      return scheduleOf(row);
    },
    saveSchedule: (mirrorId, change) => saveSchedule(parts, mirrorId, change),
    addResync: (mirrorId, tables) => changeResync(parts, mirrorId, ADDED, tables),
    resyncBegun: async (mirrorId, tables) => void (await changeResync(parts, mirrorId, REMOVED, tables)),
    dueMirrors: (filter) => dueMirrors(parts, filter),
    cycleBasis: (mirrorId) => cycleBasis(parts, mirrorId),
  };
}

async function saveSchedule(
  { database }: StoreParts,
  mirrorId: string,
  change: Parameters<Store['saveSchedule']>[1],
): Promise<void> {
  const { text, values } = assignments(
    {
      due_at_ms: change.dueAtMs,
      failures_in_row: change.failuresInRow,
      requested: change.requested,
      resync_tables: change.resyncTables && json(change.resyncTables),
      announced_skips: change.announcedSkips && json(change.announcedSkips),
      copied: change.copied,
      last_completed_at_ms: change.lastCompletedAtMs,
    },
    1,
  );
  const set = text === '' ? 'mirror_id = mirror_id' : text;
  const saved = await database.query(
    `UPDATE speil_center.schedule SET ${set} WHERE mirror_id = $1 RETURNING mirror_id`,
    [mirrorId, ...values],
  );
  if (saved.length === 0) throw noMirrorById(mirrorId);
}

/** Names that may wait to be copied again when further ones are asked for: as many as a source of 5,000 tables has. */
const RESYNC_MAX = 5_000;

const ADDED = `resync_tables || coalesce(
  (SELECT jsonb_agg(name ORDER BY place) FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS asked (name, place)
   WHERE NOT resync_tables @> name), '[]')`;

const REMOVED = `coalesce(
  (SELECT jsonb_agg(name ORDER BY place) FROM jsonb_array_elements(resync_tables) WITH ORDINALITY AS there (name, place)
   WHERE NOT $2::jsonb @> name), '[]')`;

/** In one statement, so that what two people ask for at once is kept. */
async function changeResync(
  { database }: StoreParts,
  mirrorId: string,
  becomes: string,
  tables: readonly string[],
): Promise<readonly string[]> {
  const mayGrow = becomes === ADDED ? `AND jsonb_array_length(resync_tables) < ${RESYNC_MAX}` : '';
  const [row] = await database.query(
    `UPDATE speil_center.schedule SET resync_tables = ${becomes} WHERE mirror_id = $1 ${mayGrow} RETURNING resync_tables`,
    [mirrorId, json([...new Set(tables)])],
  );
  if (row === undefined) {
    const there = await database.query('SELECT 1 FROM speil_center.schedule WHERE mirror_id = $1', [mirrorId]);
    throw there.length === 0 ? noMirrorById(mirrorId) : tooManyToCopy();
  }
  return row['resync_tables'] as readonly string[];
}

const tooManyToCopy = (): SpeilError =>
  conflict(`${RESYNC_MAX} tables wait already to be copied again`, 'Ask again once a cycle has begun to.');

/**
 * Each half goes along `schedule_due` and stops at its limit; for each row `schedule_tenant` says which mirror is its
 * tenant's first. Subqueries with a limit are not joins: with statistics from before a change those would compare every
 * mirror with every other.
 */
const dueHalf = (which: string): string => `
SELECT mirror_id, requested AS asked, due_at_ms FROM speil_center.schedule AS one
WHERE copied = $1 AND ${which}
  AND mirror_id = (
    SELECT other.mirror_id FROM speil_center.schedule AS other
    WHERE other.tenant = one.tenant AND other.copied = $1
    ORDER BY other.requested DESC, other.due_at_ms, other.mirror_id LIMIT 1)
  AND (SELECT NOT paused AND NOT maintenance FROM speil_center.tenant WHERE name = one.tenant LIMIT 1)
ORDER BY due_at_ms, mirror_id LIMIT $2::int`;

const DUE = `
WITH chosen AS (
  SELECT * FROM (
    (${dueHalf('requested')})
    UNION ALL
    (${dueHalf('NOT requested AND due_at_ms <= $3::bigint AND NOT $4::boolean')})
  ) AS both_halves
  ORDER BY asked DESC, due_at_ms, mirror_id LIMIT $2::int
)
SELECT ${BOTH.replace('due_at_ms', 'schedule.due_at_ms')}, paused, maintenance
FROM chosen JOIN speil_center.schedule USING (mirror_id) JOIN speil_center.mirror ON mirror.id = mirror_id
JOIN speil_center.tenant ON name = mirror.tenant
ORDER BY asked DESC, chosen.due_at_ms, mirror_id`;

async function dueMirrors(
  { database }: StoreParts,
  { nowMs, requestedOnly, copied, limit }: Parameters<Store['dueMirrors']>[0],
): Promise<readonly DueMirror[]> {
  const rows = await database.query(DUE, [copied, limit, nowMs, requestedOnly]);
  return rows.map((row) => ({
    ...bothOf(row),
    tenant: { paused: row['paused'] === true, maintenance: row['maintenance'] === true },
  }));
}

async function cycleBasis({ database, secrets }: StoreParts, mirrorId: string): Promise<CycleBasis | null> {
  const [row] = await database.query(
    `SELECT ${BOTH}, name, source, source_display, paused, maintenance, preferences,
       tenant.created_at AS tenant_created_at
     FROM ${JOINED} JOIN speil_center.tenant ON name = mirror.tenant WHERE mirror.id = $1`,
    [mirrorId],
  );
  if (row === undefined) return null;
  const tenant = tenantOf({ ...row, created_at: row['tenant_created_at'] });
  const source = (await secrets()).open(String(row['source']), sourcePurpose(tenant.name));
  return { ...bothOf(row), tenant, source };
}
