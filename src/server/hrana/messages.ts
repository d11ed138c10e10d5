import type {
  BatchStep,
  CursorEntry,
  SqlValue,
  StatementDescription,
  StatementError,
  StatementResult,
  StepCondition,
  StepOutcome,
} from '../sql.ts';

/**
 * The messages of Hrana 2 and 3, whatever they are encoded in. Version 2 is version 3 without cursors, `get_autocommit`
 * and `is_autocommit`; what a client of version 2 does not know it does not send.
 */

/** SQL written out, or the id under which it was stored. */
export type SqlText = string | number;

export type StatementMessage = {
  readonly text: SqlText;
  readonly positional: readonly SqlValue[];
  readonly named: ReadonlyMap<string, SqlValue>;
  readonly wantRows: boolean;
};

export type StepMessage = { readonly statement: StatementMessage; readonly condition: StepCondition | null };

/** What needs the stream itself. */
export type SqlRequest =
  | { readonly kind: 'execute'; readonly statement: StatementMessage }
  | { readonly kind: 'batch'; readonly steps: readonly StepMessage[] }
  | { readonly kind: 'sequence'; readonly text: SqlText }
  | { readonly kind: 'describe'; readonly text: SqlText }
  | { readonly kind: 'get_autocommit' };

export type TextRequest =
  | { readonly kind: 'store_sql'; readonly sqlId: number; readonly sql: string }
  | { readonly kind: 'close_sql'; readonly sqlId: number };

/** A request of a pipeline. */
export type StreamRequest = SqlRequest | TextRequest | { readonly kind: 'close' };

/** A request over WebSocket. Ids are the client's own choice: 32 bits, signed. */
export type ConnectionRequest =
  | { readonly kind: 'open_stream'; readonly streamId: number }
  | { readonly kind: 'close_stream'; readonly streamId: number }
  | { readonly kind: 'sql'; readonly streamId: number; readonly request: SqlRequest }
  | {
      readonly kind: 'open_cursor';
      readonly streamId: number;
      readonly cursorId: number;
      readonly steps: readonly StepMessage[];
    }
  | { readonly kind: 'fetch_cursor'; readonly cursorId: number; readonly countMax: number }
  | { readonly kind: 'close_cursor'; readonly cursorId: number }
  | TextRequest;

export type Pipeline = { readonly baton: string | null; readonly requests: readonly StreamRequest[] };

export type CursorCall = { readonly baton: string | null; readonly steps: readonly StepMessage[] };

export type ClientMessage =
  | { readonly kind: 'hello'; readonly jwt: string | null }
  | { readonly kind: 'request'; readonly requestId: number; readonly request: ConnectionRequest };

/** Answers that say no more than that it was done. */
export type PlainKind =
  | 'close'
  | 'sequence'
  | 'store_sql'
  | 'close_sql'
  | 'open_stream'
  | 'close_stream'
  | 'open_cursor'
  | 'close_cursor';

/** What a request is answered. `error`: it could not be done; the stream goes on. */
export type Answer =
  | { readonly kind: PlainKind }
  | { readonly kind: 'execute'; readonly result: StatementResult }
  | { readonly kind: 'batch'; readonly outcomes: readonly StepOutcome[] }
  | { readonly kind: 'describe'; readonly description: StatementDescription }
  | { readonly kind: 'get_autocommit'; readonly isAutocommit: boolean }
  | { readonly kind: 'fetch_cursor'; readonly entries: readonly CursorEntry[]; readonly isDone: boolean }
  | { readonly kind: 'error'; readonly error: StatementError };

export type ServerMessage =
  | { readonly kind: 'hello_ok' }
  | { readonly kind: 'hello_error'; readonly error: StatementError }
  | { readonly kind: 'answer'; readonly requestId: number; readonly answer: Answer };

/** As it goes onto the wire. */
export type Encoded = string | Uint8Array;

/**
 * One of the two encodings. The readers throw `PROTOCOL_BROKEN` for anything that is not the message, and refuse what is
 * beyond `limits.ts`; unknown fields are ignored.
 */
export interface Codec {
  readonly contentType: string;
  /** Over WebSocket: binary frames or text frames. */
  readonly isBinary: boolean;
  readPipeline(body: Buffer): Pipeline;
  readCursorCall(body: Buffer): CursorCall;
  readClientMessage(message: Buffer): ClientMessage;
  writePipeline(baton: string | null, answers: readonly Answer[]): Encoded;
  /** What comes before the entries of a cursor, and each of them: with a mark of where it ends. */
  writeCursorHead(baton: string | null): Encoded;
  writeCursorEntry(entry: CursorEntry): Encoded;
  writeServerMessage(message: ServerMessage): Encoded;
}

export type { BatchStep, CursorEntry };
