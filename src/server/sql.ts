/**
 * What a client asks of a database and what it is answered, whatever protocol it speaks. `hrana/` turns its messages into
 * these; `streams.ts` carries them out.
 */

/** Integers are `bigint` both ways, so that none loses its last digits. */
export type SqlValue = null | bigint | number | string | Uint8Array;

export type SqlStatement = {
  readonly sql: string;
  readonly positional: readonly SqlValue[];
  /** Names with or without their prefix (`:`, `@`, `$`). */
  readonly named: ReadonlyMap<string, SqlValue>;
  /** False: rows are counted but not answered. */
  readonly wantRows: boolean;
};

/** When a step of a batch is carried out, in terms of the steps before it (by index). */
export type StepCondition =
  | { readonly kind: 'ok'; readonly step: number }
  | { readonly kind: 'error'; readonly step: number }
  | { readonly kind: 'not'; readonly condition: StepCondition }
  | { readonly kind: 'and'; readonly conditions: readonly StepCondition[] }
  | { readonly kind: 'or'; readonly conditions: readonly StepCondition[] }
  /** The stream is in no transaction. */
  | { readonly kind: 'is-autocommit' };

export type BatchStep = { readonly statement: SqlStatement; readonly condition: StepCondition | null };

export type ResultColumn = { readonly name: string; readonly declaredType: string | null };

export type StatementResult = {
  readonly columns: readonly ResultColumn[];
  readonly rows: readonly (readonly SqlValue[])[];
  readonly affectedRows: bigint;
  readonly lastInsertRowid: bigint | null;
  readonly rowsRead: number;
  readonly rowsWritten: number;
  readonly durationMs: number;
};

/** An error as SQLite's clients expect it: `SQLITE_CONSTRAINT_UNIQUE` and the like, or a code of the server's own. */
export type StatementError = { readonly code: string; readonly message: string };

export type StepOutcome =
  | { readonly kind: 'result'; readonly result: StatementResult }
  | { readonly kind: 'error'; readonly error: StatementError }
  | { readonly kind: 'skipped' };

export type StatementDescription = {
  /** Names with their prefix; null for `?`. In order of their numbers. */
  readonly parameters: readonly (string | null)[];
  readonly columns: readonly ResultColumn[];
  readonly isExplain: boolean;
  readonly isReadonly: boolean;
};

/** A piece of an answer that is too large to be held: what a cursor hands out, in order. */
export type CursorEntry =
  | { readonly kind: 'step-begin'; readonly step: number; readonly columns: readonly ResultColumn[] }
  | { readonly kind: 'row'; readonly row: readonly SqlValue[] }
  | { readonly kind: 'step-end'; readonly affectedRows: bigint; readonly lastInsertRowid: bigint | null }
  | { readonly kind: 'step-error'; readonly step: number; readonly error: StatementError }
  /** Ends the cursor: the batch as a whole could not go on. */
  | { readonly kind: 'error'; readonly error: StatementError };

/**
 * A client's own place in a database: transactions, temporary tables and `last_insert_rowid()` are its own. One request at
 * a time; a second one waits for the first. An error of a statement is an outcome, also that it was not begun since others
 * wrote for too long (`SQLITE_BUSY`) or that the transaction was left alone and rolled back (`TRANSACTION_TIMEOUT`).
 *
 * The promises reject when the stream is of no use any more (`STREAM_EXPIRED`), when the server cannot serve
 * (`DATABASE_STOPPED`, `DISK_FULL`, `TOO_MANY_STREAMS`), when the program ran for too long and nothing of it is left
 * (`STATEMENT_CANCELLED`) or something may be (`OUTCOME_UNKNOWN`), and with the signal's reason when it was aborted: the
 * program is then cancelled, its transaction rolled back, what it had committed before is committed.
 *
 * Nothing is answered before all that it saw is hardened.
 */
export interface SqlStream extends AsyncDisposable {
  /**
   * One step or many. `last` says that the stream is closed right after, so that nothing needs to be kept for it.
   */
  batch(steps: readonly BatchStep[], options?: SqlRequestOptions): Promise<readonly StepOutcome[]>;
  /** Any number of statements in one text; null when all went well. */
  sequence(sql: string, options?: SqlRequestOptions): Promise<StatementError | null>;
  /** What a statement would take and give; it is not carried out. */
  describe(sql: string, options?: SqlRequestOptions): Promise<StatementDescription | StatementError>;
  /** A batch whose rows are pulled: nothing is read ahead of the reader but a bounded piece. */
  cursor(steps: readonly BatchStep[], options?: SqlRequestOptions): AsyncIterable<CursorEntry>;
  /** True when the stream is in no transaction. */
  readonly isAutocommit: boolean;
}

export type SqlRequestOptions = {
  readonly signal?: AbortSignal | undefined;
  readonly last?: boolean | undefined;
};

/** What a token allows in a database. */
export type Access = 'read' | 'write';

/** A database that streams can be opened on. */
export interface SqlDatabase {
  readonly name: string;
  /** Throws `TOO_MANY_STREAMS` past a bound. A `read` stream is refused every write. */
  openStream(access: Access): SqlStream;
}
