import { errorReport, SpeilError } from '../core/error.ts';
import type { SourcePosition } from '../core/position.ts';
import { schemaHash } from '../core/schema-hash.ts';
import { TableName, type TableSchema } from '../core/table.ts';
import type { AlterStep, MirroredTable, MirrorTransaction, WriteTarget } from '../database/mirror-database.ts';
import type { SchemaChange, TablePosition } from '../task/contract.ts';
import { planAdaptation } from './adapt.ts';

/** Makes one table of the mirror fit and answers how far it has come. Failures are the table's own. */
export async function adaptTable(
  tx: MirrorTransaction,
  schema: TableSchema,
  held: MirroredTable | undefined,
): Promise<TablePosition> {
  try {
    return await adapt(tx, schema, held);
  } catch (error) {
    if (error instanceof SpeilError && error.code === 'CONNECTION_LOST') throw error;
    return { ...answer(schema, 'none', null, null), error: errorReport(error) };
  }
}

async function adapt(
  tx: MirrorTransaction,
  schema: TableSchema,
  held: MirroredTable | undefined,
): Promise<TablePosition> {
  if (held === undefined) return create(tx, schema);
  if (!held.exists) return createAgain(tx, schema, held);
  const adaptation = planAdaptation(held.schema, schema);
  if (adaptation.kind === 'none') return keep(schema, held);
  if (adaptation.kind === 'rebuild') return rebuild(tx, schema, held, adaptation.reason);
  try {
    return await alter(tx, schema, held, adaptation.steps);
  } catch (error) {
    if (!(error instanceof SpeilError) || error.code !== 'VALUE_REFUSED') throw error;
    return rebuild(tx, schema, held, error.message);
  }
}

const answer = (
  schema: TableSchema,
  schemaChange: SchemaChange,
  position: SourcePosition | null,
  held: MirroredTable | null,
): TablePosition => ({
  table: schema.table,
  schemaChange,
  position,
  copy: resumable(schema, held),
  error: null,
  notes: [],
});

/** A copy goes on only into a table of the schema that its rows have now, made under the same change tracking. */
function resumable(schema: TableSchema, held: MirroredTable | null): TablePosition['copy'] {
  const copy = held?.copy;
  if (copy == null || copy.schemaHash !== schemaHash(schema) || copy.schema.identity !== schema.identity) return null;
  return { start: copy.start, progress: copy.progress, rows: copy.rows, filled: copy.filled };
}

const keep = (schema: TableSchema, held: MirroredTable): TablePosition => answer(schema, 'none', held.position, held);

async function create(tx: MirrorTransaction, schema: TableSchema): Promise<TablePosition> {
  if (await tx.tableExists({ table: schema.table, shadow: null })) {
    throw new SpeilError(
      'NAME_TAKEN',
      `the mirror has something called ${TableName.toText(schema.table)} that is not Speil’s`,
      {
        hint: 'Rename or drop it, or leave the table out with --skip-table.',
      },
    );
  }
  await tx.savepoint(() => tx.createTable(liveTarget(schema), true));
  await tx.saveMetadata(freshRow(schema));
  return answer(schema, 'created', null, null);
}

/** Dropped by hand: it comes back. */
async function createAgain(tx: MirrorTransaction, schema: TableSchema, held: MirroredTable): Promise<TablePosition> {
  await dropShadow(tx, held);
  await tx.savepoint(() => tx.createTable(liveTarget(schema), true));
  await tx.saveMetadata(freshRow(schema));
  return { ...answer(schema, 'created', null, null), notes: ['the mirror’s table was gone; it is copied again'] };
}

/** Readers keep the old table until the new one is complete; only the position goes. */
async function rebuild(
  tx: MirrorTransaction,
  schema: TableSchema,
  held: MirroredTable,
  reason: string,
): Promise<TablePosition> {
  const copy = resumable(schema, held);
  if (copy === null) await dropShadow(tx, held);
  await tx.saveMetadata({ ...held, position: null, copy: copy === null ? null : held.copy });
  return { ...answer(schema, 'recreated', null, held), copy, notes: [`rebuilt: ${reason}`] };
}

async function alter(
  tx: MirrorTransaction,
  schema: TableSchema,
  held: MirroredTable,
  steps: readonly AlterStep[],
): Promise<TablePosition> {
  const target = { schema, shadow: null, widened: renameKeys(held.widened, steps) };
  const pending = new Set(held.nullablePending);
  const copy = alteredCopy(held, schema, steps);
  await tx.savepoint(async () => {
    for (const step of steps) {
      if (step.kind === 'set-not-null') pending.add(step.column.name);
      else for (const place of copy?.shadow == null ? [target] : [target, copy]) await tx.alter(place, step);
      if (step.kind === 'set-nullable') pending.delete(step.column.name);
    }
  });
  if (copy === null) await dropShadow(tx, held);
  const nullablePending = [...pending].filter((name) =>
    schema.columns.some((column) => column.name === name && !column.nullable),
  );
  await tx.saveMetadata({
    ...held,
    schema,
    schemaHash: schemaHash(schema),
    widened: target.widened,
    nullablePending,
    copy,
  });
  return answer(schema, 'altered', held.position, { ...held, copy });
}

/** A copy under way takes the same steps: the rows that it has get the fill, as those of the table do. */
function alteredCopy(held: MirroredTable, schema: TableSchema, steps: readonly AlterStep[]): MirroredTable['copy'] {
  const { copy } = held;
  if (copy === null || copy.schemaHash !== held.schemaHash || copy.schema.identity !== schema.identity) return null;
  return { ...copy, schema, schemaHash: schemaHash(schema), widened: renameKeys(copy.widened, steps) };
}

/** What is known of columns goes with them. */
function renameKeys(
  widened: Readonly<Record<string, string>>,
  steps: readonly AlterStep[],
): Readonly<Record<string, string>> {
  let names = new Map(Object.entries(widened));
  for (const step of steps) {
    if (step.kind === 'drop-column') names.delete(step.name);
    if (step.kind === 'rename-column')
      names = new Map([...names].map(([name, type]) => [name === step.from ? step.to : name, type]));
  }
  return Object.fromEntries(names);
}

export async function dropShadow(
  tx: MirrorTransaction,
  { table, copy }: Pick<MirroredTable, 'table' | 'copy'>,
): Promise<void> {
  if (copy?.shadow != null) await tx.dropTable({ table, shadow: copy.shadow });
}

export const liveTarget = (schema: TableSchema): WriteTarget => ({ schema, shadow: null, widened: {} });

export const freshRow = (schema: TableSchema): MirroredTable => ({
  table: schema.table,
  schema,
  schemaHash: schemaHash(schema),
  position: null,
  widened: {},
  nullablePending: [],
  copy: null,
  exists: true,
  rows: 0,
  completedAt: null,
});
