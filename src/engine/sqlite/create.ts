import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import type { Random } from '../../core/clock.ts';
import type { Disk } from '../../core/disk.ts';
import { SpeilError } from '../../core/error.ts';
import { Lineage } from '../../core/lineage.ts';
import { Lsn } from '../../core/lsn.ts';
import { Term } from '../../core/term.ts';
import { createJournal } from '../../journal/create-journal.ts';
import { isDiskFull } from './disk-full.ts';
import { checksumOfFile } from './file-checksum.ts';
import { lookAt } from './file-look.ts';
import { databasePath } from './recovery.ts';
import { writeState } from './state.ts';

export type Creation = {
  readonly disk: Disk;
  readonly random: Random;
  /** Must not be there yet. */
  readonly folder: string;
  /** An SQLite file in any journal mode, which is copied as it is and not touched; without it the database is empty. */
  readonly from?: string | undefined;
  /** The file is a copy made for this, on the same disk: it is moved. */
  readonly mayMove?: boolean | undefined;
  readonly segmentBytes?: number | undefined;
};

/**
 * Makes a database with a history of its own, stopped and ready to be opened. It is there whole or not at all.
 * Rejects with `FILE_MISSING` and `NOT_A_DATABASE`.
 */
export async function createDatabase(creation: Creation): Promise<void> {
  const aside = `${creation.folder}.new`;
  await rm(aside, { recursive: true, force: true });
  await mkdir(aside, { recursive: true });
  try {
    await fill(aside, creation);
    await rename(aside, creation.folder);
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    throw error;
  }
  await creation.disk.syncFolder(dirname(creation.folder));
}

async function fill(folder: string, { disk, random, from, mayMove, segmentBytes }: Creation): Promise<void> {
  const path = databasePath(folder);
  if (from !== undefined) await (mayMove ? rename(from, path) : copyDatabase(from, path));
  useWal(path, from ?? path);
  const lineage = Lineage.of(random.uuid());
  const checksum = await checksumAndSync(disk, path);
  const journal = await createJournal({ disk, folder: join(folder, 'journal'), lineage, segmentBytes });
  await journal[Symbol.asyncDispose]();
  const state = { lineage, term: Term.first, checkpoint: Lsn.zero, checksum };
  await writeState(disk, folder, { ...state, stopped: lookAt(path) });
}

/** A copy page by page of what the file's readers see, through SQLite, so that a WAL or hot journal beside it counts. */
async function copyDatabase(from: string, to: string): Promise<void> {
  if (!existsSync(from)) {
    throw new SpeilError('FILE_MISSING', `${from} is not there.`, { hint: 'Check the path.' });
  }
  using source = openSource(from);
  try {
    await backup(source, to);
  } catch (cause) {
    throw notADatabase(from, cause);
  }
}

function openSource(path: string): DatabaseSync {
  try {
    const source = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
    source.prepare('SELECT count(*) FROM sqlite_schema').get();
    return source;
  } catch (cause) {
    throw notADatabase(path, cause);
  }
}

const notADatabase = (path: string, cause: unknown): SpeilError =>
  new SpeilError('NOT_A_DATABASE', `${path} cannot be read as an SQLite database: ${(cause as Error).message}.`, {
    hint: `See what SQLite says: sqlite3 ${path} 'PRAGMA integrity_check'`,
    cause,
  });

function useWal(path: string, from: string): void {
  try {
    using connection = new DatabaseSync(path);
    connection.exec('PRAGMA journal_mode = WAL');
  } catch (cause) {
    throw isDiskFull(cause) ? cause : notADatabase(from, cause);
  }
}

async function checksumAndSync(disk: Disk, path: string): Promise<bigint> {
  const file = await disk.open(path, 'write');
  try {
    await file.sync();
    return await checksumOfFile(file);
  } finally {
    await file.close();
  }
}
