import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { SpeilError } from '../../core/error.ts';
import type { MirrorHolder } from '../mirror-database.ts';
import { isBusy, sqliteError } from './errors.ts';

/**
 * Keeps every other process out of a mirror: a transaction on an empty database beside it, which the operating system
 * ends with the process. Who holds it stands in a file next to that. The empty file stays: deleting it could let two in.
 */
export function holdFile(path: string, display: string, holder: MirrorHolder): AsyncDisposable {
  const holderPath = `${path}-speil.holder`;
  const lock = takeLock(`${path}-speil.lock`, display, () => readHolder(holderPath));
  writeFileSync(holderPath, `${JSON.stringify(holder)}\n`);
  return {
    async [Symbol.asyncDispose]() {
      if (!lock.isOpen) return;
      rmSync(holderPath, { force: true });
      lock.close();
    },
  };
}

function takeLock(lockPath: string, display: string, whoHolds: () => MirrorHolder | null): DatabaseSync {
  const lock = openLock(lockPath, display);
  try {
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    const known = sqliteError(error, display);
    throw isBusy(known) ? busy(display, whoHolds()) : known;
  }
}

function openLock(lockPath: string, display: string): DatabaseSync {
  try {
    return new DatabaseSync(lockPath, { timeout: 0 });
  } catch (error) {
    throw sqliteError(error, display);
  }
}

function busy(display: string, holder: MirrorHolder | null): SpeilError {
  const who = holder === null ? 'another task' : `process ${holder.pid} on ${holder.host} since ${holder.since}`;
  return new SpeilError('MIRROR_BUSY', `${display} is held by ${who}.`, {
    recovery: 'retry',
    hint: holder === null ? 'Wait until it ends.' : `Wait until it ends, or end it: kill ${holder.pid}`,
  });
}

function readHolder(path: string): MirrorHolder | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as MirrorHolder;
  } catch {
    return null;
  }
}
