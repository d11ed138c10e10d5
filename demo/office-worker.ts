import { setTimeout as pause } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { openOffice } from './office.ts';

/** Works in the office, on a thread of its own, for so long; then tells how many transactions it made. */
export type OfficeHours = { readonly path: string; readonly seed: number; readonly durationMs: number };

const { path, seed, durationMs } = workerData as OfficeHours;
const until = performance.now() + durationMs;
let transactions = 0;
{
  using office = openOffice(path, seed);
  while (performance.now() < until) {
    office.work();
    transactions += 1;
    await pause(transactions % 50 === 0 ? 100 : 4);
  }
}
parentPort?.postMessage(transactions);
