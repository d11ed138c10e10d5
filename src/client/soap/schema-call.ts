import { type ErrorReport, errorReport, SpeilError } from '../../core/error.ts';
import type { TableName } from '../../core/table.ts';
import type { MirroredTable, MirrorTransaction } from '../../database/mirror-database.ts';
import type { SchemaChange, TablePosition } from '../../task/contract.ts';
import { adaptTable, dropShadow, freshRow, liveTarget } from '../adapt-table.ts';
import { isOfOneTable } from '../write-batches.ts';
import { NO_LSN, type TableSchemaInfo } from './messages.ts';
import { requireLineage } from './position.ts';
import { type ReadTable, readTable } from './schema.ts';

export type AdaptedTable = {
  readonly table: TableName;
  readonly change: SchemaChange;
  /** What the mirror holds, or -1. */
  readonly lsn: bigint;
  readonly notes: readonly string[];
  readonly error: ErrorReport | null;
};

export type AdaptedSchema = { readonly tables: readonly AdaptedTable[]; readonly dropped: readonly TableName[] };

/**
 * The schema as it was sent. Throws when any part of it is not understood: a table that is left out would be dropped.
 * For the same reason a schema without tables is refused; no source has none.
 */
export function readSchema(tables: readonly TableSchemaInfo[]): readonly ReadTable[] {
  if (tables.length === 0) {
    throw new SpeilError(
      'CONTRACT_BROKEN',
      'the schema has no tables, and every table of the mirror would be dropped',
      {
        hint: 'Remove the mirror itself when nothing is to be mirrored any more.',
      },
    );
  }
  const read = tables.map(readTable);
  const names = new Set(read.map(({ schema }) => schema.table.name));
  if (names.size === read.length) return read;
  throw new SpeilError('CONTRACT_BROKEN', 'the schema has two tables of the same name');
}

/** Makes the mirror's tables fit, drops those that are gone, and says how far each has come. */
export async function adaptSchema(
  tx: MirrorTransaction,
  tables: readonly ReadTable[],
  lineage: string,
): Promise<AdaptedSchema> {
  await tx.ensureMetadata();
  const held = new Map((await tx.readMetadata()).map((row) => [row.table.name, row]));
  for (const row of held.values()) requireLineage(row, lineage);
  const stay = new Set(tables.map(({ schema }) => schema.table.name));
  const gone = [...held.values()].filter(({ table }) => table.schema !== null || !stay.has(table.name));
  for (const row of gone) await dropMirrored(tx, row);
  const adapted: AdaptedTable[] = [];
  for (const table of tables) adapted.push(await adapt(tx, table, held.get(table.schema.table.name)));
  return { tables: adapted, dropped: gone.map(({ table }) => table) };
}

/** A view of the owner on a table that is gone keeps the table. */
async function dropMirrored(tx: MirrorTransaction, row: MirroredTable): Promise<void> {
  try {
    await tx.savepoint(async () => {
      await dropShadow(tx, row);
      await tx.dropTable({ table: row.table, shadow: null });
    });
  } catch (error) {
    if (!(error instanceof SpeilError) || error.code !== 'DEPENDENT_OBJECT') throw error;
  }
  await tx.forgetMetadata(row.table);
}

async function adapt(
  tx: MirrorTransaction,
  { schema, notes }: ReadTable,
  held: MirroredTable | undefined,
): Promise<AdaptedTable> {
  const position = await adaptTable(tx, schema, held);
  const remade = position.schemaChange === 'recreated' ? await remake(tx, position, schema) : position;
  const { schemaChange, error } = remade;
  return {
    table: schema.table,
    change: schemaChange,
    lsn: error === null && remade.position !== null ? BigInt.asIntN(64, remade.position.lsn) : NO_LSN,
    notes: schemaChange === 'none' ? remade.notes : [...remade.notes, ...notes],
    error,
  };
}

/**
 * In this contract a table that cannot be altered is dropped and made again at once: its rows come as changes, with or
 * without a wipe before them, so there is no copy for readers to wait for.
 */
async function remake(
  tx: MirrorTransaction,
  answer: TablePosition,
  schema: ReadTable['schema'],
): Promise<TablePosition> {
  try {
    await tx.savepoint(async () => {
      await tx.dropTable({ table: schema.table, shadow: null });
      await tx.createTable(liveTarget(schema), true);
      await tx.saveMetadata(freshRow(schema));
    });
    return { ...answer, position: null };
  } catch (error) {
    if (!isOfOneTable(error)) throw error;
    return { ...answer, position: null, error: errorReport(error) };
  }
}
