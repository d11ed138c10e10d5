import type { Center, CenterOptions } from './center.ts';
import type { CallServer } from './client/http/serve.ts';
import type { ClientInfo } from './client-info.ts';
import type { ConnectClientOptions, ServeClientOptions } from './client-service.ts';
import type { ValidateClientOptions, Validation } from './client-validate.ts';
import type { ServerOptions, SpeilServer } from './server.ts';

export type { Center, CenterLogging, CenterOptions } from './center.ts';
export type { Admission, HookContext, Hooks, NoticeKind } from './client/hooks.ts';
export type { CallServer } from './client/http/serve.ts';
export type { MirrorPlan, PlannedTable } from './client/plan.ts';
export type { WipeMode } from './client/write-batches.ts';
export type { ClientInfo, TenantInfo } from './client-info.ts';
export type {
  ClientServiceEvent,
  ClientServiceOptions,
  ConnectClientOptions,
  ServeClientOptions,
} from './client-service.ts';
export type { Check, ValidateClientOptions, Validation } from './client-validate.ts';
export { type ErrorCode, type ErrorReport, type Recovery, SpeilError } from './core/error.ts';
export type { TableName } from './core/table.ts';
export {
  type MirrorOptions,
  type MirrorStatus,
  mirror,
  plan,
  resync,
  status,
  type TableStatus,
  untrack,
} from './mirror.ts';
export type {
  LocalDatabase,
  LocalDatabaseOptions,
  SqlArgument,
  SqlArguments,
  SqlExecutor,
  SqlInput,
  SqlResult,
  SqlRow,
  TransactionMode,
} from './server/databases/local-database.ts';
export type { SqlValue } from './server/sql.ts';
export { SqlError } from './server/sql-error.ts';
export type { ServerOptions, SpeilServer } from './server.ts';
export type { SchemaChange, TableSummary } from './task/contract.ts';
export type { CycleReport, TableOutlook, TableReport, TaskEvent } from './task/report.ts';
export { type TableVerdict, type VerifyOptions, type VerifyProgress, type VerifyReport, verify } from './verify.ts';

/** `startCenter` of the operation center, which is loaded when it is first called. */
export const startCenter = async (options: CenterOptions): Promise<Center> =>
  (await import('./center.ts')).startCenter(options);

// The mirror client, loaded when it is first called.

/** Listens for the calls of mirroring tasks, and writes the mirrors of all tenants, until it is disposed. */
export const serveClient = async (options: ServeClientOptions): Promise<CallServer> =>
  (await import('./client-service.ts')).serveClient(options);

/** Dials out to a center and serves the calls that come through that connection, until the signal is aborted. */
export const connectClient = async (options: ConnectClientOptions): Promise<void> =>
  (await import('./client-service.ts')).connectClient(options);

/** Looks at everything that a mirror client needs, and changes nothing. */
export const validateClient = async (options: ValidateClientOptions): Promise<Validation> =>
  (await import('./client-validate.ts')).validateClient(options);

/** The tenants of a mirror client and how far each has come, read from the mirrors alone. */
export const clientInfo = async (
  template: string,
  options: { tenant?: string | undefined } = {},
): Promise<ClientInfo> => (await import('./client-info.ts')).clientInfo(template, options);

/** A SQLite server in this process, until it is disposed: loaded when it is first called. */
export const startServer = async (options: ServerOptions): Promise<SpeilServer> =>
  (await import('./server.ts')).startServer(options);
