import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SpeilError } from '../core/error.ts';

export type FolderLockOptions = {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Name of the lock in the folder; `<name>.holder` stands beside it. */
  readonly name?: string;
  /** What else can be done than to end the holder, as the end of a sentence. */
  readonly otherwise: string;
};

type Holder = { readonly pid: number; readonly host: string; readonly since: string };

/**
 * Keeps every other process out of a data folder until it is disposed: a transaction on an empty SQLite file, which the
 * operating system ends with the process, however it ends. Who has it stands in a file beside. Throws `CONFLICT`.
 */
export function lockFolder(folder: string, { now, name = 'lock', otherwise }: FolderLockOptions): Disposable {
  const holderPath = join(folder, `${name}.holder`);
  const lock = takeLock(join(folder, name), holderPath, (holder) => held(folder, holder, otherwise));
  const holder: Holder = { pid: process.pid, host: hostname(), since: new Date(now).toISOString() };
  writeFileSync(holderPath, `${JSON.stringify(holder)}\n`);
  return {
    [Symbol.dispose]() {
      if (!lock.isOpen) return;
      rmSync(holderPath, { force: true });
      lock.close();
    },
  };
}

function takeLock(path: string, holderPath: string, held: (holder: Holder | null) => SpeilError): DatabaseSync {
  const lock = new DatabaseSync(path, { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    throw isBusy(error) ? held(readHolder(holderPath)) : error;
  }
}

const SQLITE_BUSY = 5;

const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;

function held(folder: string, holder: Holder | null, otherwise: string): SpeilError {
  const who = holder === null ? 'another process' : `process ${holder.pid} on ${holder.host} since ${holder.since}`;
  const end = holder === null ? 'End it' : `End it (kill ${holder.pid})`;
  return new SpeilError('CONFLICT', `The data folder ${folder} is in use by ${who}.`, {
    recovery: 'retry',
    hint: `${end}, ${otherwise}`,
  });
}

function readHolder(path: string): Holder | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder;
  } catch {
    return null;
  }
}
