import { existsSync, rmSync, statSync } from 'node:fs';
import { backup, DatabaseSync } from 'node:sqlite';
import { SpeilError } from '../../core/error.ts';

/** Pages copied between two looks at the signal and the progress. */
const PAGES_AT_ONCE = 1_000;

/** How long a program that writes into the file may keep it locked. */
const BUSY_TIMEOUT_MS = 5_000;

export type CopyOptions = {
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
};

/**
 * Copies a SQLite file as it stands at one moment, also while others write into it, and with what its WAL or its hot journal
 * holds: a plain copy of the file would lose that. Throws `FILE_MISSING`, `NOT_A_DATABASE`, `LOCK_TIMEOUT` and `DISK_FULL`; then
 * there is no copy.
 */
export async function copySqliteFile(
  from: string,
  to: string,
  { onProgress, signal }: CopyOptions = {},
): Promise<void> {
  if (!existsSync(from)) throw new SpeilError('FILE_MISSING', `${from} is not there.`, { hint: 'Check the path.' });
  try {
    using source = new DatabaseSync(from, { timeout: BUSY_TIMEOUT_MS });
    const bytes = statSync(from).size;
    await backup(source, to, {
      rate: PAGES_AT_ONCE,
      progress: ({ totalPages, remainingPages }) => {
        signal?.throwIfAborted();
        onProgress?.(Math.round((bytes * (totalPages - remainingPages)) / totalPages), bytes);
      },
    });
    if (statSync(to).size === 0) throw notADatabase(from, null);
  } catch (error) {
    rmSync(to, { force: true });
    throw copyError(error, from);
  }
}

const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;
/** What a backup says of a file that stays locked, "not an error". */
const SQLITE_OK = 0;

function copyError(error: unknown, from: string): unknown {
  const { errcode } = error as { readonly errcode?: number };
  if (errcode === SQLITE_NOTADB || errcode === SQLITE_CORRUPT) return notADatabase(from, error);
  if (errcode === SQLITE_OK) return locked(from, error);
  if (errcode !== SQLITE_FULL) return error;
  return new SpeilError('DISK_FULL', `there is no room for a copy of ${from}`, { hint: 'Make room.', cause: error });
}

const locked = (file: string, cause: unknown): SpeilError =>
  new SpeilError('LOCK_TIMEOUT', `${file} is locked by another program.`, {
    recovery: 'retry',
    hint: 'Try again when it is done, or end it.',
    cause,
  });

const notADatabase = (file: string, cause: unknown): SpeilError =>
  new SpeilError('NOT_A_DATABASE', `${file} is no SQLite database.`, { hint: 'Check the path.', cause });
