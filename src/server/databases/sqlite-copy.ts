import { existsSync, rmSync, statSync } from 'node:fs';
import { backup, DatabaseSync } from 'node:sqlite';
import { SpeilError } from '../../core/error.ts';

/** Pages copied between two looks at the signal and the progress. */
const PAGES_AT_ONCE = 1_000;

export type CopyOptions = {
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
};

/**
 * Copies a SQLite file as it stands at one moment, also while others write into it, and with what its WAL or its hot journal
 * holds: a plain copy of the file would lose that. Throws `FILE_MISSING`, `NOT_A_DATABASE` and `DISK_FULL`; then there is no
 * copy.
 */
export async function copySqliteFile(
  from: string,
  to: string,
  { onProgress, signal }: CopyOptions = {},
): Promise<void> {
  if (!existsSync(from)) throw new SpeilError('FILE_MISSING', `${from} is not there.`, { hint: 'Check the path.' });
  try {
    using source = new DatabaseSync(from);
    const { page_size: pageBytes } = source.prepare('PRAGMA page_size').get() as { readonly page_size: number };
    await backup(source, to, {
      rate: PAGES_AT_ONCE,
      progress: ({ totalPages, remainingPages }) => {
        signal?.throwIfAborted();
        onProgress?.((totalPages - remainingPages) * pageBytes, totalPages * pageBytes);
      },
    });
    if (statSync(to).size === 0) throw notADatabase(from, null);
  } catch (error) {
    rmSync(to, { force: true });
    throw copyError(error, from);
  }
}

const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;

function copyError(error: unknown, from: string): unknown {
  const { errcode } = error as { readonly errcode?: number };
  if (errcode === SQLITE_NOTADB) return notADatabase(from, error);
  if (errcode !== SQLITE_FULL) return error;
  return new SpeilError('DISK_FULL', `there is no room for a copy of ${from}`, { hint: 'Make room.', cause: error });
}

const notADatabase = (file: string, cause: unknown): SpeilError =>
  new SpeilError('NOT_A_DATABASE', `${file} is no SQLite database.`, { hint: 'Check the path.', cause });
