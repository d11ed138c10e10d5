import { constants } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Disk, DiskFile } from '../../core/disk.ts';
import { SpeilError } from '../../core/error.ts';
import { Lsn } from '../../core/lsn.ts';
import { checksumOfFile } from '../../engine/sqlite/file-checksum.ts';
import { databasePath } from '../../engine/sqlite/recovery.ts';
import { RedoFile } from '../../engine/sqlite/redo.ts';
import { type DatabaseState, readState } from '../../engine/sqlite/state.ts';
import { checkJournal, inspectJournal, type JournalCheck } from '../../journal/inspect-journal.ts';

/**
 * Whether the database's file is what its journal says. `equal`: it is, after `redone` commits that recovery would redo as
 * well. `not-compared`: the journal is damaged, and nothing can be told.
 */
export type FileCheck =
  | { readonly result: 'equal' | 'different'; readonly lsn: Lsn; readonly redone: bigint }
  | { readonly result: 'not-compared' };

export type DatabaseCheck = JournalCheck & { readonly file: FileCheck };

export type CheckOptions = {
  readonly disk: Disk;
  /** Of the database. */
  readonly folder: string;
  /** A path on the same disk that nothing is at: for a copy of the file when it has to be redone to be compared. */
  readonly scratch: string;
  /** Bytes of the file that were compared. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
};

/**
 * Looks at every block and every page of a database that is not open, and changes nothing. Rejects with `FILE_MISSING` when
 * there is none, and `DATABASE_DAMAGED` when not even its state can be read.
 */
export async function checkDatabase(options: CheckOptions): Promise<DatabaseCheck> {
  const { disk, folder } = options;
  const state = await readState(disk, folder);
  if (state === null) throw noState(folder);
  const journal = await checkJournal({ disk, folder: join(folder, 'journal') });
  const isDamaged = journal.findings.some(({ kind }) => kind === 'damage');
  return { ...journal, file: isDamaged ? { result: 'not-compared' } : await compare(options, state, journal) };
}

const noState = (folder: string): SpeilError =>
  new SpeilError('FILE_MISSING', `There is no database in ${folder}.`, { hint: 'Check --data and the name.' });

/** A database that did not end in order is compared as it will be after recovery, which works on a copy of it here. */
async function compare(options: CheckOptions, state: DatabaseState, journal: JournalCheck): Promise<FileCheck> {
  const { disk, folder, scratch, onProgress } = options;
  const end = journal.last?.lsn ?? state.checkpoint;
  const isWhole = state.stopped !== null && end <= state.checkpoint;
  const path = isWhole ? databasePath(folder) : scratch;
  if (!isWhole) await copyFile(databasePath(folder), scratch, constants.COPYFILE_FICLONE);
  const file = await disk.open(path, isWhole ? 'read' : 'write');
  try {
    const { lsn, checksum } = isWhole
      ? { lsn: state.checkpoint, checksum: state.checksum }
      : await redo(file, options, state, end);
    const found = await checksumOfFile(file, onProgress);
    return { result: found === checksum ? 'equal' : 'different', lsn, redone: lsn - state.checkpoint };
  } finally {
    await file.close();
  }
}

/** Up to the last commit that is whole: parts of a later one are what a crash has left. */
async function redo(file: DiskFile, { disk, folder }: CheckOptions, { checkpoint, checksum }: DatabaseState, end: Lsn) {
  const pages = new RedoFile(file);
  let reached = { lsn: checkpoint, checksum };
  for await (const found of inspectJournal({ disk, folder: join(folder, 'journal'), from: Lsn.after(checkpoint) })) {
    if (found.kind !== 'block' || found.block.last > end) continue;
    const { continued, last, payload, databaseChecksum } = found.block;
    await pages.apply(payload, { continued });
    if (!continued) reached = { lsn: last, checksum: databaseChecksum };
  }
  await pages.flush();
  return reached;
}
