import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Clock } from '../core/clock.ts';
import type { Run } from './model.ts';
import type { RunnerMetrics, RunnerState } from './runner-port.ts';
import type { MirrorWithSchedule } from './store.ts';

/** From a cycle that finds nothing to a first copy of a night. */
const DURATION_BUCKETS_S = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 300, 1_200, 3_600, 21_600];

export type MetricsOptions = {
  readonly clock: Clock;
  readonly runner: () => RunnerState;
  readonly schedules: () => Promise<readonly MirrorWithSchedule[]>;
  readonly connectedClients: () => number;
  /**
   * False leaves out the series of each mirror (lag and position): two for each mirror, 20,000 with 10,000 tenants, which is
   * what a Prometheus server of its own is for. All other series are of the whole center and never grow with the tenants.
   */
  readonly perMirror: boolean;
};

export interface CenterMetrics extends RunnerMetrics {
  /** Everything in Prometheus' text format. */
  text(): Promise<string>;
  readonly contentType: string;
}

export function createCenterMetrics(options: MetricsOptions): CenterMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counted = cycleCounters(registry);
  const mirrors = options.perMirror ? new MirrorGauges(registry, options) : null;
  stateGauges(registry, options);
  return {
    contentType: registry.contentType,
    text: async () => {
      await mirrors?.refresh();
      return await registry.metrics();
    },
    cycleStarted: () => counted.started.inc(),
    cycleFinished: (run) => {
      countRun(counted, run);
      mirrors?.reached(run);
    },
  };
}

const cycleCounters = (registry: Registry) => ({
  started: new Counter({
    name: 'speil_cycles_started_total',
    help: 'Cycles that this center began.',
    registers: [registry],
  }),
  finished: new Counter({
    name: 'speil_cycles_total',
    help: 'Cycles that this center ended, by how.',
    labelNames: ['status'],
    registers: [registry],
  }),
  seconds: new Histogram({
    name: 'speil_cycle_duration_seconds',
    help: 'How long cycles took.',
    labelNames: ['status'],
    buckets: DURATION_BUCKETS_S,
    registers: [registry],
  }),
  rows: new Counter({
    name: 'speil_rows_total',
    help: 'Rows inserted, updated and deleted in mirrors.',
    labelNames: ['operation'],
    registers: [registry],
  }),
  bytes: new Counter({ name: 'speil_row_bytes_total', help: 'Bytes of rows that were sent.', registers: [registry] }),
});

function countRun({ finished, seconds, rows, bytes }: ReturnType<typeof cycleCounters>, run: Run): void {
  const { status } = run;
  finished.inc({ status });
  bytes.inc(run.bytes);
  if (run.finishedAt !== null) {
    seconds.observe({ status }, Math.max(0, Date.parse(run.finishedAt) - Date.parse(run.startedAt)) / 1000);
  }
  for (const operation of ['inserted', 'updated', 'deleted'] as const) {
    rows.inc(
      { operation },
      (run.report?.tables ?? []).reduce((sum, table) => sum + table[operation], 0),
    );
  }
}

/** The largest of the run's positions as Prometheus can hold it: a double, exact up to 2^53. */
function highestLsn({ report }: Run): number | null {
  const lsns = (report?.tables ?? []).flatMap((table) => (table.lsn === null ? [] : [Number(table.lsn)]));
  return lsns.length === 0 ? null : lsns.reduce((a, b) => Math.max(a, b));
}

const LABELS = ['tenant', 'application'] as const;

/** The series of each mirror that there is. */
class MirrorGauges {
  readonly #options: MetricsOptions;
  readonly #lag: Gauge<(typeof LABELS)[number]>;
  readonly #position: Gauge<(typeof LABELS)[number]>;
  /** By mirror; what is not a mirror any more goes at the next scrape. */
  readonly #positions = new Map<string, number>();

  constructor(registry: Registry, options: MetricsOptions) {
    this.#options = options;
    this.#lag = new Gauge({
      name: 'speil_mirror_lag_seconds',
      help: "Time since the mirror's last completed cycle; absent before the first.",
      labelNames: LABELS,
      registers: [registry],
    });
    this.#position = new Gauge({
      name: 'speil_mirror_position',
      help: 'The highest LSN that the last cycle which this center ran brought a table of the mirror to.',
      labelNames: LABELS,
      registers: [registry],
    });
  }

  reached(run: Run): void {
    const position = highestLsn(run);
    if (position !== null) this.#positions.set(keyOf(run), position);
  }

  /** Lag is asked of the store, so that it is right whichever center ran the cycle. */
  async refresh(): Promise<void> {
    const mirrors = await this.#options.schedules();
    const known = new Set(mirrors.map(({ mirror }) => keyOf(mirror)));
    for (const key of this.#positions.keys()) if (!known.has(key)) this.#positions.delete(key);
    this.#lag.reset();
    this.#position.reset();
    for (const { mirror, schedule } of mirrors) this.#show(mirror, schedule.lastCompletedAtMs);
  }

  #show({ tenant, application }: { tenant: string; application: string }, completedAtMs: number | null): void {
    const labels = { tenant, application };
    const position = this.#positions.get(keyOf(labels));
    if (position !== undefined) this.#position.set(labels, position);
    if (completedAtMs === null) return;
    this.#lag.set(labels, Math.max(0, this.#options.clock.now() - completedAtMs) / 1000);
  }
}

const keyOf = ({ tenant, application }: { tenant: string; application: string }): string =>
  JSON.stringify([tenant, application]);

function stateGauges(registry: Registry, { runner, connectedClients }: MetricsOptions): void {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  gauge('speil_cycles_running', 'Cycles that this center runs now.', () => runner().running);
  gauge('speil_queue_length', 'Due cycles that wait for their turn.', () => runner().queued);
  gauge('speil_connected_clients', 'Mirror clients that have dialled this center.', connectedClients);
}
