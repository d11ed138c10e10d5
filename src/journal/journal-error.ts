import { SpeilError } from '../core/error.ts';
import type { Lsn } from '../core/lsn.ts';

/** What is wrong in a journal, and where. */
export type Damage = {
  readonly file: string;
  /** Bytes from the beginning of the file. */
  readonly offset: number;
  /** The last commit that is whole before it. */
  readonly afterLsn: Lsn;
  readonly what: string;
};

export const damaged = ({ file, offset, afterLsn, what }: Damage): SpeilError =>
  new SpeilError(
    'JOURNAL_DAMAGED',
    `The journal is damaged after LSN ${afterLsn}, in ${file} at byte ${offset}: ${what}.`,
    {
      hint: 'Nothing was changed. `speil journal check` lists all that is wrong; bring the files back from where they are whole, or restore a backup.',
    },
  );

export const gap = (message: string, hint?: string): SpeilError => new SpeilError('JOURNAL_GAP', message, { hint });

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);
const READ_ONLY = new Set(['EROFS', 'EACCES', 'EPERM']);

export const isMissing = (error: unknown): boolean => codeOf(error) === 'ENOENT';

/** Whether going on is safe: nothing was lost, there was only no room. */
export const isFull = (error: unknown): boolean =>
  FULL.has(codeOf(error)) || (error instanceof SpeilError && error.code === 'DISK_FULL');

export const full = (folder: string, cause: unknown): SpeilError =>
  new SpeilError('DISK_FULL', `The disk of the journal in ${folder} is full.`, {
    hint: 'Make room; nothing was lost, and it goes on by itself.',
    recovery: 'retry',
    cause,
  });

export const failed = (folder: string, cause: unknown): SpeilError =>
  new SpeilError(
    'JOURNAL_FAILED',
    `The disk failed the journal in ${folder}: ${cause instanceof Error ? cause.message : String(cause)}.`,
    {
      hint: 'What was acknowledged is durable; what came after it may be lost. Look at the disk, then restart the server: it reads what is really there.',
      cause,
    },
  );

/** A failure of the disk while a journal is made or opened, in our words. */
export function openFailure(folder: string, error: unknown): unknown {
  if (error instanceof SpeilError) return error;
  if (isFull(error)) return full(folder, error);
  if (READ_ONLY.has(codeOf(error))) {
    return new SpeilError('READ_ONLY', `The journal in ${folder} cannot be written (${codeOf(error)}).`, {
      hint: 'Check the permissions of the folder and its files, and whether its disk is mounted read-only.',
      cause: error,
    });
  }
  return codeOf(error) === '' ? error : failed(folder, error);
}
