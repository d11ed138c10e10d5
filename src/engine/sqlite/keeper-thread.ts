/**
 * The thread in which a server's own connections to a database live: one that keeps the WAL in being, one that pins what
 * readers see, one that checkpoints. SQLite's calls block, and a checkpoint may take long: not in the server's own thread.
 */
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import type { Backfilled, KeeperAnswer, KeeperRequest } from './keeper.ts';

/** How long a restart of the WAL waits for readers that still use it; writers wait meanwhile. */
const RESTART_WAIT_MS = 250;

const path = workerData as string;

const connect = (timeout: number): DatabaseSync => {
  const connection = new DatabaseSync(path, { timeout });
  connection.exec('PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0;');
  return connection;
};

const checkpointer = connect(RESTART_WAIT_MS);
checkpointer.exec('PRAGMA journal_mode = WAL');
const pinner = connect(0);

function checkpoint(mode: 'PASSIVE' | 'RESTART' | 'TRUNCATE'): Backfilled {
  const row = checkpointer.prepare(`PRAGMA wal_checkpoint(${mode})`).get() as {
    readonly busy: number;
    readonly checkpointed: number;
  };
  return { complete: row.busy === 0, frames: row.checkpointed };
}

function unpin(): void {
  if (pinner.isTransaction) pinner.exec('COMMIT');
}

function pin(): void {
  unpin();
  pinner.exec('BEGIN; SELECT count(*) FROM sqlite_schema LIMIT 1;');
}

function close(): void {
  unpin();
  pinner.close();
  checkpointer.close();
}

function carryOut({ kind }: KeeperRequest): Backfilled | null {
  switch (kind) {
    case 'pin':
      pin();
      return null;
    case 'unpin':
      unpin();
      return null;
    case 'backfill':
      return checkpoint('PASSIVE');
    case 'restart':
      return checkpoint('RESTART');
    case 'empty':
      return checkpoint('TRUNCATE');
    case 'close':
      close();
      return null;
    default:
      return kind satisfies never;
  }
}

function answer(request: KeeperRequest): KeeperAnswer {
  try {
    return { id: request.id, value: carryOut(request), error: null };
  } catch (error) {
    return { id: request.id, value: null, error: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.on('message', (request: KeeperRequest) => {
  parentPort?.postMessage(answer(request));
  if (request.kind === 'close') parentPort?.close();
});
parentPort?.postMessage({ id: 0, value: null, error: null } satisfies KeeperAnswer);
