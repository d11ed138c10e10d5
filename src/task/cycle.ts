import type { Clock } from '../core/clock.ts';
import { SpeilError } from '../core/error.ts';
import { BOOKMARK_INTERVAL_MS } from '../core/limits.ts';
import type { SourcePosition, Verdict } from '../core/position.ts';
import { DEFAULT_SCHEMA, TableName, type TableSchema } from '../core/table.ts';
import type { SourceDatabase, TableSelection, TrackedTable } from '../database/source-database.ts';
import { type CallLimits, callLimits } from './call-limits.ts';
import { catchUp } from './catch-up.ts';
import { withCheckedAnswers } from './check-answers.ts';
import type { AuthenticateAnswer, MirrorClientService, TablePosition } from './contract.ts';
import { copyTables } from './copy-tables.ts';
import { ASKED_FOR, decideWork, positionToJudge, type TableWork } from './decide.ts';
import { CycleOutcome } from './outcome.ts';
import { namedBy, type Preferences, selectTables } from './preferences.ts';
import type { CycleReport, TableOutlook, TaskEvent } from './report.ts';

/** Everything that a cycle works with. */
export type CycleContext = {
  readonly source: SourceDatabase;
  readonly client: MirrorClientService;
  readonly clock: Clock;
  readonly tenant: string;
  readonly selection: TableSelection;
  readonly preferences: Preferences;
  /** The mirror may belong to another source: it is copied anew. */
  readonly takeOver: boolean;
  /** Names as typed: these tables are copied again in this cycle, from nothing. */
  readonly resyncTables?: readonly string[];
  readonly memory: TaskMemory;
  readonly emit: (event: TaskEvent) => void;
  readonly signal: AbortSignal;
};

/** A cycle that was let in, with the bounds of the client that let it in. */
export type ReplicationContext = CycleContext & { readonly limits: CallLimits };

/** What a task remembers from cycle to cycle. It is there to save work; a task without it does the same. */
export type TaskMemory = {
  bookmarkAtMs: number | null;
  /** The snapshot with which everything was up to date, and when; null after anything else. */
  quiet: { readonly snapshot: string; readonly atMs: number } | null;
  /** Bytes of rows that this cycle sent so far. */
  sentBytes: number;
  /** Tables of `resyncTables` whose copy was begun: a cycle that is tried again goes on with it. */
  readonly resynced: Set<string>;
};

export const newTaskMemory = (): TaskMemory => ({ bookmarkAtMs: null, quiet: null, sentBytes: 0, resynced: new Set() });

/** One table on its way through a cycle. */
export type CycleTable = {
  readonly tracked: TrackedTable;
  readonly work: TableWork;
};

/**
 * One cycle, from authentication to `replicationCompleted`. Failures of single tables are in the report; what hinders
 * the cycle as a whole is thrown.
 */
export async function runCycle(given: CycleContext): Promise<CycleReport> {
  const context = { ...given, client: withCheckedAnswers(given.client) };
  const startedAt = isoTime(context.clock);
  context.memory.sentBytes = 0;
  context.emit({ event: 'cycle-started', at: startedAt });
  const answer = await context.client.authenticate({ tenant: context.tenant, clientState: '' });
  if (answer.doNotReplicate !== null) return skipped(context, answer.doNotReplicate.reason, startedAt);
  return replicate({ ...context, limits: callLimits(answer.callBytesMax, context.preferences) }, answer, startedAt);
}

