import type { Clock } from '../core/clock.ts';
import { HOOK_SLOW_MS } from '../core/limits.ts';
import { TableName } from '../core/table.ts';
import type { SchemaChange, TableSummary } from '../task/contract.ts';

/**
 * What the mirror's owner wants to do along the way. The task waits for each, so they should be quick. A hook that
 * throws, or takes longer than five seconds, is reported as a note of the cycle and changes nothing else: rows and
 * positions are in the database by then.
 */
export type Hooks = {
  /** Once per table and cycle, after its schema was made to fit and before its rows come. */
  readonly onBeforeTable?: (table: TableName, change: SchemaChange) => void | Promise<void>;
  /** After a table was wiped: its copy starts from nothing. */
  readonly onWipe?: (table: TableName) => void | Promise<void>;
  /** After a cycle, with the counts of the tables in which something changed. */
  readonly onReplicationCompleted?: (changed: readonly TableSummary[]) => void | Promise<void>;
};

/** Runs a hook; the notes say what was wrong with it. */
export async function runHook(
  name: string,
  hook: () => void | Promise<void>,
  clock: Clock,
): Promise<readonly string[]> {
  const startedMs = clock.monotonicMs();
  const notes: string[] = [];
  try {
    await hook();
  } catch (error) {
    notes.push(`hook ${name} failed: ${error instanceof Error ? error.message : error}`);
  }
  const tookMs = clock.monotonicMs() - startedMs;
  if (tookMs > HOOK_SLOW_MS) notes.push(`hook ${name} took ${Math.round(tookMs)} ms; the task was waiting`);
  return notes;
}

export const hookLabel = (name: string, table: TableName): string => `${name}(${TableName.toText(table)})`;
