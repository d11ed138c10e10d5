import type { Disk, DiskFile } from '../../core/disk.ts';
import { SpeilError } from '../../core/error.ts';
import { Lsn } from '../../core/lsn.ts';
import type { Journal } from '../../journal/journal.ts';
import type { CommitGate, HardenedMark } from './commit-gate.ts';
import { copyDatabaseFile } from './copy.ts';
import { checksumOfFile } from './file-checksum.ts';
import { RedoFile } from './redo.ts';

export type BackupOptions = {
  readonly signal: AbortSignal;
  /** Bytes copied so far, and how many there are. */
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
};

export type BackupParts = BackupOptions & {
  readonly disk: Disk;
  readonly journal: Journal;
  readonly gate: CommitGate;
  /** Of the database file; open until the backup is done. */
  readonly descriptor: number;
  /** Everything up to this commit was in the database file before; the journal is held from there on. */
  readonly from: Lsn;
};

/** What a backup is: the database as it was after this commit. */
export type Backup = { readonly lsn: Lsn; readonly bytes: number };

/**
 * Copies a database into a new, plain SQLite file while it is written to: the file as it is, which is a mixture of moments, and
 * over it the journal since before the first of them. What comes out is compared with the checksum that the journal names.
 * Rejects with `DATABASE_DAMAGED`, and then, as after any failure, nothing is left of the file.
 */
export async function backUp(target: string, parts: BackupParts): Promise<Backup> {
  const { disk } = parts;
  const file = await disk.open(target, 'create');
  try {
    const backup = await fill(file, parts);
    await file.close();
    return backup;
  } catch (error) {
    await file.close();
    await disk.remove(target);
    throw error;
  }
}

async function fill(file: DiskFile, parts: BackupParts): Promise<Backup> {
  const { descriptor, signal, gate } = parts;
  const onProgress = parts.onProgress ?? (() => {});
  await copyDatabaseFile(descriptor, file, { signal, onProgress });
  await gate.settle(gate.position());
  const end = gate.hardened;
  await redoUpTo(end.lsn, file, parts);
  await compare(file, end);
  await file.sync();
  return { lsn: end.lsn, bytes: await file.length() };
}

async function redoUpTo(end: Lsn, file: DiskFile, { journal, from, signal }: BackupParts): Promise<void> {
  const pages = new RedoFile(file, { asReadMirror: true });
  if (end === from) return toRollbackMode(file);
  for await (const block of journal.read(Lsn.after(from), { signal })) {
    await pages.apply(block.payload, { continued: block.continued });
    if (block.last >= end && !block.continued) break;
  }
  await pages.flush();
  await toRollbackMode(file);
}

/** Page 1 says how a file is to be opened: as a file that is alone, without a WAL. */
async function toRollbackMode(file: DiskFile): Promise<void> {
  await file.write([Buffer.from([1, 1])], 18);
}

async function compare(file: DiskFile, { lsn, checksum }: HardenedMark): Promise<void> {
  if ((await checksumOfFile(file)) === checksum) return;
  throw new SpeilError('DATABASE_DAMAGED', `The copy is not what the journal says the database is at commit ${lsn}.`, {
    hint: 'The database file is damaged: stop the server, and restore an earlier backup.',
  });
}
