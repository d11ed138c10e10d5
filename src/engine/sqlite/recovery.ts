import { join } from 'node:path';
import type { Disk, DiskFile } from '../../core/disk.ts';
import { SpeilError } from '../../core/error.ts';
import { Lsn } from '../../core/lsn.ts';
import type { Journal } from '../../journal/journal.ts';
import { checksumOfFile } from './file-checksum.ts';
import { RedoFile } from './redo.ts';
import type { DatabaseState } from './state.ts';
import { syncOrStop } from './sync-or-stop.ts';

export const DATABASE_FILE = 'database.db';
export const databasePath = (folder: string): string => join(folder, DATABASE_FILE);

export type RecoveryProgress = {
  readonly step: 'redo' | 'verify';
  /** Commits, or bytes of the file. */
  readonly done: bigint;
  readonly total: bigint;
};

export type RecoveryOptions = {
  readonly disk: Disk;
  readonly folder: string;
  readonly journal: Journal;
  readonly state: DatabaseState;
  readonly onProgress?: ((progress: RecoveryProgress) => void) | undefined;
};

/** Where the database file stands. */
export type Recovered = { readonly lsn: Lsn; readonly checksum: bigint };

/**
 * Makes a database file whole again after any end: what SQLite left beside it is dropped, and the journal redone from the
 * last checkpoint on. Byte ranges are absolute values, so it does not matter how much of them was in the file already.
 * Then the whole file is compared with the checksum that the journal's last block names. Rejects with `DATABASE_DAMAGED`.
 */
export async function recover(options: RecoveryOptions): Promise<Recovered> {
  await dropWal(options.disk, options.folder);
  const file = await options.disk.open(databasePath(options.folder), 'write');
  try {
    const expected = await redo(file, options);
    await syncOrStop(file);
    await verify(file, expected, options);
    return expected;
  } finally {
    await file.close();
  }
}

export async function dropWal(disk: Disk, folder: string): Promise<void> {
  await disk.remove(`${databasePath(folder)}-wal`);
  await disk.remove(`${databasePath(folder)}-shm`);
}

async function redo(file: DiskFile, { journal, state, onProgress }: RecoveryOptions): Promise<Recovered> {
  const pages = new RedoFile(file);
  let reached: Recovered = { lsn: state.checkpoint, checksum: state.checksum };
  const total = journal.hardened.lsn - state.checkpoint;
  if (total > 0n) {
    for await (const block of journal.read(Lsn.after(state.checkpoint))) {
      await pages.apply(block.payload, { continued: block.continued });
      if (block.continued) continue;
      reached = { lsn: block.last, checksum: block.databaseChecksum };
      onProgress?.({ step: 'redo', done: block.last - state.checkpoint, total });
    }
  }
  await pages.flush();
  return reached;
}

async function verify(file: DiskFile, expected: Recovered, { folder, onProgress }: RecoveryOptions): Promise<void> {
  const found = await checksumOfFile(file, (done, total) =>
    onProgress?.({ step: 'verify', done: BigInt(done), total: BigInt(total) }),
  );
  if (found === expected.checksum) return;
  throw new SpeilError(
    'DATABASE_DAMAGED',
    `${databasePath(folder)} is not what the journal says it is at commit ${expected.lsn}: something else has written to it, or the disk lost some of it.`,
    {
      hint: 'Keep a copy of the file if you want what was written to it; then type: speil restore <backup> --data <folder> <name>.',
    },
  );
}
