import { composedTask, type TaskPoint } from '../support/composed-task.ts';

/** Where a process is killed: the nth time that a point is reached. */
export type Crash = { readonly point: TaskPoint; readonly occurrence: number };

export type CrashTask = Crash & {
  readonly source: string;
  readonly mirror: string;
  readonly batchBytes: number;
  /** After so many cycles the process ends by itself, if it lives so long. */
  readonly cyclesMax: number;
};

const task = JSON.parse(process.argv[2] ?? '') as CrashTask;
const stop = new AbortController();
let [reached, cycles] = [0, 0];

async function reach(point: TaskPoint): Promise<void> {
  if (point === task.point && ++reached === task.occurrence) {
    process.kill(process.pid, 'SIGKILL');
    await Promise.withResolvers<never>().promise;
  }
  if (point === 'after replicationCompleted' && ++cycles === task.cyclesMax) stop.abort();
}

await composedTask({ ...task, reach, schedule: { kind: 'every', everyMs: 1 }, signal: stop.signal }).catch(
  (error: unknown) => {
    if (!stop.signal.aborted) throw error;
  },
);
