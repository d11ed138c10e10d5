import { type ErrorReport, errorReport, SpeilError } from '../../core/error.ts';
import { BATCH_BYTES_DEFAULT } from '../../core/limits.ts';
import { RowCounts } from '../../core/row-batch.ts';
import type { TableName } from '../../core/table.ts';
import type { MirrorDatabase, MirroredTable, MirrorTransaction } from '../../database/mirror-database.ts';
import { decodeRows, RowEncoder } from '../../database/row-text.ts';
import { isOfOneTable } from '../write-batches.ts';
import type { IncomingBatch } from './incoming.ts';
import { positionOf, requireLineage } from './position.ts';
import { batchReader, type RowReader } from './row-reader.ts';
import { type ReadTable, readTable } from './schema.ts';

/** What became of one table's batches of a call. With an error none of them was stored. */
export type WrittenTable = {
  readonly table: string;
  readonly counts: RowCounts;
  readonly notes: readonly string[];
  readonly error: ErrorReport | null;
};

/**
 * Stores the batches of a call in one transaction: rows and positions together, each table by itself, so that one that
 * fails keeps its rows and its position and takes no other with it.
 */
export function writeRows(
  mirror: MirrorDatabase,
  batches: readonly IncomingBatch[],
  lineage: string,
): Promise<readonly WrittenTable[]> {
  const byTable = Map.groupBy(batches, ({ tableInfo }) => tableInfo.tableName ?? '');
  return mirror.transaction({ relaxed: true }, async (tx) => {
    const written: WrittenTable[] = [];
    for (const [table, own] of byTable) written.push(await isolated(tx, table, own, lineage));
    return written;
  });
}

async function isolated(
  tx: MirrorTransaction,
  table: string,
  batches: readonly IncomingBatch[],
  lineage: string,
): Promise<WrittenTable> {
  try {
    return await tx.savepoint(() => writeTable(tx, table, batches, lineage));
  } catch (error) {
    if (!isOfOneTable(error)) throw error;
    return { table, counts: RowCounts.none, notes: [], error: errorReport(error) };
  }
}

/** The row of a table that is there and that is this source's. */
export async function heldTable(tx: MirrorTransaction, table: TableName, lineage: string): Promise<MirroredTable> {
  const [held] = await tx.readMetadata([table]);
  if (held === undefined) throw unexpected(table.name, 'it is not one of the mirror’s tables');
  if (!held.exists) throw unexpected(table.name, 'the mirror’s table is gone');
  requireLineage(held, lineage);
  return held;
}

const unexpected = (table: string, why: string): SpeilError =>
  new SpeilError('SCHEMA_CHANGED', `what came for ${table} was refused: ${why}`, {
    hint: 'The next cycle sends the schema again.',
    recovery: 'retry',
  });

async function writeTable(
  tx: MirrorTransaction,
  table: string,
  batches: readonly IncomingBatch[],
  lineage: string,
): Promise<WrittenTable> {
  let row = await heldTable(tx, { schema: null, name: table }, lineage);
  const before = row.widened;
  let counts = RowCounts.none;
  for (const batch of batches) {
    const read = batchReader(matched(row, readTable(batch.tableInfo)));
    for await (const piece of pieces(batch, read)) {
      const result = await tx.apply({ schema: row.schema, shadow: null, widened: row.widened }, piece);
      counts = RowCounts.add(counts, result.counts);
      row = { ...row, widened: result.widened };
    }
    row = { ...row, position: positionOf(batch.lsn, lineage) ?? row.position };
  }
  await tx.saveMetadata({ ...row, rows: row.rows + counts.inserted - counts.deleted });
  return { table, counts, notes: widenedNotes(before, row.widened), error: null };
}

/** Columns of the batch for those of the mirror's table, whatever their order; none may be missing, strange or changed. */
function matched({ schema }: MirroredTable, batch: ReadTable) {
  const { name } = schema.table;
  const places = new Map(batch.schema.columns.map((column, at) => [column.name, at]));
  const columns = schema.columns.map((column) => {
    const at = places.get(column.name) ?? -1;
    const type = batch.types[at];
    if (type === undefined) throw unexpected(name, `its column ${column.name} is missing`);
    if (type.type !== column.type) throw unexpected(name, `its column ${column.name} has another type`);
    places.delete(column.name);
    return { name: column.name, nullable: column.nullable, declaredType: column.declaredType, at, type };
  });
  for (const strange of places.keys()) throw unexpected(name, `it has no column ${strange}`);
  return { table: name, sentCount: columns.length, columns, key: schema.key };
}

type Piece = { readonly rows: Uint8Array; readonly rowCount: number; readonly format: 'tagged' };

/**
 * The rows of a batch in pieces that are applied one after the other. A key that comes again begins a new piece: within
 * one there is no order.
 */
async function* pieces({ rows }: IncomingBatch, read: RowReader): AsyncGenerator<Piece> {
  const encoder = new RowEncoder(BATCH_BYTES_DEFAULT);
  const keys = new Set<string>();
  const take = (): Piece => {
    keys.clear();
    return { ...encoder.take(), format: 'tagged' };
  };
  for await (const chunk of rows.chunks()) {
    for (const fields of decodeRows(chunk)) {
      const { key, row } = read(fields);
      if (encoder.isFull || keys.has(key)) yield take();
      keys.add(key);
      encoder.add(row);
    }
  }
  if (encoder.rowCount > 0) yield take();
}

const widenedNotes = (
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): readonly string[] =>
  Object.keys(after)
    .filter((name) => before[name] === undefined)
    .map((name) => `column ${name} is ${after[name]} in the mirror now, because a value did not fit its type`);
