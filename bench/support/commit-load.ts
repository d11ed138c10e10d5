import { median, percentile, rounded } from './statistics.ts';

/** So many callers, each of whom asks again as soon as it was answered. */
export type Load = {
  readonly kind: 'write' | 'read';
  readonly workers: number;
  readonly seconds: number;
  /** Rows that were there at first; their ids are from 1 on. */
  readonly rows: number;
};

export type LoadResult = {
  readonly perSecond: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly maxMs: number;
};

export const CREATE = `CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT NOT NULL, customer INTEGER NOT NULL);
CREATE INDEX orders_customer ON orders (customer)`;
export const INSERT = 'INSERT INTO orders (note, customer) VALUES (?, ?)';
export const SELECT = 'SELECT note, customer FROM orders WHERE id = ?';
export const NOTE = 'a note of some length, as orders have';

export const randomCustomer = (): number => Math.floor(Math.random() * 1_000_000);

type Execute = (sql: string, args: readonly (string | number)[]) => Promise<unknown>;

export async function runLoad({ kind, workers, seconds, rows }: Load, execute: Execute): Promise<LoadResult> {
  const once = () =>
    kind === 'write'
      ? execute(INSERT, [NOTE, randomCustomer()])
      : execute(SELECT, [1 + Math.floor(Math.random() * rows)]);
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1000;
  const times: number[] = [];
  const worker = async () => {
    for (let at = performance.now(); at < endMs; ) {
      await once();
      const now = performance.now();
      times.push(now - at);
      at = now;
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return resultOf(times, performance.now() - startedMs);
}

export const resultOf = (times: readonly number[], durationMs: number): LoadResult => ({
  perSecond: Math.round((times.length / durationMs) * 1000),
  medianMs: rounded(median(times)),
  p99Ms: rounded(percentile(times, 0.99)),
  maxMs: rounded(percentile(times, 1)),
});
