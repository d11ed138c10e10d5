import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { Disk } from '../../core/disk.ts';
import { SpeilError } from '../../core/error.ts';
import type { Journal } from '../../journal/journal.ts';
import { checksumOfFile } from './file-checksum.ts';
import { lookAt, sameLook } from './file-look.ts';
import { databasePath, dropWal, type Recovered, type RecoveryProgress, recover } from './recovery.ts';
import type { DatabaseState } from './state.ts';

/** Older ones can corrupt a WAL under checkpoints. */
const SQLITE_OLDEST = [3, 51, 3] as const;

/** Throws `TOO_OLD`. */
export function refuseOldSqlite(): void {
  using memory = new DatabaseSync(':memory:');
  const { version } = memory.prepare('SELECT sqlite_version() AS version').get() as { readonly version: string };
  if (isAtLeast(version.split('.').map(Number), SQLITE_OLDEST)) return;
  throw new SpeilError('TOO_OLD', `This Node has SQLite ${version}, which can damage a database under load.`, {
    hint: `Use a Node with SQLite ${SQLITE_OLDEST.join('.')} or later: Node 24.15 or 26.`,
  });
}

export function isAtLeast(version: readonly number[], least: readonly number[]): boolean {
  const index = least.findIndex((part, at) => part !== (version[at] ?? 0));
  return index === -1 || (version[index] ?? 0) > (least[index] ?? 0);
}

export type FileOpening = {
  readonly disk: Disk;
  readonly folder: string;
  readonly journal: Journal;
  readonly state: DatabaseState;
  readonly onProgress?: ((progress: RecoveryProgress) => void) | undefined;
};

/**
 * Sees to it that the database file is what the journal ends with. One that was stopped in good order and looks the same
 * is taken as it is; one that looks otherwise is compared; any other end is recovered from. Rejects with `FILE_CHANGED`
 * when somebody else has written to a stopped database, and `DATABASE_DAMAGED`.
 */
export async function makeCurrent(opening: FileOpening): Promise<Recovered> {
  const { state, journal, folder } = opening;
  if (state.stopped === null || state.checkpoint !== journal.hardened.lsn) return recover(opening);
  if (hasWal(folder) || !sameLook(state.stopped, lookAt(databasePath(folder)))) await compare(opening);
  await dropWal(opening.disk, folder);
  return { lsn: state.checkpoint, checksum: state.checksum };
}

/** Commits of somebody else's may wait in a WAL that is not ours: ours was removed when the database was stopped. */
const hasWal = (folder: string): boolean =>
  (statSync(`${databasePath(folder)}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;

async function compare({ disk, folder, state, onProgress }: FileOpening): Promise<void> {
  const file = await disk.open(databasePath(folder), 'read');
  try {
    const found = await checksumOfFile(file, (done, total) =>
      onProgress?.({ step: 'verify', done: BigInt(done), total: BigInt(total) }),
    );
    if (found === state.checksum && !hasWal(folder)) return;
  } finally {
    await file.close();
  }
  throw new SpeilError(
    'FILE_CHANGED',
    `${databasePath(folder)} was changed by another program while the server was stopped.`,
    {
      hint: `To keep what it wrote, make a database of it: speil restore ${databasePath(folder)} --data <folder> <new name>.`,
    },
  );
}
