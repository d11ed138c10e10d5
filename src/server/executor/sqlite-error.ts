import { Outcome, type WireError } from './protocol.ts';

/** SQLite's result codes that are a failure, by number; those of 256 and more say more of the one in their low byte. */
const NAMES: Readonly<Record<number, string>> = {
  1: 'ERROR',
  2: 'INTERNAL',
  3: 'PERM',
  4: 'ABORT',
  5: 'BUSY',
  6: 'LOCKED',
  7: 'NOMEM',
  8: 'READONLY',
  9: 'INTERRUPT',
  10: 'IOERR',
  11: 'CORRUPT',
  12: 'NOTFOUND',
  13: 'FULL',
  14: 'CANTOPEN',
  15: 'PROTOCOL',
  16: 'EMPTY',
  17: 'SCHEMA',
  18: 'TOOBIG',
  19: 'CONSTRAINT',
  20: 'MISMATCH',
  21: 'MISUSE',
  22: 'NOLFS',
  23: 'AUTH',
  24: 'FORMAT',
  25: 'RANGE',
  26: 'NOTADB',
  261: 'BUSY_RECOVERY',
  275: 'CONSTRAINT_CHECK',
  279: 'CORRUPT_INDEX',
  516: 'ABORT_ROLLBACK',
  517: 'BUSY_SNAPSHOT',
  531: 'CONSTRAINT_COMMITHOOK',
  773: 'BUSY_TIMEOUT',
  787: 'CONSTRAINT_FOREIGNKEY',
  1043: 'CONSTRAINT_FUNCTION',
  1299: 'CONSTRAINT_NOTNULL',
  1555: 'CONSTRAINT_PRIMARYKEY',
  1811: 'CONSTRAINT_TRIGGER',
  2067: 'CONSTRAINT_UNIQUE',
  2323: 'CONSTRAINT_VTAB',
  2579: 'CONSTRAINT_ROWID',
  2835: 'CONSTRAINT_PINNED',
  3091: 'CONSTRAINT_DATATYPE',
};

const nameOf = (code: number): string => `SQLITE_${NAMES[code] ?? NAMES[code & 0xff] ?? 'UNKNOWN'}`;

/** Ends a statement; what a client is answered. */
export class StatementFailure extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }

  get outcome(): WireError {
    return [Outcome.error, this.code, this.message];
  }
}

export const argumentsFailure = (why: string): StatementFailure =>
  new StatementFailure('ARGS_INVALID', `Arguments do not match SQL parameters: ${why}`);

export type Phase = 'prepare' | 'run';

type Thrown = { readonly code?: unknown; readonly errcode?: unknown; readonly message?: unknown };

/** An error of `node:sqlite` in the words of libSQL's server. What is none is thrown on: a defect of ours. */
export function failureOf(thrown: unknown, phase: Phase): StatementFailure {
  if (thrown instanceof StatementFailure) return thrown;
  const { code, errcode, message } = (thrown ?? {}) as Thrown;
  const text = String(message);
  if (typeof errcode === 'number') return sqliteFailure(errcode, text, phase);
  if (code === 'ERR_INVALID_ARG_VALUE' || code === 'ERR_INVALID_ARG_TYPE') return argumentsFailure(text);
  if (code === 'ERR_STRING_TOO_LONG') return new StatementFailure('SQLITE_TOOBIG', `SQLite error: ${text}`);
  throw thrown;
}

function sqliteFailure(errcode: number, text: string, phase: Phase): StatementFailure {
  if (phase === 'prepare' && errcode === 1) {
    return /syntax error|incomplete input|unrecognized token/.test(text)
      ? new StatementFailure('SQL_PARSE_ERROR', `SQL string could not be parsed: ${text}`)
      : new StatementFailure('SQL_INPUT_ERROR', `SQL input error: ${text}`);
  }
  return new StatementFailure(nameOf(errcode), `SQLite error: ${text}`);
}
