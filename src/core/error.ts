/** What can end a failure: waiting, copying the table again, or a person. */
export type Recovery = 'retry' | 'repopulate' | 'operator';

/** Every failure that Speil names. `docs/errors.md` says for each what it means and what to do. */
export const ERROR_CODES = [
  'USAGE',
  'UNKNOWN_SCHEME',
  'FILE_MISSING',
  'NOT_A_DATABASE',
  'UNREACHABLE',
  'AUTHENTICATION_REFUSED',
  'DATABASE_MISSING',
  'TLS_FAILED',
  'TOO_OLD',
  'CONNECTION_LOST',
  'PRIVILEGE_MISSING',
  'READ_ONLY',
  'DISK_FULL',
  'SAME_DATABASE',
  'MIRROR_BUSY',
  'OTHER_LINEAGE',
  'NOT_A_MIRROR',
  'LOCK_TIMEOUT',
  'VALUE_REFUSED',
  'KEY_VIOLATED',
  'NAME_TAKEN',
  'DEPENDENT_OBJECT',
  'SCHEMA_CHANGED',
  'TABLE_FAILED',
  'TRUST_REFUSED',
  'CONTRACT_BROKEN',
  'CALL_TOO_LARGE',
  'CLIENT_NOT_CONNECTED',
  'INSECURE_LISTEN',
  'FORBIDDEN',
  'NOT_FOUND',
  'CONFLICT',
  'CENTER_DATABASE_FAILED',
  'INTERRUPTED',
  'INTERNAL',
  'PROTOCOL_BROKEN',
  'BATON_REFUSED',
  'STREAM_CLOSED',
  'STREAM_EXPIRED',
  'TOO_MANY_STREAMS',
  'TOO_MANY_TEXTS',
  'REQUEST_TOO_LARGE',
  'ANSWER_TOO_LARGE',
  'SERVER_BUSY',
  'DATABASE_STOPPED',
  'PAYLOAD_REFUSED',
  'COMMITS_MISSED',
  'WAL_UNREADABLE',
  'FILE_CHANGED',
  'DATABASE_DAMAGED',
  'JOURNAL_FAILED',
  'JOURNAL_DAMAGED',
  'JOURNAL_GAP',
  'OUTCOME_UNKNOWN',
  'STATEMENT_CANCELLED',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

type SpeilErrorOptions = {
  readonly hint?: string | undefined;
  readonly recovery?: Recovery | undefined;
  readonly cause?: unknown;
};

/**
 * A failure that a person can act on. `message` says what happened and why, `hint` what to type or change.
 * Neither ever contains a password.
 */
export class SpeilError extends Error {
  override readonly name = 'SpeilError';
  readonly code: ErrorCode;
  readonly hint: string | null;
  readonly recovery: Recovery;

  constructor(code: ErrorCode, message: string, options: SpeilErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint ?? null;
    this.recovery = options.recovery ?? 'operator';
  }
}

/** The failure as it stands in reports and `--json` output. */
export type ErrorReport = {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | null;
  readonly recovery: Recovery;
};

export function errorReport(error: unknown): ErrorReport {
  const known = error instanceof SpeilError ? error : asInternal(error);
  return { code: known.code, message: known.message, hint: known.hint, recovery: known.recovery };
}

function asInternal(error: unknown): SpeilError {
  const message = error instanceof Error ? error.message : String(error);
  return new SpeilError('INTERNAL', message, { cause: error });
}
