import type { ErrorReport } from '../core/error.ts';
import type { Lsn } from '../core/lsn.ts';
import type { SourcePosition } from '../core/position.ts';
import type { RowBytes, RowCounts } from '../core/row-batch.ts';
import type { TableName, TableSchema } from '../core/table.ts';

/**
 * The five calls through which a task reaches a mirror, wherever it is. Calls carry plain data only, need no memory of
 * earlier ones beside the mirror database, and are safe to repeat. They throw a `SpeilError` when nothing was done; what
 * concerns a single table is answered as that table's `error`.
 */
export interface MirrorClientService {
  authenticate(request: AuthenticateRequest): Promise<AuthenticateAnswer>;
  /** Makes the mirror's tables fit and answers how far each has come. Drops tables that are gone from `tables`. */
  tableSchema(request: TableSchemaRequest): Promise<TableSchemaAnswer>;
  /** Starts a copy of the table from nothing. Readers keep what they have until the copy is complete (see docs). */
  wipe(request: WipeRequest): Promise<Notes>;
  /** Stores the batches in order, rows and positions together, in one transaction for all tables that succeed. */
  rowData(request: RowDataRequest): Promise<RowDataAnswer>;
  /**
   * What can be done of a `rowData` call before it is made. The task asks for it while earlier calls are on their way, and
   * then makes the call with this very request, or does not make it. Nothing of the mirror is touched.
   */
  prepareRowData?(request: RowDataRequest): Promise<void>;
  /** The cycle is complete: every table that had no error equals one snapshot of the source. Not called otherwise. */
  replicationCompleted(request: ReplicationCompletedRequest): Promise<Notes>;
}

/** What a person should know of a call: a hook that threw or was slow. */
export type Notes = { readonly notes: readonly string[] };

export type AuthenticateRequest = { readonly tenant: string; readonly clientState: string };

export type AuthenticateAnswer = {
  /** Version of this contract that the client speaks; 1. */
  readonly supportedInterface: number;
  readonly build: string;
  /** Opaque to the task; handed back with every later call of the cycle. */
  readonly clientState: string;
  /** The mirror's side asks that this cycle be skipped, and says why. */
  readonly doNotReplicate: { readonly reason: string } | null;
  /** Positions that the mirror's tables hold, one for each lineage and bookmark among them: what the source judges first. */
  readonly held: readonly SourcePosition[];
  /** The largest call that the client takes, in bytes of body; null for no bound. */
  readonly callBytesMax: number | null;
  /** What a person should know: a hook that was slow. */
  readonly notes?: readonly string[];
  /** The client drops every table whose schema is not sent, so it has to be sent those of `leaveAlone` as well. */
  readonly needsEverySchema?: boolean;
};

export type TableSchemaRequest = {
  readonly clientState: string;
  /** Every table that is to be mirrored. */
  readonly tables: readonly TableSchema[];
  /** Tables that this cycle leaves alone though they are not in `tables`: their mirror copies stay. */
  readonly leaveAlone: readonly TableName[];
  /** For a client that needs every schema: those of `leaveAlone` that the source could read. */
  readonly leaveAloneSchemas?: readonly TableSchema[];
};

/** What happened to the mirror's table when it was made to fit. */
export type SchemaChange = 'none' | 'created' | 'altered' | 'recreated';

export type TableSchemaAnswer = {
  readonly tables: readonly TablePosition[];
  readonly dropped: readonly TableName[];
};

export type TablePosition = {
  readonly table: TableName;
  readonly schemaChange: SchemaChange;
  /** How far the table has come; null: it holds nothing that counts, copy it. */
  readonly position: SourcePosition | null;
  /** A copy that was begun and not completed: where it started and how far it got. It is resumed or wiped. */
  readonly copy: StandingCopy | null;
  /** The table could not be made to fit; it is left out of this cycle. */
  readonly error: ErrorReport | null;
  /** What a person should know: a table rebuilt and why, a column widened, a default left out. */
  readonly notes: readonly string[];
};

export type StandingCopy = {
  readonly start: SourcePosition;
  readonly progress: string | null;
  readonly rows: number;
  /** All rows are there; only the changes since `start` are missing. */
  readonly filled: boolean;
};

export type WipeRequest = {
  readonly clientState: string;
  /** The schema that the rows of the copy will have. */
  readonly schema: TableSchema;
  /** The position from which the copy's table will have to catch up. Stored with the copy. */
  readonly start: SourcePosition;
};

/** One batch: rows of one table. A call may carry several, of several tables. */
export type RowBatch = RowBytes & {
  readonly table: TableName;
  /** `schemaHash` of the schema that the rows were read with; a client that holds another refuses the batch. */
  readonly schemaHash: string;
  readonly phase: BatchPhase;
};

export type BatchPhase =
  /** Rows of a first copy. `done` ends it; the copy then waits for its changes. */
  | { readonly kind: 'copy'; readonly progress: string; readonly done: boolean }
  /** Net changes. Only the last batch of a table has a position, and only then does the mirror's position move. */
  | { readonly kind: 'changes'; readonly truncateFirst: boolean; readonly position: SourcePosition | null };

export type RowDataRequest = { readonly clientState: string; readonly batches: readonly RowBatch[] };

export type RowDataAnswer = { readonly tables: readonly RowDataResult[] };

/** What became of one table's batches of a call. With an error none of them was stored. */
export type RowDataResult = {
  readonly table: TableName;
  readonly counts: RowCounts;
  /** The LSN that the table holds now, once it holds one. */
  readonly lsn: Lsn | null;
  readonly error: ErrorReport | null;
  readonly notes: readonly string[];
};

export type TableSummary = RowCounts & { readonly table: TableName };

export type ReplicationCompletedRequest = {
  readonly clientState: string;
  /** Tables in which something changed; may be empty. */
  readonly changedTables: readonly TableSummary[];
};
