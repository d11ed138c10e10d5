import type { SqlValue } from '../sql.ts';

/**
 * What the server and its executors say to one another: tuples, since they are serialized much faster than objects are.
 * A frame to an executor holds requests in order; each is answered once, in order, by frames that hold one answer or more.
 */

export const RequestKind = { program: 0, describe: 1, cursorNext: 2, close: 3, cursorClose: 4 } as const;

/** How a program may be carried out; bits. */
export const Grant = {
  /** The stream holds the write ticket. */
  write: 1,
  /** On a connection of its own, from the first statement on. */
  own: 2,
  /** Nothing may be written, whatever it says. */
  readOnly: 4,
  /** The stream ends after it. */
  last: 8,
  /** It is a sequence: it ends at the first error. */
  sequence: 16,
  /** Rows are handed out in pieces, by `cursorNext`. */
  cursor: 32,
} as const;

/** `[kind, step]` or `[kind, conditions]`. */
export type WireCondition =
  | readonly [typeof Condition.ok | typeof Condition.error, number]
  | readonly [typeof Condition.not, WireCondition]
  | readonly [typeof Condition.and | typeof Condition.or, readonly WireCondition[]]
  | readonly [typeof Condition.isAutocommit];

export const Condition = { ok: 0, error: 1, not: 2, and: 3, or: 4, isAutocommit: 5 } as const;

export type WireStep = readonly [
  sql: string,
  positional: readonly SqlValue[],
  named: readonly (readonly [string, SqlValue])[] | null,
  wantRows: boolean,
  condition: WireCondition | null,
];

/** What `last_insert_rowid()`, `changes()` and `total_changes()` say in a stream. */
export type WireMemory = readonly [rowid: bigint, changes: bigint, total: bigint];

export type WireProgram = readonly [
  kind: typeof RequestKind.program,
  id: number,
  stream: number,
  grants: number,
  steps: readonly WireStep[],
  memory: WireMemory,
  /** The outcomes of the first steps, when they were carried out before. */
  before: readonly WireOutcome[],
];

export type WireDescribe = readonly [kind: typeof RequestKind.describe, id: number, stream: number, sql: string];

/** Asks for about `bytes` more of the rows of the stream's cursor. */
export type WireCursorNext = readonly [kind: typeof RequestKind.cursorNext, id: number, stream: number, bytes: number];

/** Ends a stream: what it has open is rolled back. With `keep`, only its transaction and cursor are ended. */
export type WireClose = readonly [kind: typeof RequestKind.close, id: number, stream: number, keep: boolean];

export type WireCursorClose = readonly [kind: typeof RequestKind.cursorClose, id: number, stream: number];

export type WireRequest = WireProgram | WireDescribe | WireCursorNext | WireClose | WireCursorClose;

/** Names and declared types side by side. */
export type WireColumns = readonly [names: readonly string[], types: readonly (string | null)[]];

export const Outcome = { result: 0, error: 1, skipped: 2 } as const;

export type WireResult = readonly [
  kind: typeof Outcome.result,
  columns: WireColumns,
  rows: readonly (readonly SqlValue[])[],
  affectedRows: bigint,
  lastInsertRowid: bigint | null,
  rowsRead: number,
  rowsWritten: number,
  durationMs: number,
];

export type WireError = readonly [kind: typeof Outcome.error, code: string, message: string];

export type WireOutcome = WireResult | WireError | readonly [kind: typeof Outcome.skipped];

/**
 * Where a stream's connection stands after a request; bits. None: it has no connection of its own. `STATE_UNCHANGED`: it
 * is where it was.
 */
export const State = { own: 1, transaction: 2, dirty: 4 } as const;

export const STATE_UNCHANGED = -1;

export const AnswerKind = {
  /** A program was carried out to its end. */
  outcomes: 0,
  /** It stopped before a step that needs a write ticket or a connection of its own; the outcomes before it are said. */
  needsWrite: 1,
  needsOwn: 2,
  /** It was not begun, since another stream's transaction is open on the writer. */
  notRun: 3,
  description: 4,
  entries: 5,
  closed: 6,
} as const;

/** Parts of a cursor's answer, in order. */
export const Entry = { begin: 0, row: 1, end: 2, error: 3 } as const;
export type WireEntry =
  | readonly [typeof Entry.begin, step: number, WireColumns]
  | readonly [typeof Entry.row, readonly SqlValue[]]
  | readonly [typeof Entry.end, affectedRows: bigint, lastInsertRowid: bigint | null]
  | readonly [typeof Entry.error, step: number, code: string, message: string];

export type WireDescription = readonly [
  parameters: readonly (string | null)[],
  columns: WireColumns,
  isExplain: boolean,
  isReadonly: boolean,
];

/** Of a cursor: the entries, and whether there are more. */
export type WireEntries = readonly [entries: readonly WireEntry[], isDone: boolean];

export type WireAnswer = readonly [
  kind: (typeof AnswerKind)[keyof typeof AnswerKind],
  id: number,
  state: number,
  memory: WireMemory | null,
  body: readonly WireOutcome[] | WireDescription | WireError | WireEntries | null,
];

/** `answers` were carried out before the WAL stood at the position. */
export type AnswerFrame = readonly [salt1: number, salt2: number, frames: number, answers: readonly WireAnswer[]];

export type RequestFrame = readonly WireRequest[];
