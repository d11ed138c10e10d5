import { createHash } from 'node:crypto';
import { errorReport, SpeilError } from '../core/error.ts';
import type { Lsn } from '../core/lsn.ts';
import type { SourcePosition } from '../core/position.ts';
import { RowCounts } from '../core/row-batch.ts';
import { schemaHash } from '../core/schema-hash.ts';
import { TableName } from '../core/table.ts';
import type { MirrorDatabase, MirroredTable, MirrorTransaction, WriteTarget } from '../database/mirror-database.ts';
import type { BatchPhase, RowBatch, RowDataResult, WipeRequest } from '../task/contract.ts';
import { dropShadow, freshRow } from './adapt-table.ts';

/** Where a copy collects its rows: in a shadow that readers do not see, or in the table itself. */
export type WipeMode = 'shadow' | 'in-place';

/** The same for the same table, and different for all others, within the 63 bytes of an identifier. */
const shadowName = (table: TableName): string =>
  `speil_shadow_${createHash('sha256').update(TableName.toText(table)).digest('hex').slice(0, 16)}`;

/** Starts a copy from nothing. */
export async function wipeTable(tx: MirrorTransaction, { schema, start }: WipeRequest, mode: WipeMode): Promise<void> {
  const [found] = await metadataOf(tx, [schema.table]);
  const held = found ?? freshRow(schema);
  await dropShadow(tx, held);
  const shadow = mode === 'shadow' ? shadowName(schema.table) : null;
  const copy = {
    shadow,
    schema,
    schemaHash: schemaHash(schema),
    start: withoutWitness(start),
    progress: null,
    rows: 0,
    filled: false,
    widened: {},
  };
  if (shadow !== null) {
    await tx.dropTable({ table: schema.table, shadow });
    await tx.createTable({ schema, shadow, widened: {} }, false);
    await tx.saveMetadata({ ...held, position: positionMeanwhile(held, start), nullablePending: [], copy });
    return;
  }
  await emptyInPlace(tx, held, copy.schemaHash, { schema, shadow: null, widened: {} });
  await tx.saveMetadata({ ...freshRow(schema), copy });
}

const withoutWitness = ({ witness: _, ...position }: SourcePosition): SourcePosition => position;

/** Readers still have the rows of the old position; one of another lineage no longer counts for anything. */
const positionMeanwhile = ({ position }: MirroredTable, start: SourcePosition): SourcePosition | null =>
  position?.lineage === start.lineage ? position : null;

async function emptyInPlace(
  tx: MirrorTransaction,
  held: MirroredTable,
  hash: string,
  target: WriteTarget,
): Promise<void> {
  if (held.schemaHash === hash && Object.keys(held.widened).length === 0) {
    await tx.deleteAll(target);
    return;
  }
  await tx.dropTable({ table: target.schema.table, shadow: null });
  await tx.createTable(target, true);
}

const metadataOf = async (tx: MirrorTransaction, tables: readonly TableName[]): Promise<readonly MirroredTable[]> =>
  (await tx.readMetadata(tables)).filter((row) => tables.some((table) => TableName.equal(table, row.table)));

/**
 * Writes the batches of a call in one transaction. When one fails, everything is rolled back and done again with each
 * table in a savepoint of its own: the good case pays nothing for the bad one.
 */
export async function writeBatches(
  mirror: MirrorDatabase,
  batches: readonly RowBatch[],
): Promise<readonly RowDataResult[]> {
  const byTable = [...Map.groupBy(batches, (batch) => TableName.toText(batch.table)).values()];
  try {
    return await mirror.transaction({ relaxed: true }, (tx) => writeTables(tx, byTable, (_, work) => work()));
  } catch (error) {
    if (!isOfOneTable(error)) throw error;
    return mirror.transaction({ relaxed: true }, (tx) =>
      writeTables(tx, byTable, (table, work) => isolated(tx, table, work)),
    );
  }
}

/** What ends the session or concerns the whole database is no table's fault. */
export const isOfOneTable = (error: unknown): boolean =>
  !(
    error instanceof SpeilError &&
    ['CONNECTION_LOST', 'UNREACHABLE', 'DISK_FULL', 'READ_ONLY', 'MIRROR_BUSY', 'INTERRUPTED'].includes(error.code)
  );

type Isolation = (table: TableName, work: () => Promise<RowDataResult>) => Promise<RowDataResult>;

async function isolated(
  tx: MirrorTransaction,
  table: TableName,
  work: () => Promise<RowDataResult>,
): Promise<RowDataResult> {
  try {
    return await tx.savepoint(work);
  } catch (error) {
    if (!isOfOneTable(error)) throw error;
    return { table, counts: RowCounts.none, lsn: null, error: errorReport(error), notes: [] };
  }
}

