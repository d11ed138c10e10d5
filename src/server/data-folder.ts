import { accessSync, constants, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SpeilError } from '../core/error.ts';
import { lockFolder } from '../service/folder-lock.ts';

/** What a server keeps beside its databases, each of which has a folder of its own name. */
export type ServerFolder = Disposable & {
  readonly path: string;
  /** Hashes of the tokens. */
  readonly tokensFile: string;
  /** Where the admin token is, unless the operator names another file. */
  readonly adminTokenFile: string;
  /** For files on their way in or out; empty when the server starts. */
  readonly transfers: string;
};

const LOCK = 'server.lock';

/**
 * Takes a data folder for this process until it is disposed; makes it when it is missing. Throws `CONFLICT` when another
 * process has it, and says who; `READ_ONLY` when it cannot be written, `USAGE` when it cannot be used otherwise.
 */
export function takeServerFolder(path: string, now: number): ServerFolder {
  prepare(path);
  const lock = lockFolder(path, { now, name: LOCK, otherwise: 'or name another --data folder.' });
  const transfers = join(path, '.transfers');
  rmSync(transfers, { recursive: true, force: true });
  mkdirSync(transfers, { mode: 0o700 });
  return {
    path,
    tokensFile: join(path, 'tokens.json'),
    adminTokenFile: join(path, 'admin.token'),
    transfers,
    [Symbol.dispose]: () => lock[Symbol.dispose](),
  };
}

/** The same for a folder that must be there already: what works offline makes none by a slip of the hand. */
export function takeExistingFolder(path: string, now: number): ServerFolder {
  if (existsSync(path)) return takeServerFolder(path, now);
  throw new SpeilError('FILE_MISSING', `There is no folder ${path}.`, {
    hint: 'Name the data folder of a server with --data.',
  });
}

function prepare(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw unusable(path, cause as NodeJS.ErrnoException);
  }
}

const READ_ONLY: ReadonlySet<string | undefined> = new Set(['EROFS', 'EACCES', 'EPERM']);

export function unusable(path: string, cause: NodeJS.ErrnoException): SpeilError {
  const isReadOnly = READ_ONLY.has(cause.code);
  const what = isReadOnly ? `The data folder ${path} cannot be written` : `The data folder ${path} cannot be used`;
  return new SpeilError(isReadOnly ? 'READ_ONLY' : 'USAGE', `${what}: ${cause.message}.`, {
    hint: isReadOnly
      ? 'A server writes its journal there. Give this account the right to, or name another folder with --data.'
      : 'Name a folder of your own with --data.',
    cause,
  });
}
