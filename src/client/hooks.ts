import type { Clock } from '../core/clock.ts';
import { HOOK_SLOW_MS } from '../core/limits.ts';
import { TableName } from '../core/table.ts';
import type { SchemaChange, TableSummary } from '../task/contract.ts';

/** For whom a hook is called. */
export type HookContext = {
  readonly tenant: string;
  /** What `onAuthenticate` answered at the beginning of the cycle; '' before that. */
  readonly clientState: string;
};

/** What the mirror's owner says when a task wants to begin a cycle. */
export type Admission = {
  /** A reason: nothing is replicated in this cycle, and the next one asks again. */
  readonly doNotReplicate?: string | undefined;
  /** Handed to every later hook of the cycle; the task carries it and does not look at it. */
  readonly clientState?: string | undefined;
};

export type NoticeKind = 'information' | 'warning' | 'error';

/**
 * What the mirror's owner wants to do along the way. The task waits for each, so they should be quick. A hook that
 * throws, or takes longer than five seconds, is reported as a note of the cycle and changes nothing else: rows and
 * positions are in the database by then. Only what a cycle cannot begin without refuses it when it throws:
 * `onAuthenticate` and `resolveMirror`.
 */
export type Hooks = {
  /** Before anything else of a cycle, also before the mirror is opened. Throwing refuses the cycle. */
  readonly onAuthenticate?: (
    context: HookContext,
    // biome-ignore lint/suspicious/noConfusingVoidType: a hook that has nothing to say answers nothing
  ) => Admission | void | Promise<Admission | void>;
  /** The address of the tenant's mirror, instead of the template. Only asked by a service of several tenants. */
  readonly resolveMirror?: (context: HookContext) => string | Promise<string>;
  /** Once per table and cycle, after its schema was made to fit and before its rows come. */
  readonly onBeforeTable?: (table: TableName, change: SchemaChange, context: HookContext) => void | Promise<void>;
  /** After a table was wiped: its copy starts from nothing. */
  readonly onWipe?: (table: TableName, context: HookContext) => void | Promise<void>;
  /** After a cycle, with the counts of the tables in which something changed. */
  readonly onReplicationCompleted?: (changed: readonly TableSummary[], context: HookContext) => void | Promise<void>;
  /** Every notable event. What it throws is ignored. */
  readonly onEvent?: (context: HookContext, kind: NoticeKind, message: string) => void | Promise<void>;
};

export const HOOK_NAMES = [
  'onAuthenticate',
  'resolveMirror',
  'onBeforeTable',
  'onWipe',
  'onReplicationCompleted',
  'onEvent',
] as const satisfies readonly (keyof Hooks)[];

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
  return [...notes, ...slowNotes(name, clock.monotonicMs() - startedMs)];
}

export const slowNotes = (name: string, tookMs: number): readonly string[] =>
  tookMs > HOOK_SLOW_MS ? [`hook ${name} took ${Math.round(tookMs)} ms; the task was waiting`] : [];

/** The same hook; `tell` hears when it was slow. */
export function timedResolve(
  resolve: Hooks['resolveMirror'],
  clock: Clock,
  tell: (context: HookContext, kind: NoticeKind, message: string) => void,
): Hooks['resolveMirror'] {
  if (resolve === undefined) return undefined;
  return async (context) => {
    const startedMs = clock.monotonicMs();
    const address = await resolve(context);
    for (const note of slowNotes('resolveMirror', clock.monotonicMs() - startedMs)) tell(context, 'warning', note);
    return address;
  };
}

export const hookLabel = (name: string, table: TableName): string => `${name}(${TableName.toText(table)})`;

/** Tells `onEvent`; neither its failure nor its slowness matters to anybody else. */
export function tellHook(hooks: Hooks, context: HookContext, kind: NoticeKind, message: string): void {
  try {
    Promise.resolve(hooks.onEvent?.(context, kind, message)).catch(() => undefined);
  } catch {
    // What is told must not hinder what is done.
  }
}