async function writeTables(
  tx: MirrorTransaction,
  byTable: readonly (readonly RowBatch[])[],
  isolate: Isolation,
): Promise<readonly RowDataResult[]> {
  const metadata = await metadataOf(
    tx,
    byTable.flatMap(([first]) => (first === undefined ? [] : [first.table])),
  );
  const results: RowDataResult[] = [];
  for (const batches of byTable) {
    const [first] = batches;
    if (first === undefined) continue;
    const held = metadata.find((row) => TableName.equal(row.table, first.table));
    results.push(await isolate(first.table, () => writeTable(tx, held, batches)));
  }
  return results;
}

type Written = { readonly row: MirroredTable; readonly counts: RowCounts; readonly notes: readonly string[] };

async function writeTable(
  tx: MirrorTransaction,
  held: MirroredTable | undefined,
  batches: readonly RowBatch[],
): Promise<RowDataResult> {
  const table = batches[0]?.table ?? { schema: null, name: '' };
  if (held === undefined) throw unexpected(table, 'it is not one of the mirror’s tables');
  let written: Written = { row: held, counts: RowCounts.none, notes: [] };
  for (const batch of batches) {
    const next = await writeBatch(tx, written.row, batch);
    written = {
      row: next.row,
      counts: RowCounts.add(written.counts, next.counts),
      notes: [...written.notes, ...next.notes],
    };
  }
  await tx.saveMetadata(written.row);
  const lsn: Lsn | null = written.row.position?.lsn ?? null;
  return { table, counts: written.counts, lsn, error: null, notes: written.notes };
}

const unexpected = (table: TableName, why: string): SpeilError =>
  new SpeilError('SCHEMA_CHANGED', `rows for ${TableName.toText(table)} were refused: ${why}`, {
    hint: 'The next cycle sends the schema again.',
    recovery: 'retry',
  });

async function writeBatch(tx: MirrorTransaction, row: MirroredTable, batch: RowBatch): Promise<Written> {
  const expected = row.copy?.schemaHash ?? row.schemaHash;
  if (batch.schemaHash !== expected) throw unexpected(batch.table, 'they have another schema than the mirror’s table');
  return batch.phase.kind === 'copy'
    ? loadCopy(tx, row, batch, batch.phase)
    : applyChanges(tx, row, batch, batch.phase);
}

async function loadCopy(
  tx: MirrorTransaction,
  row: MirroredTable,
  batch: RowBatch,
  phase: Extract<BatchPhase, { kind: 'copy' }>,
): Promise<Written> {
  const { copy } = row;
  if (copy === null) throw unexpected(batch.table, 'no copy was begun');
  const { widened } = copy;
  const loaded = batch.rowCount > 0 ? await tx.load({ ...copy, widened }, batch) : { counts: RowCounts.none, widened };
  const duplicates = phase.done ? (await tx.buildKey({ ...copy, widened: loaded.widened })).duplicates : 0;
  const rows = copy.rows + loaded.counts.inserted - duplicates;
  const filled = copy.filled || phase.done;
  return {
    row: { ...row, copy: { ...copy, widened: loaded.widened, rows, filled, progress: phase.progress } },
    counts: loaded.counts,
    notes: widenedNotes(widened, loaded.widened),
  };
}

const widenedNotes = (
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): readonly string[] =>
  Object.keys(after)
    .filter((name) => before[name] === undefined)
    .map((name) => `column ${name} is ${after[name]} in the mirror now, because a value did not fit its type`);

async function applyChanges(
  tx: MirrorTransaction,
  row: MirroredTable,
  batch: RowBatch,
  phase: Extract<BatchPhase, { kind: 'changes' }>,
): Promise<Written> {
  const { copy } = row;
  if (copy !== null && !copy.filled) throw unexpected(batch.table, 'its copy is not complete');
  if (copy === null && row.position === null) throw unexpected(batch.table, 'it is to be copied again');
  const place = copy ?? { schema: row.schema, shadow: null, widened: row.widened };
  let counts = RowCounts.none;
  let { widened } = place;
  if (phase.truncateFirst) counts = { ...counts, deleted: await tx.deleteAll(place) };
  if (batch.rowCount > 0) {
    const result = await tx.apply(place, batch);
    counts = RowCounts.add(counts, result.counts);
    widened = result.widened;
  }
  const notes = widenedNotes(place.widened, widened);
  const rows = (copy?.rows ?? row.rows) + counts.inserted - counts.deleted;
  if (copy === null) return { row: { ...row, rows, widened, position: phase.position ?? row.position }, counts, notes };
  if (phase.position === null) return { row: { ...row, copy: { ...copy, rows, widened } }, counts, notes };
  const swapped = await tx.swap({ ...copy, widened });
  const { schema } = copy;
  return {
    row: { ...row, schema, schemaHash: copy.schemaHash, widened, position: phase.position, copy: null, rows },
    counts,
    notes: [...notes, ...swapped.notes],
  };
}
