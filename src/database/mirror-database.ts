import type { SourcePosition } from '../core/position.ts';
import type { RowBytes, RowCounts } from '../core/row-batch.ts';
import type { ColumnSchema, TableName, TableSchema } from '../core/table.ts';
import type { MissingPrivilege } from './source-database.ts';

/**
 * A database that a mirror client writes. Everything happens inside `transaction`; nothing is kept outside the database
 * but what can be read from it again.
 */
export interface MirrorDatabase extends AsyncDisposable {
  readonly display: string;
  /** The same for two connections to the same database, under whatever address. */
  readonly instance: string;
  /** False once what was opened is gone: the session was lost, the file replaced or removed. Then open it anew. */
  readonly isUsable: boolean;
  /** What the database takes on its disk, in bytes. */
  sizeBytes(): Promise<number>;
  /** Tenants that have a metadata table in this database. */
  tenants(): Promise<readonly string[]>;
  /**
   * Keeps every other task out of this tenant's mirror for as long as the answer is not disposed or the process lives.
   * Throws `MIRROR_BUSY` that says who holds it.
   */
  hold(holder: MirrorHolder): Promise<AsyncDisposable>;
  /**
   * Runs `work` in one transaction and commits; an error rolls everything back and is thrown on. With `relaxed` the commit
   * may return before it is on disk: rows and positions vanish together if the machine dies, and are sent again.
   */
  transaction<T>(options: { readonly relaxed: boolean }, work: (tx: MirrorTransaction) => Promise<T>): Promise<T>;
  /** What keeps this login from mirroring into the database; empty when nothing does. Changes nothing. */
  check(): Promise<readonly MissingPrivilege[]>;
  /** SQL that `createTable` would run, for the plan. */
  describeCreate(target: WriteTarget): readonly string[];
  /** SQL that `alter` would run, for the plan. */
  describeAlter(target: WriteTarget, step: AlterStep): readonly string[];
  /** Columns whose values take another form here, in words for the plan ("numeric becomes text"). */
  describeForms(schema: TableSchema): readonly string[];
  /** A position for each lineage and bookmark that the mirror holds, those of standing copies among them. */
  heldHistories(): Promise<readonly SourcePosition[]>;
  /** The rows of the metadata table; empty when there is none. Works on a read-only mirror. */
  readMetadata(): Promise<readonly MirroredTable[]>;
}

export type MirrorHolder = { readonly pid: number; readonly host: string; readonly since: string };

/** A row of the metadata table `<tenant>_mirroring`. */
export type MirroredTable = {
  readonly table: TableName;
  /** The schema that readers see, as the source gave it, and its hash. */
  readonly schema: TableSchema;
  readonly schemaHash: string;
  /** Null (LSN -1 in the table) for: copy it again. */
  readonly position: SourcePosition | null;
  /** Columns whose mirror type is wider than the mapping says because a value did not fit: name and type. */
  readonly widened: Readonly<Record<string, string>>;
  /** Columns that should be NOT NULL and are not yet, because rows of an older state hold nulls. */
  readonly nullablePending: readonly string[];
  /** Null also when its shadow table is gone. */
  readonly copy: PendingCopy | null;
  /** False when the table was dropped behind our back. Not stored. */
  readonly exists: boolean;
  /** Rows of the table after the last cycle, as far as counted from the operations. */
  readonly rows: number;
  /** UTC, ISO 8601; null before the first completed cycle. */
  readonly completedAt: string | null;
};

/** A copy under way: rows are collected in a shadow table that readers do not see and that takes the table's place. */
export type PendingCopy = {
  /** Name of the shadow table, in the schema of the table; null when the copy goes into the table itself. */
  readonly shadow: string | null;
  readonly schema: TableSchema;
  readonly schemaHash: string;
  readonly start: SourcePosition;
  readonly progress: string | null;
  readonly rows: number;
  /** All rows are there and the key is built; changes go to the shadow now. */
  readonly filled: boolean;
  readonly widened: Readonly<Record<string, string>>;
};

/** A step that makes a table of the mirror fit a new schema without touching its rows. */
export type AlterStep =
  | { readonly kind: 'rename-column'; readonly from: string; readonly to: string }
  | { readonly kind: 'drop-column'; readonly name: string }
  | { readonly kind: 'add-column'; readonly column: ColumnSchema; readonly fill: string | null }
  | { readonly kind: 'set-default'; readonly column: ColumnSchema }
  | { readonly kind: 'set-nullable'; readonly column: ColumnSchema }
  | { readonly kind: 'set-not-null'; readonly column: ColumnSchema };

/** Which table of the mirror is meant: the one that readers see, or the shadow of a copy. */
export type WriteTarget = {
  readonly schema: TableSchema;
  /** Null: the table itself. */
  readonly shadow: string | null;
  readonly widened: Readonly<Record<string, string>>;
};

export type WriteResult = {
  readonly counts: RowCounts;
  /** `widened` of the target afterwards; the same object when no value asked for more. */
  readonly widened: Readonly<Record<string, string>>;
};

export interface MirrorTransaction {
  /** Makes the metadata table when it is not there yet. */
  ensureMetadata(): Promise<void>;
  /** All rows, or those of the tables named. */
  readMetadata(tables?: readonly TableName[]): Promise<readonly MirroredTable[]>;
  /** The rows whose `nullablePending` is not empty. */
  readPendingMetadata(): Promise<readonly MirroredTable[]>;
  saveMetadata(row: MirroredTable): Promise<void>;
  forgetMetadata(table: TableName): Promise<void>;
  /** Notes in every row that has a position that a cycle completed at this time (UTC, ISO 8601). */
  markCompleted(at: string): Promise<void>;
  tableExists(target: { table: TableName; shadow: string | null }): Promise<boolean>;
  /**
   * Undoes what `work` did when it throws, and throws on; the transaction stays usable. Needed because a failing table
   * must not take the other tables of a call with it.
   */
  savepoint<T>(work: () => Promise<T>): Promise<T>;
  createTable(target: WriteTarget, withKey: boolean): Promise<void>;
  dropTable(target: { table: TableName; shadow: string | null }): Promise<void>;
  /** Throws `SpeilError` with `DEPENDENT_OBJECT` when something of the mirror's owner stands in the way. */
  alter(target: WriteTarget, step: AlterStep): Promise<void>;
  deleteAll(target: WriteTarget): Promise<number>;
  /**
   * Adds rows of a copy. A shadow has no key yet, and rows that come twice are removed by `buildKey`; in the table
   * itself a row with the same key is replaced.
   */
  load(target: WriteTarget, rows: RowBytes): Promise<WriteResult>;
  /** Removes duplicates by key (whichever is kept, its changes follow), and builds the key and the owner's indexes. */
  buildKey(target: WriteTarget): Promise<{ readonly duplicates: number }>;
  /** Applies net changes as a set. Idempotent. */
  apply(target: WriteTarget, rows: RowBytes): Promise<WriteResult>;
  /** The shadow takes the table's place; indexes, views and grants of the owner are kept where their columns exist. */
  swap(target: WriteTarget): Promise<{ readonly notes: readonly string[] }>;
  countRows(target: WriteTarget): Promise<number>;
}
