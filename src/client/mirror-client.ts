import type { Clock } from '../core/clock.ts';
import { SpeilError } from '../core/error.ts';
import type { SourcePosition } from '../core/position.ts';
import { TableName } from '../core/table.ts';
import type { MirrorDatabase, MirroredTable, MirrorTransaction } from '../database/mirror-database.ts';
import type {
  AuthenticateAnswer,
  MirrorClientService,
  Notes,
  ReplicationCompletedRequest,
  RowDataAnswer,
  RowDataRequest,
  TablePosition,
  TableSchemaAnswer,
  TableSchemaRequest,
  WipeRequest,
} from '../task/contract.ts';
import { adaptTable, dropShadow, liveTarget } from './adapt-table.ts';
import { type Hooks, hookLabel, runHook } from './hooks.ts';
import { type WipeMode, wipeTable, writeBatches } from './write-batches.ts';

export type MirrorClientOptions = {
  readonly mirror: MirrorDatabase;
  readonly clock: Clock;
  readonly build: string;
  readonly hooks?: Hooks | undefined;
  readonly wipeMode?: WipeMode | undefined;
};

/** The five calls on a mirror database. All state is in that database. */
export function createMirrorClient(options: MirrorClientOptions): MirrorClientService {
  const { mirror, clock, hooks = {}, wipeMode = 'shadow' } = options;
  return {
    authenticate: async () => authenticate(await mirror.heldHistories(), options.build),
    tableSchema: async (request) => {
      const answer = await mirror.transaction({ relaxed: true }, (tx) => tableSchema(tx, request));
      return { ...answer, tables: await runBeforeTable(answer.tables, hooks, clock) };
    },
    wipe: async (request: WipeRequest): Promise<Notes> => {
      await mirror.transaction({ relaxed: true }, (tx) => wipeTable(tx, request, wipeMode));
      const { table } = request.schema;
      return { notes: await runHook(hookLabel('onWipe', table), () => hooks.onWipe?.(table), clock) };
    },
    rowData: async (request: RowDataRequest): Promise<RowDataAnswer> => ({
      tables: await writeBatches(mirror, request.batches),
    }),
    replicationCompleted: async (request: ReplicationCompletedRequest): Promise<Notes> => {
      const at = new Date(clock.now()).toISOString();
      await mirror.transaction({ relaxed: false }, async (tx) => {
        await setPendingNotNulls(tx);
        await tx.markCompleted(at);
      });
      return {
        notes: await runHook(
          'onReplicationCompleted',
          () => hooks.onReplicationCompleted?.(request.changedTables),
          clock,
        ),
      };
    },
  };
}

const authenticate = (held: readonly SourcePosition[], build: string): AuthenticateAnswer => ({
  supportedInterface: 1,
  build,
  clientState: '',
  doNotReplicate: null,
  held,
  callBytesMax: null,
});

async function tableSchema(tx: MirrorTransaction, request: TableSchemaRequest): Promise<TableSchemaAnswer> {
  await tx.ensureMetadata();
  const held = new Map((await tx.readMetadata()).map((row) => [TableName.toText(row.table), row]));
  const tables: TablePosition[] = [];
  for (const schema of request.tables)
    tables.push(await adaptTable(tx, schema, held.get(TableName.toText(schema.table))));
  const stay = new Set([...request.tables.map(({ table }) => table), ...request.leaveAlone].map(TableName.toText));
  const gone = [...held.values()].filter((row) => !stay.has(TableName.toText(row.table)));
  for (const row of gone) await dropMirrored(tx, row);
  return { tables, dropped: gone.map((row) => row.table) };
}

/** A view of the owner on a table that is gone keeps the table, not the cycle. */
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

async function runBeforeTable(
  tables: readonly TablePosition[],
  hooks: Hooks,
  clock: Clock,
): Promise<readonly TablePosition[]> {
  const { onBeforeTable } = hooks;
  if (onBeforeTable === undefined) return tables;
  const told: TablePosition[] = [];
  for (const table of tables) {
    const label = hookLabel('onBeforeTable', table.table);
    const notes = await runHook(label, () => onBeforeTable(table.table, table.schemaChange), clock);
    told.push({ ...table, notes: [...table.notes, ...notes] });
  }
  return told;
}

/** The rows are at the new state now; a column that held nulls before may be NOT NULL at last. */
async function setPendingNotNulls(tx: MirrorTransaction): Promise<void> {
  for (const row of await tx.readPendingMetadata()) {
    if (row.position === null) continue;
    const left: string[] = [];
    for (const name of row.nullablePending) {
      const column = row.schema.columns.find((candidate) => candidate.name === name);
      if (column === undefined || column.nullable) continue;
      const target = { ...liveTarget(row.schema), widened: row.widened };
      await tx
        .savepoint(() => tx.alter(target, { kind: 'set-not-null', column }))
        .catch((error: unknown) => {
          if (error instanceof SpeilError && error.code === 'CONNECTION_LOST') throw error;
          left.push(name);
        });
    }
    await tx.saveMetadata({ ...row, nullablePending: left });
  }
}
