/** From a statement out of a cache to a night's report. */
const BOUNDS_S = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100] as const;

export type HistogramValue = {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
};

/** Durations counted by how long they were. Cheaper than a metric with labels: it is on every statement's way. */
export class DurationTally {
  readonly #counts = new Float64Array(BOUNDS_S.length + 1);
  #sumMs = 0;

  add(durationMs: number): void {
    const seconds = durationMs / 1000;
    let bucket = 0;
    while (bucket < BOUNDS_S.length && seconds > (BOUNDS_S[bucket] ?? 0)) bucket++;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sumMs += durationMs;
  }

  /** As Prometheus counts: each bucket holds those before it too. */
  values(name: string, labels: Readonly<Record<string, string>>): readonly HistogramValue[] {
    let count = 0;
    const buckets = [...BOUNDS_S, '+Inf'].map((le, index) => {
      count += this.#counts[index] ?? 0;
      return { metricName: `${name}_bucket`, labels: { ...labels, le: String(le) }, value: count };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: this.#sumMs / 1000 },
      { metricName: `${name}_count`, labels, value: count },
    ];
  }
}
