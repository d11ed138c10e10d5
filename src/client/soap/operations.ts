import type { KeyObject } from 'node:crypto';
import { type ErrorReport, errorReport, SpeilError } from '../../core/error.ts';
import { TableName } from '../../core/table.ts';
import { isTenantName } from '../../core/tenant-name.ts';
import type { MirrorTransaction } from '../../database/mirror-database.ts';
import type { MirrorClientService } from '../../task/contract.ts';
import { Caller } from '../caller.ts';
import { hookLabel } from '../hooks.ts';
import type { ClientOptions } from '../mirror-client.ts';
import type { TenantMirrors } from '../tenant-mirrors.ts';
import { createTenantClient } from '../tenants/tenant-client.ts';
import type { IncomingBatch, IncomingCall } from './incoming.ts';
import type { Operation, Requests, Responses } from './messages.ts';
import { lineageOf } from './position.ts';
import { heldTable, type WrittenTable, writeRows } from './rows-call.ts';
import { type AdaptedSchema, adaptSchema, readSchema } from './schema-call.ts';
import { signApplicationToken, type TokenIdentity } from './signed-token.ts';

export type OperationOptions = Omit<ClientOptions, 'tenant' | 'wipeMode' | 'callBytesMax'> & {
  readonly mirrors: TenantMirrors;
  /** The application's private RSA key. */
  readonly key: KeyObject;
};

/** Version of the interface that is spoken, as the contract spells it. */
const SUPPORTED_INTERFACES = '1';
/** Failures that an answer tells of; the log has all of them. */
const TOLD_FAILURES_MAX = 20;

/** Whose call it is, and where its mirror is. */
class Call {
  readonly options: OperationOptions;
  readonly identity: TokenIdentity;
  readonly caller: Caller;
  readonly lineage: string;

  constructor(options: OperationOptions, identity: TokenIdentity, clientState: string | null) {
    this.options = options;
    this.identity = identity;
    this.caller = new Caller(options, { tenant: identity.tenant, clientState: clientState ?? '' });
    this.lineage = lineageOf(identity.tenant);
  }

  /** The native client of the tenant, for what both contracts do alike. */
  get client(): MirrorClientService {
    return createTenantClient(this.identity.tenant, this.options);
  }

  /** Work in one transaction of the tenant's mirror; then, while the mirror is still ours, what follows from it. */
  change<T>(work: (tx: MirrorTransaction) => Promise<T>, then: (result: T) => Promise<void>): Promise<T> {
    const { tenant, clientState } = this.caller.context;
    return this.options.mirrors.use(tenant, clientState, async (mirror) => {
      const result = await mirror.transaction({ relaxed: true }, work);
      await then(result);
      return result;
    });
  }
}

/** Carries out a call. Never throws: every failure is an answer in the words of the contract. */
export async function carryOut(options: OperationOptions, incoming: IncomingCall): Promise<Responses[Operation]> {
  const { operation, identity, request } = incoming;
  const call = new Call(options, identity, request.clientState);
  try {
    if (!isTenantName(identity.tenant)) throw new SpeilError('USAGE', 'the token names a tenant that cannot be one');
    return await dispatch(call, incoming);
  } catch (error) {
    const { code, message } = errorReport(error);
    call.caller.tell('error', `${operation}: ${message} (${code})`);
    return failed(operation, error);
  }
}

function dispatch(call: Call, incoming: IncomingCall): Promise<Responses[Operation]> {
  switch (incoming.operation) {
    case 'Authenticate':
      return authenticate(call, incoming.request);
    case 'TableSchema':
      return tableSchema(call, incoming.request);
    case 'RowData':
      return rowData(call, incoming.batches);
    case 'Wipe':
      return wipe(call, incoming.request);
    case 'ReplicationCompleted':
      return replicationCompleted(call, incoming.request);
  }
}

const DONE = { isSuccessful: true, errorMessage: null } as const;

/** The answer of an operation that could not be carried out. */
export function failed(operation: Operation, error: unknown): Responses[Operation] {
  const outcome = { isSuccessful: false, errorMessage: wordsOf(errorReport(error)) };
  if (operation === 'TableSchema') return { ...outcome, mirrorLsn: [] };
  return operation === 'Authenticate' ? { ...outcome, ...UNPROVED } : outcome;
}

/** An answer to authenticate without a signature: the sender stops here. */
const UNPROVED = {
  signedApplicationToken: null,
  supportedInterfaces: SUPPORTED_INTERFACES,
  superOfficeMirroringBuild: null,
  clientState: null,
  additionalInformationJson: null,
};

/** What went wrong inside is for our own log. */
const wordsOf = ({ code, message, hint }: ErrorReport): string => {
  if (code === 'INTERNAL') return 'the mirror client failed; its log says how (INTERNAL)';
  return `${message}${hint === null ? '' : `${message.endsWith('.') ? '' : '.'} ${hint}`} (${code})`;
};

