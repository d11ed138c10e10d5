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
  const { pair, scratch, signal } = repair;
  let rows = repair.mirrorRows;
  const apply = async (batch: RowBytes) => {
    signal.throwIfAborted();
    if (batch.rowCount > 0) rows = await applyBatch(repair, batch, rows);
  };
  for (const keys of scratch.differingKeys('extra')) await apply(pair.deletes(keys));
  for (const keys of scratch.differingKeys('all')) {
    for await (const batch of pair.upserts(keys)) await apply(batch);
  }
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
