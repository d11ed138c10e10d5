import { type ErrorCode, type Recovery, SpeilError } from '../../core/error.ts';

type Translation = {
  readonly code: ErrorCode;
  readonly what: string;
  readonly hint: string;
  readonly recovery: Recovery;
};

const translation = (code: ErrorCode, recovery: Recovery, what: string, hint: string): Translation => ({
  code,
  recovery,
  what,
  hint,
});

const FULL = translation('DISK_FULL', 'retry', 'cannot grow: the disk is full', 'Free some space; nothing is lost.');
const KEY = translation(
  'KEY_VIOLATED',
  'operator',
  'refused a row because a unique index already has its key',
  'Drop the unique index that was added to the mirror, or make it not unique.',
);

/** SQLite's extended result codes that mean more than their primary code. */
const EXTENDED: ReadonlyMap<number, Translation> = new Map([
  [778, FULL],
  [4874, FULL],
  [1555, KEY],
  [2067, KEY],
  [2579, KEY],
]);

const PRIMARY: ReadonlyMap<number, Translation> = new Map([
  [3, translation('PRIVILEGE_MISSING', 'operator', 'may not be accessed', 'Give this user access to the file.')],
  [5, translation('LOCK_TIMEOUT', 'retry', 'is locked by another program', 'End the transaction that is open there.')],
  [6, translation('LOCK_TIMEOUT', 'retry', 'is locked by another program', 'End the transaction that is open there.')],
  [8, translation('READ_ONLY', 'operator', 'is read-only', 'Make the file and its folder writable for this user.')],
  [10, translation('UNREACHABLE', 'retry', 'cannot be read or written', 'Check the disk that holds the file.')],
  [11, translation('NOT_A_DATABASE', 'operator', 'is damaged', 'Run `PRAGMA integrity_check` and restore a backup.')],
  [13, FULL],
  [
    14,
    translation('UNREACHABLE', 'operator', 'cannot be opened', 'Make the file and its folder readable and writable.'),
  ],
  [
    17,
    translation('SCHEMA_CHANGED', 'retry', 'changed its schema meanwhile', 'Nothing to do: the next cycle continues.'),
  ],
  [
    18,
    translation(
      'VALUE_REFUSED',
      'operator',
      'refused a value that is too large',
      'Leave the table out with --skip-table.',
    ),
  ],
  [
    19,
    translation('VALUE_REFUSED', 'operator', 'refused a value', 'Drop the constraint that was added to the mirror.'),
  ],
  [
    20,
    translation('VALUE_REFUSED', 'operator', 'refused a value of another type', 'Run `speil resync` for this table.'),
  ],
  [26, translation('NOT_A_DATABASE', 'operator', 'is not a SQLite database', 'Check the path.')],
]);

/** What SQLite threw, as a failure that a person can act on. Errors that are not SQLite's come back as they are. */
export function sqliteError(error: unknown, display: string): unknown {
  const code = resultCode(error);
  if (code === null || !(error instanceof Error)) return error;
  const found = EXTENDED.get(code) ?? PRIMARY.get(code & 0xff);
  if (found === undefined) return new SpeilError('INTERNAL', `${display}: ${error.message}`, { cause: error });
  const message = `${display} ${found.what} (${error.message}).`;
  return new SpeilError(found.code, message, { hint: found.hint, recovery: found.recovery, cause: error });
}

/** SQLite's extended result code; null for an error that is not SQLite's. */
function resultCode(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error)) return null;
  return typeof error.errcode === 'number' ? error.errcode : null;
}

export const isBusy = (error: unknown): boolean => error instanceof SpeilError && error.code === 'LOCK_TIMEOUT';
