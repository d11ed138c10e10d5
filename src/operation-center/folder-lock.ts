import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SpeilError } from '../core/error.ts';

type Holder = { readonly pid: number; readonly host: string; readonly since: string };

/**
 * Keeps every other process out of a data folder until it is disposed: a transaction on an empty SQLite file, which the
 * operating system ends with the process, however it ends. Who has it stands in a file beside. Throws `CONFLICT`.
 */
export function lockFolder(folder: string, now: number): Disposable {
  const holderPath = join(folder, 'lock.holder');
  const lock = takeLock(join(folder, 'lock'), folder, holderPath);
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

function takeLock(path: string, folder: string, holderPath: string): DatabaseSync {
  const lock = new DatabaseSync(path, { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    throw isBusy(error) ? held(folder, readHolder(holderPath)) : error;
  }
}

const SQLITE_BUSY = 5;

const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;

function held(folder: string, holder: Holder | null): SpeilError {
  const who = holder === null ? 'another process' : `process ${holder.pid} on ${holder.host} since ${holder.since}`;
  const end = holder === null ? 'End it' : `End it (kill ${holder.pid})`;
  return new SpeilError('CONFLICT', `The data folder ${folder} is in use by ${who}.`, {
    recovery: 'retry',
    hint: `${end}, name another --data folder, or let several centers share a server: --database postgres://…`,
  });
}

function readHolder(path: string): Holder | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder;
  } catch {
    return null;
  }
}
