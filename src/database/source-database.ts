import type { ErrorReport } from '../core/error.ts';
import type { Lsn } from '../core/lsn.ts';
import type { SourcePosition, Verdict } from '../core/position.ts';
import type { ChangeChunk, CopyChunk } from '../core/row-batch.ts';
import type { TableName, TableSchema } from '../core/table.ts';

/**
 * A database that a task reads. It holds change tracking and never progress. One object is used by one task at a time;
 * every method may throw a `SpeilError`.
 */
export interface SourceDatabase extends AsyncDisposable {
  readonly display: string;
  /** The same for two connections to the same database, under whatever address. */
  readonly instance: string;
  /** What is there and what would have to be done, without changing anything. */
  survey(selection: TableSelection, signal: AbortSignal): Promise<SourceSurvey>;
  /** The tables that can be mirrored, cheaply. */
  listTables(selection: TableSelection, signal: AbortSignal): Promise<readonly TableName[]>;
  /**
   * Makes sure that changes of these tables are tracked from now on, and reads the schema that tracking relies on. A
   * table that cannot be tracked now (lock, privilege) is answered with its error and hinders no other.
   */
  enableTracking(tables: readonly TableName[], signal: AbortSignal): Promise<TrackingReport>;
  /** Judges positions that a mirror holds; pure look-ups. `table` null: only lineage and bookmark are judged. */
  judge(held: readonly HeldPosition[], signal: AbortSignal): Promise<readonly Verdict[]>;
  /** Leaves a new random id in the source, committed when this resolves, which later positions include. */
  leaveBookmark(): Promise<void>;
  /** The position to catch up from for a copy that begins now. */
  copyStart(table: TableSchema, signal: AbortSignal): Promise<SourcePosition>;
  /**
   * All rows of the table in chunks of about `chunkBytes`, from where `progress` left off (null: from the start), each
   * read in a short snapshot of its own. Rows that are written meanwhile may come once, twice or not at all: the change
   * tracking since `copyStart` has them. Throws `SCHEMA_CHANGED` when the table was altered or rewritten since.
   */
  copy(table: TableSchema, options: CopyOptions): AsyncIterable<CopyChunk>;
  /**
   * One snapshot of all tables given and the changes of each since its position. The tables are protected from
   * TRUNCATE and ALTER until it is disposed; those that cannot be are answered in `refused`.
   */
  openSnapshot(tables: readonly CatchUpTable[], signal: AbortSignal): Promise<SourceSnapshot>;
  /**
   * True when nothing at all can have changed since the snapshot that `lastSnapshot` describes: one cheap query.
   * False when in doubt.
   */
  isUnchangedSince(lastSnapshot: string, signal: AbortSignal): Promise<boolean>;
  /** Deletes changes and bookmarks older than the retention. Cheap when there is nothing to do. */
  prune(signal: AbortSignal): Promise<void>;
  /** Removes everything that Speil put into this database; answers what it removed, for people. */
  untrack(signal: AbortSignal): Promise<readonly string[]>;
}

export type TableSelection = {
  /** Schemas to mirror; null: all that are not the system's or Speil's. SQLite has only one and ignores it. */
  readonly schemas: readonly string[] | null;
};

export type SourceSurvey = {
  readonly tables: readonly SurveyedTable[];
  /** What is there and is not mirrored, with the reason: views, temporary and foreign tables, virtual tables. */
  readonly excluded: readonly { readonly table: TableName; readonly reason: string }[];
  /** Privileges that are missing for the whole database, with the statement to type. */
  readonly missing: readonly MissingPrivilege[];
  readonly notes: readonly string[];
};

export type MissingPrivilege = { readonly what: string; readonly grant: string; readonly required: boolean };

export type SurveyedTable = {
  readonly schema: TableSchema;
  readonly estimatedRows: number;
  readonly estimatedBytes: number;
  readonly tracked: boolean;
  /** Another session holds it exclusively: the defaults of its columns could not be read. */
  readonly locked?: boolean;
  /** SQL that `enableTracking` would run for this table. */
  readonly trackingDdl: readonly string[];
  readonly missing: readonly MissingPrivilege[];
  readonly notes: readonly string[];
};

export type TrackingReport = {
  readonly tables: readonly TrackedTable[];
  readonly refused: readonly { readonly table: TableName; readonly error: ErrorReport }[];
  readonly notes: readonly string[];
};

export type TrackedTable = {
  readonly schema: TableSchema;
  readonly estimatedRows: number;
  readonly estimatedBytes: number;
  /** Tracking was switched on just now: what was written before is not known. */
  readonly newlyTracked: boolean;
};

export type HeldPosition = { readonly table: TableName | null; readonly position: SourcePosition };

export type CopyOptions = {
  readonly progress: string | null;
  readonly chunkBytes: number;
  readonly signal: AbortSignal;
};

export type CatchUpTable = { readonly schema: TableSchema; readonly since: SourcePosition };

export interface SourceSnapshot extends AsyncDisposable {
  /** The position of every table once its changes are applied. */
  position(table: TableSchema): SourcePosition;
  /** For `isUnchangedSince`. */
  readonly description: string;
  /** Positions below this are moved on even when nothing changed, lest they outlive what change tracking keeps. */
  readonly agingBefore: Lsn;
  /** Those of the tables given that have changes; the others are up to date with this snapshot as they are. */
  readonly changed: readonly CatchUpTable[];
  readonly refused: readonly { readonly table: TableName; readonly error: ErrorReport }[];
  /** Net changes of a table with a key, oldest first, in chunks of about `chunkBytes`. */
  changes(table: CatchUpTable, chunkBytes: number): AsyncIterable<ChangeChunk>;
  /** All rows of a table, out of this snapshot: for tables without a key. */
  rows(table: TableSchema, chunkBytes: number): AsyncIterable<CopyChunk>;
}