async function replicate(
  context: ReplicationContext,
  answer: AuthenticateAnswer,
  startedAt: string,
): Promise<CycleReport> {
  const { client, source, emit, signal, memory } = context;
  const outcome = new CycleOutcome(emit);
  const { clientState } = answer;
  outcome.note(null, answer.notes ?? []);
  await refuseOtherLineage(context, answer.held);
  const { tracked, leaveAlone } = await trackTables(context, outcome);
  const schemas = tracked.map((table) => table.schema);
  const more = answer.needsEverySchema === true ? { leaveAloneSchemas: await readSchemas(context, leaveAlone) } : {};
  const adapted = await client.tableSchema({ clientState, tables: schemas, leaveAlone, ...more });
  outcome.note(
    null,
    adapted.dropped.map(
      (table) => `${TableName.toText(table)} is gone from the source or skipped; its mirror copy was dropped`,
    ),
  );
  const tables = await decideTables(context, outcome, tracked, adapted.tables);
  emit({ event: 'tables', tables: tables.map(outlook) });
  const started = await copyTables(context, { clientState, outcome, tables });
  signal.throwIfAborted();
  await leaveBookmarkIfDue(context);
  const snapshot = await catchUp(context, { clientState, outcome, started });
  await isDone(() => source.prune(signal));
  const { notes } = await client.replicationCompleted({ clientState, changedTables: outcome.changedTables() });
  outcome.note(null, notes);
  const report = outcome.report({ bytes: memory.sentBytes, startedAt, finishedAt: isoTime(context.clock) });
  memory.quiet = report.status === 'completed' ? { snapshot, atMs: context.clock.monotonicMs() } : null;
  return report;
}

export const isoTime = (clock: Clock): string => new Date(clock.now()).toISOString();

function skipped(context: CycleContext, reason: string, startedAt: string): CycleReport {
  context.emit({ event: 'warning', table: null, message: `the mirror asked to skip this cycle: ${reason}` });
  return {
    event: 'cycle',
    status: 'completed',
    tables: [],
    bytes: 0,
    skipped: reason,
    startedAt,
    finishedAt: isoTime(context.clock),
  };
}

/** Before anything is touched: does this mirror belong to this source? */
async function refuseOtherLineage(
  { source, takeOver, signal }: CycleContext,
  held: readonly SourcePosition[],
): Promise<void> {
  if (takeOver || held.length === 0) return;
  const verdicts = await source.judge(
    held.map((position) => ({ table: null, position })),
    signal,
  );
  refuseForeign(verdicts);
}

function refuseForeign(verdicts: readonly Verdict[]): void {
  const foreign = verdicts.find((verdict) => verdict.kind === 'foreign');
  if (foreign === undefined) return;
  throw new SpeilError('OTHER_LINEAGE', `${foreign.explanation}; nothing was touched`, {
    hint: 'Name the right source or mirror. To give the mirror to this source and copy everything again: --take-over',
  });
}

type Tracked = { readonly tracked: readonly TrackedTable[]; readonly leaveAlone: readonly TableName[] };

/** Chooses the tables, sees that their changes are tracked, and reads their schemas. */
async function trackTables(context: CycleContext, outcome: CycleOutcome): Promise<Tracked> {
  const { source, selection, preferences, signal } = context;
  const all = await source.listTables({ schemas: null }, signal);
  const { inSchemas, elsewhere } = bySchema(all, selection);
  const chosen = selectTables(inSchemas, preferences);
  announce(outcome, chosen);
  const report = await source.enableTracking(chosen.mirrored, signal);
  outcome.note(null, report.notes);
  for (const { schema } of report.tables) outcome.add(schema);
  for (const { table, error } of report.refused) {
    outcome.add({ table, dialect: 'postgres', columns: [], key: [], identity: '' });
    outcome.fail(table, error);
  }
  const leaveAlone = [
    ...elsewhere,
    ...chosen.leftAlone,
    ...chosen.announced,
    ...report.refused.map(({ table }) => table),
  ];
  return { tracked: report.tables, leaveAlone };
}

/** The schemas of those tables that are there and can be read completely. */
async function readSchemas(
  { source, signal }: CycleContext,
  tables: readonly TableName[],
): Promise<readonly TableSchema[]> {
  if (tables.length === 0) return [];
  const names = new Set(tables.map(TableName.toText));
  const survey = await source.survey({ schemas: null }, signal);
  return survey.tables.flatMap(({ schema, locked = false }) =>
    names.has(TableName.toText(schema.table)) && !locked ? [schema] : [],
  );
}

type BySchema = { readonly inSchemas: readonly TableName[]; readonly elsewhere: readonly TableName[] };