async function authenticate(
  { client, identity, options }: Call,
  request: Requests['Authenticate'],
): Promise<Responses['Authenticate']> {
  const { tenant, nonce } = identity;
  const answer = await client.authenticate({ tenant, clientState: request.clientState ?? '' });
  return {
    ...DONE,
    signedApplicationToken: signApplicationToken(nonce, options.clock.now(), options.key),
    supportedInterfaces: SUPPORTED_INTERFACES,
    superOfficeMirroringBuild: answer.build,
    clientState: answer.clientState,
    additionalInformationJson: answer.doNotReplicate === null ? null : JSON.stringify({ doNotReplicate: 'true' }),
  };
}

async function tableSchema(call: Call, { tables }: Requests['TableSchema']): Promise<Responses['TableSchema']> {
  const read = readSchema(tables);
  const adapted = await call.change(
    (tx) => adaptSchema(tx, read, call.lineage),
    (result) => tellAdapted(call.caller, result),
  );
  const failures = adapted.tables.flatMap(({ table, error }) => (error === null ? [] : [{ table: table.name, error }]));
  return {
    ...outcomeOf(failures),
    mirrorLsn: adapted.tables.flatMap(({ table, lsn, error }) =>
      error === null ? [{ tableName: table.name, lsn }] : [],
    ),
  };
}

async function tellAdapted(caller: Caller, { tables, dropped }: AdaptedSchema): Promise<void> {
  for (const table of dropped) caller.tell('warning', `${TableName.toText(table)} was dropped`);
  for (const { table, change, notes, error } of tables) {
    const name = TableName.toText(table);
    if (change !== 'none') caller.tell('information', `${name} was ${change}`);
    for (const note of notes) caller.tell('warning', `${name}: ${note}`);
    if (error !== null) caller.tell('error', `${name}: ${error.message} (${error.code})`);
  }
  if (caller.hooks.onBeforeTable === undefined) return;
  for (const { table, change, error } of tables) {
    if (error !== null) continue;
    await caller.run(hookLabel('onBeforeTable', table), (hooks, context) =>
      hooks.onBeforeTable?.(table, change, context),
    );
  }
}

type Failure = { readonly table: string; readonly error: ErrorReport };

function outcomeOf(failures: readonly Failure[]): {
  readonly isSuccessful: boolean;
  readonly errorMessage: string | null;
} {
  if (failures.length === 0) return DONE;
  const told = failures.slice(0, TOLD_FAILURES_MAX).map(({ table, error }) => `${table}: ${wordsOf(error)}`);
  const more = failures.length > told.length ? [`and ${failures.length - told.length} tables more`] : [];
  return { isSuccessful: false, errorMessage: [...told, ...more].join('\n') };
}

async function rowData(call: Call, batches: readonly IncomingBatch[]): Promise<Responses['RowData']> {
  const { tenant, clientState } = call.caller.context;
  const written = await call.options.mirrors.use(tenant, clientState, (mirror) =>
    writeRows(mirror, batches, call.lineage),
  );
  for (const table of written) tellWritten(call.caller, table);
  return outcomeOf(written.flatMap(({ table, error }) => (error === null ? [] : [{ table, error }])));
}

function tellWritten(caller: Caller, { table, notes, error }: WrittenTable): void {
  for (const note of notes) caller.tell('warning', `${table}: ${note}`);
  if (error !== null) caller.tell('error', `${table}: ${error.message} (${error.code})`);
}

/**
 * Empties the table where it is: its structure and the indexes of the owner stay, and rows may come right away. Until
 * the last batch of a cycle brings an LSN it has none.
 */
async function wipe(call: Call, { tableName }: Requests['Wipe']): Promise<Responses['Wipe']> {
  const table: TableName = { schema: null, name: tableName ?? '' };
  await call.change(
    async (tx) => {
      const held = await heldTable(tx, table, call.lineage);
      await tx.deleteAll({ schema: held.schema, shadow: null, widened: held.widened });
      await tx.saveMetadata({ ...held, position: null, rows: 0 });
    },
    async () => {
      call.caller.tell('information', `${table.name} was wiped`);
      await call.caller.run(hookLabel('onWipe', table), (hooks, context) => hooks.onWipe?.(table, context));
    },
  );
  return DONE;
}

async function replicationCompleted(
  { client }: Call,
  { clientState, changedTables }: Requests['ReplicationCompleted'],
): Promise<Responses['ReplicationCompleted']> {
  await client.replicationCompleted({
    clientState: clientState ?? '',
    changedTables: changedTables.map(({ tableName, inserts, updates, deletes }) => ({
      table: { schema: null, name: tableName ?? '' },
      inserted: inserts,
      updated: updates,
      deleted: deletes,
    })),
  });
  return DONE;
}
