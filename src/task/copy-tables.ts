import { type ErrorCode, type ErrorReport, errorReport, SpeilError } from '../core/error.ts';
import { BATCHES_AHEAD_MAX } from '../core/limits.ts';
import type { SourcePosition } from '../core/position.ts';
import type { CopyChunk } from '../core/row-batch.ts';
import { schemaHash } from '../core/schema-hash.ts';
import { rowFormatOf, TableName, type TableSchema } from '../core/table.ts';
import { ahead } from './ahead.ts';
import { sendRows } from './call-limits.ts';
import type { RowBatch, RowDataRequest } from './contract.ts';
import type { CycleTable, ReplicationContext } from './cycle.ts';
import { inCopyOrder } from './decide.ts';
import type { CycleOutcome } from './outcome.ts';

export type CycleState = {
  readonly clientState: string;
  readonly outcome: CycleOutcome;
  readonly tables: readonly CycleTable[];
};

/** A table that has all its rows up to a position: what is left are the changes since. */
export type StartedTable = {
  readonly schema: TableSchema;
  readonly since: SourcePosition;
  /** A copy waits for its last batch to take the table's place. */
  readonly copied: boolean;
};

/** A table that is rewritten or truncated again and again while it is copied is left for the next cycle. */
const COPY_ATTEMPTS_MAX = 3;

/** Copies the tables that need it, one after another; a table that fails is left out from here on. */
export async function copyTables(context: ReplicationContext, state: CycleState): Promise<readonly StartedTable[]> {
  const started: StartedTable[] = [];
  const sized = state.tables.map((table) => ({ ...table, estimatedBytes: table.tracked.estimatedBytes }));
  for (const table of inCopyOrder(sized)) {
    const { schema } = table.tracked;
    const { work } = table;
    try {
      if (work.kind === 'catch-up') started.push({ schema, since: work.since, copied: false });
      else started.push({ schema, since: await copyTable(context, state, table), copied: true });
    } catch (error) {
      if (!concernsOneTable(error) || context.signal.aborted) throw error;
      state.outcome.fail(schema.table, errorReport(error));
    }
  }
  return started;
}

/**
 * What can be wrong with a single table while the others are well. All else, of a whole database, of the connection or
 * of trust, ends the cycle; it is tried again as a whole.
 */
const CODES_OF_ONE_TABLE: ReadonlySet<ErrorCode> = new Set([
  'NOT_A_DATABASE', // A damaged page.
  'PRIVILEGE_MISSING',
  'LOCK_TIMEOUT',
  'VALUE_REFUSED',
  'KEY_VIOLATED',
  'NAME_TAKEN',
  'DEPENDENT_OBJECT',
  'SCHEMA_CHANGED',
  'TABLE_FAILED',
  'CALL_TOO_LARGE',
] as const);

export const concernsOneTable = (error: unknown): boolean =>
  error instanceof AnsweredError || (error instanceof SpeilError && CODES_OF_ONE_TABLE.has(error.code));

/** Answers the position from which the table has to catch up. */
async function copyTable(context: ReplicationContext, state: CycleState, table: CycleTable): Promise<SourcePosition> {
  const { schema } = table.tracked;
  const { work } = table;
  if (work.kind === 'resume-copy') {
    if (work.filled) return work.start;
    try {
      announceCopy(context, table, 'the copy that was interrupted goes on', work.rows);
      await sendCopy(context, state, { table, progress: work.progress, rowsBefore: work.rows });
      return work.start;
    } catch (error) {
      if (!isRewritten(error)) throw error;
      state.outcome.warn(schema.table, error.message);
    }
  }
  if (work.kind === 'copy') {
    state.outcome.of(schema.table).repopulated = work.explanation;
    announceCopy(context, table, work.explanation, 0);
  }
  return copyFromStart(context, state, table);
}

async function copyFromStart(
  context: ReplicationContext,
  state: CycleState,
  table: CycleTable,
): Promise<SourcePosition> {
  const { schema } = table.tracked;
  for (let attempt = 1; ; attempt++) {
    try {
      const start = await context.source.copyStart(schema, context.signal);
      const { notes } = await context.client.wipe({ clientState: state.clientState, schema, start });
      state.outcome.note(schema.table, notes);
      context.memory.resynced.add(TableName.toText(schema.table));
      await sendCopy(context, state, { table, progress: null, rowsBefore: 0 });
      return start;
    } catch (error) {
      if (!isRewritten(error) || attempt >= COPY_ATTEMPTS_MAX) throw error;
      state.outcome.warn(schema.table, error.message);
    }
  }
}

const isRewritten = (error: unknown): error is SpeilError =>
  error instanceof SpeilError && error.code === 'SCHEMA_CHANGED' && error.recovery === 'repopulate';

function announceCopy(
  { emit }: ReplicationContext,
  { tracked }: CycleTable,
  reason: string,
  resumedAtRows: number,
): void {
  const table = TableName.toText(tracked.schema.table);
  emit({ event: 'copy-started', table, reason, estimatedRows: tracked.estimatedRows, resumedAtRows });
}

type Copying = { readonly table: CycleTable; readonly progress: string | null; readonly rowsBefore: number };

async function sendCopy(
  context: ReplicationContext,
  state: CycleState,
  { table, progress, rowsBefore }: Copying,
): Promise<void> {
  const { schema } = table.tracked;
  const name = TableName.toText(schema.table);
  const { source, signal, emit } = context;
  const chunks = source.copy(schema, { progress, chunkBytes: context.limits.batchBytes, signal });
  let rows = rowsBefore;
  let bytes = 0;
  const calls = preparedCalls(context, chunks, { clientState: state.clientState, schema });
  for await (const { chunk, request } of ahead(calls, BATCHES_AHEAD_MAX)) {
    const answer = await sendRows(context, request);
    for (const result of answer.tables) {
      if (result.error !== null) throw new AnsweredError(result.error);
      state.outcome.record(result);
    }
    rows += chunk.rowCount;
    bytes += chunk.rows.length;
    if (chunk.rowCount > 0) emit({ event: 'copy-progress', table: name, rows, bytes });
    signal.throwIfAborted();
  }
  emit({ event: 'copy-completed', table: name, rows });
}

/** A call for each chunk, with all done that can be done before the calls ahead of it are answered. */
async function* preparedCalls(
  { client }: ReplicationContext,
  chunks: AsyncIterable<CopyChunk>,
  { clientState, schema }: { readonly clientState: string; readonly schema: TableSchema },
): AsyncGenerator<{ readonly chunk: CopyChunk; readonly request: RowDataRequest }> {
  for await (const chunk of chunks) {
    const request = { clientState, batches: [copyBatch(schema, chunk)] };
    await client.prepareRowData?.(request);
    yield { chunk, request };
  }
}

export const copyBatch = (schema: TableSchema, chunk: CopyChunk): RowBatch => ({
  table: schema.table,
  schemaHash: schemaHash(schema),
  format: rowFormatOf(schema.dialect),
  rows: chunk.rows,
  rowCount: chunk.rowCount,
  phase: { kind: 'copy', progress: chunk.progress, done: chunk.done },
});

/** What the mirror's side answered for a table, as an error again: it is of that table, whatever its code. */
class AnsweredError extends SpeilError {
  constructor({ code, message, hint, recovery }: ErrorReport) {
    super(code, message, { hint: hint ?? undefined, recovery });
  }
}
