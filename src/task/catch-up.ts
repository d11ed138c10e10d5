import { errorReport } from '../core/error.ts';
import { BATCHES_AHEAD_MAX } from '../core/limits.ts';
import type { SourcePosition } from '../core/position.ts';
import type { ChangeChunk } from '../core/row-batch.ts';
import { schemaHash } from '../core/schema-hash.ts';
import { rowFormatOf, TableName, type TableSchema } from '../core/table.ts';
import type { CatchUpTable, SourceSnapshot } from '../database/source-database.ts';
import { ahead } from './ahead.ts';
import { batchesBytes, sendRows } from './call-limits.ts';
import type { RowBatch } from './contract.ts';
import { type CycleState, concernsOneTable, copyBatch, type StartedTable } from './copy-tables.ts';
import type { ReplicationContext } from './cycle.ts';
import { isKeyless } from './decide.ts';
import type { CycleOutcome } from './outcome.ts';

type CatchUpState = Omit<CycleState, 'tables'> & { readonly started: readonly StartedTable[] };

/**
 * The changes of all tables out of one snapshot. Batches are gathered into calls of about `batchBytes`, so that a small
 * cycle is a single call, and with it a single transaction of the mirror. Answers what the snapshot was.
 */
export async function catchUp(context: ReplicationContext, state: CatchUpState): Promise<string> {
  await using snapshot = await context.source.openSnapshot(state.started, context.signal);
  for (const { table, error } of snapshot.refused) state.outcome.fail(table, error);
  const calls = new CallGatherer(context, state);
  for (const table of unchangedToMove(state, snapshot)) {
    await calls.add(emptyBatch(table.schema, snapshot.position(table.schema)));
  }
  for (const table of keyedFirst(snapshot.changed)) {
    await isolated(context, state.outcome, table, () => sendTable(context, { state, snapshot, calls, table }));
  }
  await calls.send();
  return snapshot.description;
}

/** A table without a key takes calls of its own: between the others they would part what readers should see together. */
const keyedFirst = (tables: readonly CatchUpTable[]): readonly CatchUpTable[] =>
  tables.toSorted((a, b) => Number(isKeyless(a.schema)) - Number(isKeyless(b.schema)));

/** Tables without changes whose position has to move all the same: new copies, and positions that grow too old. */
function unchangedToMove(state: CatchUpState, snapshot: SourceSnapshot): readonly StartedTable[] {
  const changed = new Set(
    [...snapshot.changed.map(({ schema }) => schema.table), ...snapshot.refused.map(({ table }) => table)].map(
      TableName.toText,
    ),
  );
  return state.started.filter(
    ({ schema, copied, since }) =>
      !changed.has(TableName.toText(schema.table)) && (copied || since.lsn < snapshot.agingBefore),
  );
}

async function isolated(
  context: ReplicationContext,
  outcome: CycleOutcome,
  table: CatchUpTable,
  work: () => Promise<void>,
): Promise<void> {
  try {
    context.signal.throwIfAborted();
    await work();
  } catch (error) {
    if (context.signal.aborted || !concernsOneTable(error)) throw error;
    outcome.fail(table.schema.table, errorReport(error));
  }
}

type Sending = {
  readonly state: CatchUpState;
  readonly snapshot: SourceSnapshot;
  readonly calls: CallGatherer;
  readonly table: CatchUpTable;
};

const sendTable = (context: ReplicationContext, sending: Sending): Promise<void> =>
  isKeyless(sending.table.schema) ? sendWhole(context, sending) : sendChanges(context, sending);

async function sendChanges(context: ReplicationContext, { snapshot, calls, table, state }: Sending): Promise<void> {
  const name = TableName.toText(table.schema.table);
  const position = snapshot.position(table.schema);
  let rows = 0;
  let bytes = 0;
  for await (const chunk of ahead(snapshot.changes(table, context.limits.batchBytes), BATCHES_AHEAD_MAX)) {
    if (state.outcome.of(table.schema.table).error !== null) return;
    await calls.add(changeBatch(table.schema, chunk, chunk.done ? position : null));
    rows += chunk.rowCount;
    bytes += chunk.rows.length;
    if (chunk.rowCount > 0) context.emit({ event: 'changes-progress', table: name, rows, bytes });
    context.signal.throwIfAborted();
  }
}

/** A table without a key has no net changes: all of it, out of the same snapshot. */
async function sendWhole(context: ReplicationContext, { snapshot, calls, table, state }: Sending): Promise<void> {
  const { schema } = table;
  await calls.send();
  const position = snapshot.position(schema);
  state.outcome.of(schema.table).repopulated ??= 'it has no key and changed';
  const { notes } = await context.client.wipe({ clientState: state.clientState, schema, start: position });
  state.outcome.note(schema.table, notes);
  for await (const chunk of ahead(snapshot.rows(schema, context.limits.batchBytes), BATCHES_AHEAD_MAX)) {
    await calls.add(copyBatch(schema, chunk));
    if (state.outcome.of(schema.table).error !== null) return;
    context.signal.throwIfAborted();
  }
  await calls.add(emptyBatch(schema, position));
}

const changeBatch = (schema: TableSchema, chunk: ChangeChunk, position: SourcePosition | null): RowBatch => ({
  table: schema.table,
  schemaHash: schemaHash(schema),
  format: rowFormatOf(schema.dialect),
  rows: chunk.rows,
  rowCount: chunk.rowCount,
  phase: { kind: 'changes', truncateFirst: chunk.truncateFirst, position },
});

const emptyBatch = (schema: TableSchema, position: SourcePosition): RowBatch =>
  changeBatch(schema, { rows: new Uint8Array(), rowCount: 0, truncateFirst: false, done: true }, position);

/** Positions without rows cost no bytes; this many make a call all the same. */
const CALL_BATCHES_MAX = 1000;

/** Gathers batches into calls of about `batchBytes`. */
class CallGatherer {
  readonly #context: ReplicationContext;
  readonly #state: CatchUpState;
  #batches: RowBatch[] = [];
  #bytes = 0;

  constructor(context: ReplicationContext, state: CatchUpState) {
    this.#context = context;
    this.#state = state;
  }

  /** Sends what is gathered first when the batch does not fit any more. */
  async add(batch: RowBatch): Promise<void> {
    if (this.#batches.length >= CALL_BATCHES_MAX || !this.#fits(batch)) await this.send();
    this.#batches.push(batch);
    this.#bytes += batch.rows.length;
  }

  #fits(batch: RowBatch): boolean {
    const { batchBytes, callBytes } = this.#context.limits;
    if (this.#bytes > 0 && this.#bytes + batch.rows.length > batchBytes) return false;
    return callBytes === null || this.#batches.length === 0 || batchesBytes([...this.#batches, batch]) <= callBytes;
  }

  async send(): Promise<void> {
    const { outcome, clientState } = this.#state;
    const batches = this.#batches.filter((batch) => outcome.of(batch.table).error === null);
    this.#batches = [];
    this.#bytes = 0;
    if (batches.length === 0) return;
    try {
      const answer = await sendRows(this.#context, { clientState, batches });
      for (const result of answer.tables) outcome.record(result);
    } catch (error) {
      if (this.#context.signal.aborted || !concernsOneTable(error)) throw error;
      for (const { table } of batches) outcome.fail(table, errorReport(error));
    }
  }
}
