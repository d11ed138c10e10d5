import { BATCH_BYTES_DEFAULT } from '../core/limits.ts';
import type { RowBytes } from '../core/row-batch.ts';
import { TableName } from '../core/table.ts';
import type { MirrorDatabase, MirroredTable, MirrorTransaction } from '../database/mirror-database.ts';
import { alteredError } from '../database/verify-errors.ts';
import type { TablePair } from './pair.ts';
import type { Scratch } from './scratch.ts';

export type Repair = {
  readonly database: MirrorDatabase;
  readonly pair: TablePair;
  readonly scratch: Scratch;
  /** The mirror's table when its rows were compared, and how many there were. */
  readonly held: MirroredTable;
  readonly mirrorRows: number;
  readonly signal: AbortSignal;
};

/**
 * Makes the rows of differing keys what they are in the source's snapshot. They did not change since the mirror's
 * position, so the position stays. Removals come first: the key of an extra row may equal that of a missing one.
 */
export async function repairRows(repair: Repair): Promise<void> {
  const { signal } = repair;
  let rows = repair.mirrorRows;
  const apply = async (batch: RowBytes) => {
    signal.throwIfAborted();
    if (batch.rowCount > 0) rows = await applyBatch(repair, batch, rows);
  };
  for await (const batch of gathered(extraRows(repair))) await apply(batch);
  for await (const batch of gathered(sourceRows(repair))) await apply(batch);
}

async function* extraRows({ pair, scratch }: Repair): AsyncGenerator<RowBytes> {
  for (const keys of scratch.differingKeys('extra')) yield pair.deletes(keys);
}

async function* sourceRows({ pair, scratch }: Repair): AsyncGenerator<RowBytes> {
  for (const keys of scratch.differingKeys('all')) yield* pair.upserts(keys);
}

/** The same rows in fewer batches: each is a transaction of the mirror. */
async function* gathered(batches: AsyncIterable<RowBytes>): AsyncGenerator<RowBytes> {
  let waiting: RowBytes[] = [];
  let bytes = 0;
  for await (const batch of batches) {
    if (bytes > 0 && bytes + batch.rows.length > BATCH_BYTES_DEFAULT) {
      yield* joined(waiting);
      waiting = [];
      bytes = 0;
    }
    waiting.push(batch);
    bytes += batch.rows.length;
  }
  yield* joined(waiting);
}

function* joined(batches: readonly RowBytes[]): Generator<RowBytes> {
  const [first] = batches;
  if (first === undefined) return;
  const rowCount = batches.reduce((sum, batch) => sum + batch.rowCount, 0);
  yield { rows: Buffer.concat(batches.map((batch) => batch.rows)), rowCount, format: first.format };
}

/** Answers how many rows the table has then. */
const applyBatch = ({ database, held }: Repair, batch: RowBytes, before: number): Promise<number> =>
  database.transaction({ relaxed: false }, async (tx) => {
    const row = await readUnmoved(tx, held);
    const { counts, widened } = await tx.apply({ schema: row.schema, shadow: null, widened: row.widened }, batch);
    const rows = before + counts.inserted - counts.deleted;
    await tx.saveMetadata({ ...row, widened, rows });
    return rows;
  });

/** Has the next cycle copy the table again. */
export const markForCopy = ({ database, held }: Pick<Repair, 'database' | 'held'>): Promise<void> =>
  database.transaction({ relaxed: false }, async (tx) => {
    const row = await readUnmoved(tx, held);
    if (row.copy?.shadow != null) await tx.dropTable({ table: row.table, shadow: row.copy.shadow });
    await tx.saveMetadata({ ...row, position: null, copy: null });
  });

/** The metadata of the table, which must be as it was when its rows were compared. */
async function readUnmoved(tx: MirrorTransaction, held: MirroredTable): Promise<MirroredTable> {
  const row = (await tx.readMetadata([held.table])).find((other) => TableName.equal(other.table, held.table));
  if (row?.position?.token === held.position?.token && row?.schemaHash === held.schemaHash) return row;
  throw alteredError(held.table, 'was changed in the mirror by somebody else meanwhile');
}
