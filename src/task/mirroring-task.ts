import type { Random } from '../core/clock.ts';
import { errorReport, SpeilError } from '../core/error.ts';
import { type CycleContext, isoTime, newTaskMemory, runCycle } from './cycle.ts';
import type { CycleReport, TaskEvent } from './report.ts';
import {
  FAILED_DELAY_MS,
  FOLLOW_DELAY_MS_MIN,
  nextFollowDelayMs,
  nextStartMs,
  QUIET_MS_MAX,
  RETRIES_MAX,
  retryDelayMs,
  type Schedule,
} from './schedule.ts';

export type TaskOptions = Omit<CycleContext, 'memory'> & { readonly random: Random };

/**
 * Runs a task's cycles by its schedule, one at a time, and answers the report of the last one. With `every` and
 * `follow` it goes on until the signal is aborted. Aborting ends it after the batch under way; it then throws
 * `INTERRUPTED`.
 */
export async function runTask(options: TaskOptions, schedule: Schedule): Promise<CycleReport> {
  const context: CycleContext = { ...options, memory: newTaskMemory(), emit: withoutRepeats(options.emit) };
  try {
    switch (schedule.kind) {
      case 'once':
        return await runUntilDone(context, options.random, schedule.retriesMax ?? RETRIES_MAX);
      case 'every':
        return await runEvery(context, options.random, schedule.everyMs);
      case 'follow':
        return await follow(context, options.random);
    }
  } catch (error) {
    if (!options.signal.aborted) throw error;
    throw new SpeilError('INTERRUPTED', 'interrupted; everything up to the last batch is in the mirror', {
      hint: 'The same command goes on from there.',
      recovery: 'retry',
      cause: error,
    });
  }
}

/** A cycle, tried again while what hinders it may pass by itself. */
async function runUntilDone(context: CycleContext, random: Random, retriesMax: number): Promise<CycleReport> {
  for (let attempt = 1; ; attempt++) {
    const startedAt = isoTime(context.clock);
    try {
      const report = await runCycle(context);
      context.emit(report);
      return report;
    } catch (error) {
      context.signal.throwIfAborted();
      context.memory.quiet = null;
      if (attempt > retriesMax || !isPassing(error, retriesMax)) {
        const finishedAt = isoTime(context.clock);
        context.emit({
          event: 'cycle',
          status: 'failed',
          tables: [],
          bytes: context.memory.sentBytes,
          error: errorReport(error),
          startedAt,
          finishedAt,
        });
        throw error;
      }
      const delayMs = retryDelayMs(attempt, random.unit());
      context.emit({ event: 'retry', error: errorReport(error), delayMs } satisfies TaskEvent);
      await context.clock.sleep(delayMs, context.signal);
    }
  }
}

/** A single cycle does not wait for somebody to make room on a disk; a task that goes on does. */
const isPassing = (error: unknown, retriesMax: number): boolean =>
  error instanceof SpeilError &&
  error.recovery === 'retry' &&
  (error.code !== 'DISK_FULL' || retriesMax === Number.POSITIVE_INFINITY);

async function runEvery(context: CycleContext, random: Random, everyMs: number): Promise<CycleReport> {
  for (let first = true; ; first = false) {
    const startedMs = context.clock.monotonicMs();
    await runToldOf(context, random, first);
    const finishedMs = context.clock.monotonicMs();
    await context.clock.sleep(nextStartMs(startedMs, finishedMs, everyMs) - finishedMs, context.signal);
  }
}

/**
 * What hinders the first cycle ends the task: somebody is there to see it. What hinders a later one is told, and the
 * next cycle tries again. Null for a cycle that failed.
 */
async function runToldOf(context: CycleContext, random: Random, first: boolean): Promise<CycleReport | null> {
  try {
    return await runUntilDone(context, random, first ? RETRIES_MAX : Number.POSITIVE_INFINITY);
  } catch (error) {
    if (first || context.signal.aborted || !(error instanceof SpeilError)) throw error;
    return null;
  }
}

async function follow(context: CycleContext, random: Random): Promise<CycleReport> {
  const quietly: CycleContext = { ...context, emit: withoutEmptyCycles(context.emit) };
  let delayMs = FOLLOW_DELAY_MS_MIN;
  for (let first = true; ; first = false) {
    const isQuiet = await isQuietNow(context).catch(() => false);
    const report = isQuiet ? 'quiet' : await runToldOf(first ? context : quietly, random, first);
    delayMs = report === null ? FAILED_DELAY_MS : nextFollowDelayMs(delayMs, report !== 'quiet' && hasChanges(report));
    await context.clock.sleep(delayMs, context.signal);
  }
}

/** Nothing can have changed since the last round, by one cheap query. */
async function isQuietNow({ memory, clock, source, signal }: CycleContext): Promise<boolean> {
  const { quiet } = memory;
  if (quiet === null || clock.monotonicMs() - quiet.atMs > QUIET_MS_MAX) return false;
  return source.isUnchangedSince(quiet.snapshot, signal);
}

const hasChanges = (report: CycleReport): boolean =>
  report.tables.some((table) => table.inserted + table.updated + table.deleted > 0 || table.schemaChange !== 'none');

/** Rounds that did nothing are not worth a word. */
const withoutEmptyCycles =
  (emit: (event: TaskEvent) => void) =>
  (event: TaskEvent): void => {
    if (event.event === 'cycle-started' || event.event === 'tables') return;
    if (event.event === 'cycle' && event.status === 'completed' && !hasChanges(event)) return;
    emit(event);
  };

/** Notes and warnings that are remembered as said. */
const SAID_MAX = 1000;

/** What was said of a table in one cycle need not be said in the next. */
function withoutRepeats(emit: (event: TaskEvent) => void): (event: TaskEvent) => void {
  const said = new Set<string>();
  return (event) => {
    if (event.event === 'note' || event.event === 'warning') {
      const text = JSON.stringify(event);
      if (said.has(text)) return;
      if (said.size >= SAID_MAX) said.clear();
      said.add(text);
    }
    emit(event);
  };
}
