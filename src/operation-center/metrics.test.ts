import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../core/clock.ts';
import { createCenterMetrics, type MetricsOptions } from './metrics.ts';
import type { Mirror, MirrorSchedule, Run } from './model.ts';

const NOW_MS = Date.UTC(2026, 10, 22, 1, 0, 0);
const clock: Clock = { now: () => NOW_MS, monotonicMs: () => 0, sleep: async () => {} };

const mirrorOf = (tenant: string, lastCompletedAtMs: number | null) => {
  const mirror: Mirror = {
    id: tenant,
    tenant,
    application: 'crm',
    publicKey: '',
    transport: { kind: 'dialled' },
    everyMs: 1_200_000,
    createdAt: '2026-11-22T00:00:00.000Z',
  };
  const schedule = { mirrorId: tenant, dueAtMs: 0, lastCompletedAtMs } as MirrorSchedule;
  return { mirror, schedule };
};

const runOf = (tenant: string, status: Run['status'], lsns: readonly (string | null)[]): Run => ({
  id: '1',
  tenant,
  application: 'crm',
  status,
  trigger: 'schedule',
  center: 'a',
  startedAt: '2026-11-22T00:59:00.000Z',
  finishedAt: '2026-11-22T00:59:02.500Z',
  bytes: 1_000,
  error: null,
  report: {
    event: 'cycle',
    status: 'completed',
    bytes: 1_000,
    startedAt: '',
    finishedAt: '',
    tables: lsns.map((lsn, i) => ({
      table: `t${i}`,
      schemaChange: 'none',
      inserted: 10,
      updated: 2,
      deleted: 1,
      lsn,
    })),
  },
});

function metricsOf(options: Partial<MetricsOptions> = {}) {
  return createCenterMetrics({
    clock,
    runner: () => ({ running: 3, queued: 7, ready: true }),
    schedules: async () => [mirrorOf('acme', NOW_MS - 90_000), mirrorOf('new', null)],
    connectedClients: () => 2,
    perMirror: true,
    ...options,
  });
}

const linesOf = async (metrics: ReturnType<typeof metricsOf>): Promise<readonly string[]> =>
  (await metrics.text()).split('\n').filter((line) => line.startsWith('speil_'));

test('cycles, durations, rows and bytes are counted by how the cycle ended', async () => {
  const metrics = metricsOf();
  metrics.cycleStarted({ tenant: 'acme', application: 'crm' });
  metrics.cycleFinished(runOf('acme', 'completed', ['5', '7']));
  metrics.cycleFinished({ ...runOf('acme', 'failed', []), report: null });
  const lines = await linesOf(metrics);
  for (const line of [
    'speil_cycles_started_total 1',
    'speil_cycles_total{status="completed"} 1',
    'speil_cycles_total{status="failed"} 1',
    'speil_cycle_duration_seconds_sum{status="completed"} 2.5',
    'speil_rows_total{operation="inserted"} 20',
    'speil_rows_total{operation="deleted"} 2',
    'speil_row_bytes_total 2000',
    'speil_cycles_running 3',
    'speil_queue_length 7',
    'speil_connected_clients 2',
  ]) {
    assert.ok(lines.includes(line), line);
  }
});

test('a mirror has its lag once it completed a cycle, and its highest position', async () => {
  const metrics = metricsOf();
  metrics.cycleFinished(runOf('acme', 'completed', ['5', null, '7']));
  const lines = await linesOf(metrics);
  assert.ok(lines.includes('speil_mirror_lag_seconds{tenant="acme",application="crm"} 90'));
  assert.ok(lines.includes('speil_mirror_position{tenant="acme",application="crm"} 7'));
  assert.ok(!lines.some((line) => line.includes('tenant="new"')));
});

test('the series of a mirror that is gone end with it', async () => {
  let mirrors = [mirrorOf('acme', NOW_MS)];
  const metrics = metricsOf({ schedules: async () => mirrors });
  metrics.cycleFinished(runOf('acme', 'completed', ['7']));
  assert.equal((await linesOf(metrics)).filter((line) => line.includes('acme')).length, 2);
  mirrors = [];
  assert.equal((await linesOf(metrics)).filter((line) => line.includes('acme')).length, 0);
});

test('without the series of each mirror nothing has a tenant, and nobody is asked for them', async () => {
  const metrics = metricsOf({ perMirror: false, schedules: () => Promise.reject(new Error('not asked')) });
  metrics.cycleFinished(runOf('acme', 'completed', ['7']));
  assert.ok(!(await metrics.text()).includes('tenant='));
});
