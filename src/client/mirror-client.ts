import type { Clock } from '../core/clock.ts';
import { type ErrorReport, SpeilError } from '../core/error.ts';
import { RowCounts } from '../core/row-batch.ts';
import { TableName } from '../core/table.ts';
import type { MirrorDatabase, MirroredTable, MirrorTransaction } from '../database/mirror-database.ts';
import type {
  AuthenticateAnswer,
  MirrorClientService,
  Notes,
  ReplicationCompletedRequest,
  TablePosition,
  TableSchemaAnswer,
  TableSchemaRequest,
} from '../task/contract.ts';
import { adaptTable, dropShadow, liveTarget } from './adapt-table.ts';
import { admit, Caller } from './caller.ts';
import { type HookContext, type Hooks, hookLabel, type NoticeKind } from './hooks.ts';
import { type WipeMode, wipeTable, writeBatches } from './write-batches.ts';

export type ClientOptions = {
  readonly tenant: string;
  readonly clock: Clock;
  readonly build: string;
  readonly hooks?: Hooks | undefined;
  readonly wipeMode?: WipeMode | undefined;
  /** Announced to the task; null for no bound. */
  readonly callBytesMax?: number | null | undefined;
  /** Every notable event, for a log. Must not throw. */
  readonly onEvent?: ((context: HookContext, kind: NoticeKind, message: string) => void) | undefined;
};

export type MirrorClientOptions = ClientOptions & { readonly mirror: MirrorDatabase };

/** Runs work with the mirror of the client's tenant, alone. */
export type UseMirror = <T>(clientState: string, work: (mirror: MirrorDatabase) => Promise<T>) => Promise<T>;

/** The five calls on a mirror database. All state is in that database. */
export const createMirrorClient = ({ mirror, ...options }: MirrorClientOptions): MirrorClientService =>
  createClientOn((_, work) => work(mirror), options);

/** The five calls on a mirror that is there when it is needed. */
export function createClientOn(use: UseMirror, options: ClientOptions): MirrorClientService {
  const { wipeMode = 'shadow' } = options;
  const calling = (clientState: string): Caller => new Caller(options, { tenant: options.tenant, clientState });
  return {
    authenticate: (request) => authenticate(use, options, calling(request.clientState)),
    tableSchema: (request) =>
      calling(request.clientState).told('table-schema', (caller) =>
        use(request.clientState, async (mirror) => {
          const answer = await mirror.transaction({ relaxed: true }, (tx) => tableSchema(tx, request));
          tellSchema(caller, answer);
          return { ...answer, tables: await runBeforeTable(answer.tables, caller) };
        }),
      ),
    wipe: (request) =>
      calling(request.clientState).told('wipe', (caller) =>
        use(request.clientState, async (mirror) => {
          await mirror.transaction({ relaxed: true }, (tx) => wipeTable(tx, request, wipeMode));
          const { table } = request.schema;
          caller.tell('information', `${TableName.toText(table)} is copied from nothing`);
          return { notes: await caller.run(hookLabel('onWipe', table), (hooks, told) => hooks.onWipe?.(table, told)) };
        }),
      ),
    rowData: (request) =>
      calling(request.clientState).told('row-data', (caller) =>
        use(request.clientState, async (mirror) => {
          const tables = await writeBatches(mirror, request.batches);
          tellErrors(caller, tables);
          return { tables };
        }),
      ),
    replicationCompleted: (request) =>
      calling(request.clientState).told('replication-completed', (caller) =>
        use(request.clientState, (mirror) => complete(mirror, request, caller)),
      ),
  };
}

/** The owner's word comes first: while it says "not now", the mirror is not even opened. */
async function authenticate(use: UseMirror, options: ClientOptions, caller: Caller): Promise<AuthenticateAnswer> {
  return caller.told('authenticate', async () => {
    const { doNotReplicate, clientState, notes } = await admit(caller);
    const answer = {
      supportedInterface: 1,
      build: options.build,
      clientState,
      callBytesMax: options.callBytesMax ?? null,
      ...(notes.length === 0 ? {} : { notes }),
    };
    if (doNotReplicate !== null) {
      caller.tell('warning', `no replication now: ${doNotReplicate}`);
      return { ...answer, doNotReplicate: { reason: doNotReplicate }, held: [] };
    }
    const held = await use(clientState, (mirror) => mirror.heldHistories());
    caller.tell('information', 'a cycle begins');
    return { ...answer, doNotReplicate: null, held };
  });
}

async function complete(
  mirror: MirrorDatabase,
  { changedTables }: ReplicationCompletedRequest,
  caller: Caller,
): Promise<Notes> {
  const at = new Date(caller.clock.now()).toISOString();
  await mirror.transaction({ relaxed: false }, async (tx) => {
    await setPendingNotNulls(tx);
    await tx.markCompleted(at);
  });
  const sum = changedTables.reduce(RowCounts.add, RowCounts.none);
  caller.tell(
    'information',
    `a cycle completed: tables with changes ${changedTables.length}, inserted ${sum.inserted}, updated ${sum.updated}, deleted ${sum.deleted}`,
  );
  const run = (hooks: Hooks, context: HookContext) => hooks.onReplicationCompleted?.(changedTables, context);
  return { notes: await caller.run('onReplicationCompleted', run) };
}

function tellSchema(caller: Caller, answer: TableSchemaAnswer): void {
  for (const { table, schemaChange } of answer.tables) {
    if (schemaChange !== 'none') caller.tell('information', `${TableName.toText(table)} was ${schemaChange}`);
  }
  for (const table of answer.dropped) caller.tell('warning', `${TableName.toText(table)} was dropped`);
  tellErrors(caller, answer.tables);
}

function tellErrors(
  caller: Caller,
  tables: readonly { readonly table: TableName; readonly error: ErrorReport | null }[],
): void {
  for (const { table, error } of tables) {
    if (error !== null) caller.tell('error', `${TableName.toText(table)}: ${error.message} (${error.code})`);
  }
}

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

async function runBeforeTable(tables: readonly TablePosition[], caller: Caller): Promise<readonly TablePosition[]> {
  if (caller.hooks.onBeforeTable === undefined) return tables;
  const told: TablePosition[] = [];
  for (const table of tables) {
    const label = hookLabel('onBeforeTable', table.table);
    const notes = await caller.run(label, (hooks, context) =>
      hooks.onBeforeTable?.(table.table, table.schemaChange, context),
    );
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
