import { type ErrorReport, SpeilError } from '../core/error.ts';
import type { CycleReport } from '../task/report.ts';
import type { LastRun, Run, RunStatus } from './model.ts';
import type { Store } from './store.ts';
import {
  conflict,
  instant,
  instantOrNull,
  json,
  notFound,
  nowIso,
  queryList,
  type StoredRow,
  type StoreParts,
  storable,
} from './store-sql.ts';

/** Two weeks of every twenty minutes: no mirror keeps more, however often it runs. */
export const RUNS_KEPT_PER_MIRROR = 1_000;

const ABOUT = [
  'id',
  'tenant',
  'application',
  'status',
  'trigger',
  'center',
  'started_at',
  'finished_at',
  'bytes',
  'error',
]
  .map((column) => `run.${column}`)
  .join(', ');
const COLUMNS = `${ABOUT}, run.report`;

const lastRunOf = (row: StoredRow): LastRun => ({
  id: String(row['id']),
  tenant: String(row['tenant']),
  application: String(row['application']),
  status: row['status'] as RunStatus,
  trigger: row['trigger'] as Run['trigger'],
  center: String(row['center']),
  startedAt: instant(row['started_at']),
  finishedAt: instantOrNull(row['finished_at']),
  bytes: Number(row['bytes']),
  error: row['error'] as ErrorReport | null,
});

const runOf = (row: StoredRow): Run => ({ ...lastRunOf(row), report: row['report'] as CycleReport | null });

type RunPart = Pick<Store, 'beginRun' | 'endRun' | 'interruptRuns' | 'runs' | 'lastRuns' | 'run'>;

export function runStore(parts: StoreParts): RunPart {
  const { database } = parts;
  return {
    beginRun: (run) => beginRun(parts, run),
    endRun: (id, end) => endRun(parts, id, end),
    interruptRuns: async ({ tenant, application }) => {
      const rows = await database.query(INTERRUPT, [nowIso(parts), tenant ?? null, application ?? null]);
      return rows.map(runOf);
    },
    runs: async ({ tenant, application, limit }) => {
      const rows = await database.query(
        `SELECT ${COLUMNS} FROM speil_center.run ${whereOf(tenant, application)} LIMIT $1::int`,
        [limit, tenant, application].filter((value) => value !== undefined),
      );
      return rows.map(runOf);
    },
    lastRuns: async (tenant) => {
      const [where, values] = tenant === undefined ? ['', []] : ['WHERE mirror.tenant = $1', [tenant]];
      const rows = await queryList(
        parts,
        `SELECT ${ABOUT} FROM speil_center.mirror JOIN speil_center.run
         ON run.tenant = mirror.tenant AND run.application = mirror.application AND run.number = mirror.runs
         ${where} ORDER BY run.tenant, run.application`,
        values,
      );
      return rows.map(lastRunOf);
    },
    run: async (id) => {
      const [row] = await database.query(`SELECT ${COLUMNS} FROM speil_center.run WHERE id = $1`, [id]);
      if (row === undefined) throw noRun(id);
      return runOf(row);
    },
  };
}

/** Runs of one mirror are numbered without gaps, so they are in order by that, and by `seq` otherwise. */
function whereOf(tenant: string | undefined, application: string | undefined): string {
  if (tenant !== undefined && application !== undefined) {
    return 'WHERE tenant = $2 AND application = $3 ORDER BY number DESC';
  }
  if (tenant !== undefined) return 'WHERE tenant = $2 ORDER BY seq DESC';
  return application === undefined ? 'ORDER BY seq DESC' : 'WHERE application = $2 ORDER BY seq DESC';
}

async function beginRun(parts: StoreParts, run: Parameters<Store['beginRun']>[0]): Promise<Run> {
  const { tenant, application, trigger, center } = run;
  const [row] = await parts.database.query(
    `WITH counted AS (
       UPDATE speil_center.mirror SET runs = runs + 1 WHERE tenant = $1 AND application = $2
       RETURNING tenant, application, runs
     ), forgotten AS (
       DELETE FROM speil_center.run USING counted
       WHERE run.tenant = counted.tenant AND run.application = counted.application
         AND run.number <= counted.runs - ${RUNS_KEPT_PER_MIRROR}
     )
     INSERT INTO speil_center.run (id, tenant, application, number, status, trigger, center, started_at)
     SELECT $3, tenant, application, runs, 'running', $4, $5, $6::timestamptz FROM counted RETURNING ${COLUMNS}`,
    [tenant, application, parts.random.uuid(), trigger, storable(center), nowIso(parts)],
  );
  if (row !== undefined) return runOf(row);
  throw notFound(`mirror of ${tenant} for ${application}`, `speil center mirror list ${tenant} shows those there are.`);
}

/** A run that was taken for dead and was not is ended by who ran it: that one knows. */
async function endRun(parts: StoreParts, id: string, end: Parameters<Store['endRun']>[1]): Promise<Run> {
  const [row] = await parts.database.query(
    `UPDATE speil_center.run
     SET status = $2, report = $3::jsonb, error = $4::jsonb, bytes = $5::bigint, finished_at = $6::timestamptz
     WHERE id = $1 AND status IN ('running', 'interrupted') RETURNING ${COLUMNS}`,
    [id, end.status, json(end.report), json(end.error), end.bytes, nowIso(parts)],
  );
  if (row !== undefined) return runOf(row);
  const there = await parts.database.query('SELECT status FROM speil_center.run WHERE id = $1', [id]);
  if (there.length === 0) throw noRun(id);
  throw conflict(`run ${id} has ended already`, 'A run ends once.');
}

const noRun = (id: string): SpeilError =>
  notFound(`run ${id}`, 'speil center runs lists them. Runs are removed with their mirror, and after 90 days.');

const INTERRUPTED = new SpeilError('INTERRUPTED', '', { recovery: 'retry' });

const INTERRUPT = `
UPDATE speil_center.run SET status = 'interrupted', finished_at = $1::timestamptz, error = jsonb_build_object(
  'code', '${INTERRUPTED.code}', 'recovery', '${INTERRUPTED.recovery}',
  'message', 'center ' || center || ' ended during the cycle', 'hint', 'The next cycle goes on where it stopped.')
WHERE status = 'running' AND ($2::text IS NULL OR tenant = $2) AND ($3::text IS NULL OR application = $3)
RETURNING ${COLUMNS}`;
