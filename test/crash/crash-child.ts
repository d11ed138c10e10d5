import { composedTask, type TaskPoint } from '../support/composed-task.ts';

/** Where a process is killed: the nth time that a point is reached. */
export type Crash = { readonly point: TaskPoint; readonly occurrence: number };

export type CrashTask = Crash & {
  readonly source: string;
  readonly mirror: string;
  readonly batchBytes: number;
  /** After so many cycles the process ends by itself, if it lives so long, and prints what it `Passed`. */
  readonly cyclesMax: number;
};

/** How often a process came to each point; those that it never came to are missing. */
export type Passed = Partial<Record<TaskPoint, number>>;

const task = JSON.parse(process.argv[2] ?? '') as CrashTask;
const stop = new AbortController();
const passed: Passed = {};

async function reach(point: TaskPoint): Promise<void> {
  const count = (passed[point] ?? 0) + 1;
  passed[point] = count;
  if (point === task.point && count === task.occurrence) {
    process.kill(process.pid, 'SIGKILL');
    await Promise.withResolvers<never>().promise;
  }
  if (point === 'after replicationCompleted' && count === task.cyclesMax) stop.abort();
}

await composedTask({ ...task, reach, schedule: { kind: 'every', everyMs: 1 }, signal: stop.signal }).catch(
  (error: unknown) => {
    if (!stop.signal.aborted) throw error;
  },
);
process.stdout.write(JSON.stringify(passed));