/** Tables of schemas that were not asked for are left alone: choosing less must not drop what is mirrored. */
function bySchema(tables: readonly TableName[], { schemas }: TableSelection): BySchema {
  if (schemas === null) return { inSchemas: tables, elsewhere: [] };
  const isWanted = (table: TableName) => schemas.includes(table.schema ?? DEFAULT_SCHEMA);
  const inSchemas = tables.filter(isWanted);
  if (inSchemas.length > 0) return { inSchemas, elsewhere: tables.filter((table) => !isWanted(table)) };
  throw new SpeilError('USAGE', `the source has no table in schema ${schemas.join(', ')}`, {
    hint: 'Names of schemas are taken as they are, also upper and lower case.',
  });
}

function announce(outcome: CycleOutcome, chosen: ReturnType<typeof selectTables>): void {
  for (const name of chosen.unmatched) outcome.warn(null, `no table is named ${name}`);
  for (const table of chosen.skipped) {
    outcome.warn(null, `${TableName.toText(table)} is skipped; a mirror copy that it has is dropped`);
  }
  for (const table of chosen.announced) {
    outcome.warn(null, `${TableName.toText(table)} is skipped; its mirror copy will be dropped at the next cycle`);
  }
}

/** The source judges what the mirror holds; then each table has its work. */
async function decideTables(
  { source, signal, resyncTables = [], memory, takeOver }: CycleContext,
  outcome: CycleOutcome,
  tracked: readonly TrackedTable[],
  answers: readonly TablePosition[],
): Promise<readonly CycleTable[]> {
  const byName = new Map(answers.map((answer) => [TableName.toText(answer.table), answer]));
  const judged = answers.flatMap((answer) => {
    const position = positionToJudge(answer);
    return position === null ? [] : [{ table: answer.table, position }];
  });
  const verdicts = judged.length === 0 ? [] : await source.judge(judged, signal);
  if (!takeOver) refuseForeign(verdicts);
  const isAskedFor = resyncChoice(resyncTables, tracked, outcome);
  const verdictOf = new Map(judged.map(({ table }, index) => [TableName.toText(table), verdicts[index] ?? null]));
  return tracked.flatMap((table) => {
    const name = TableName.toText(table.schema.table);
    const answer = byName.get(name);
    if (answer === undefined) return [];
    const about = outcome.of(table.schema.table);
    about.schemaChange = answer.schemaChange;
    about.lsn = answer.position?.lsn ?? null;
    outcome.note(table.schema.table, answer.notes);
    if (answer.error !== null) outcome.fail(table.schema.table, answer.error);
    if (answer.error !== null) return [];
    const asked = isAskedFor(table.schema.table) && !memory.resynced.has(name);
    return [{ tracked: table, work: asked ? ASKED_FOR : decideWork(answer, verdictOf.get(name) ?? null) }];
  });
}

function resyncChoice(
  names: readonly string[],
  tracked: readonly TrackedTable[],
  outcome: CycleOutcome,
): (table: TableName) => boolean {
  for (const name of names) {
    if (!tracked.some(({ schema }) => namedBy([name])(schema.table)))
      outcome.warn(null, `no table that is mirrored is named ${name}; it is not copied again`);
  }
  return namedBy(names);
}

function outlook({ tracked, work }: CycleTable): TableOutlook {
  return {
    table: TableName.toText(tracked.schema.table),
    estimatedRows: tracked.estimatedRows,
    estimatedBytes: tracked.estimatedBytes,
    work: work.kind,
    copiedRows: work.kind === 'resume-copy' ? work.rows : 0,
  };
}

/** A few a minute at most: they are how a restored source is found out. */
async function leaveBookmarkIfDue({ source, clock, memory }: CycleContext): Promise<void> {
  const nowMs = clock.monotonicMs();
  if (memory.bookmarkAtMs !== null && nowMs - memory.bookmarkAtMs < BOOKMARK_INTERVAL_MS) return;
  if (await isDone(() => source.leaveBookmark())) memory.bookmarkAtMs = nowMs;
}

/** For what is no part of this cycle's promise: a source that is locked does not fail the cycle, the next one tries again. */
async function isDone(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof SpeilError && error.code === 'LOCK_TIMEOUT') return false;
    throw error;
  }
}
