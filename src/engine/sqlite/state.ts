import { hash } from 'node:crypto';
import { join } from 'node:path';
import type { Disk } from '../../core/disk.ts';
import { SpeilError } from '../../core/error.ts';
import { Lineage } from '../../core/lineage.ts';
import { Lsn } from '../../core/lsn.ts';
import { Term } from '../../core/term.ts';
import { replaceFile } from './replace-file.ts';

/**
 * What is known of a database's file without looking into it: whose history it is, and from which commit on the journal
 * has to be redone to make it whole. Replaced in one go, so that after any crash it is the old or the new one.
 */
export type DatabaseState = {
  readonly lineage: Lineage;
  readonly term: Term;
  /** Everything up to this commit is in the database file for certain; later commits may be, in part. */
  readonly checkpoint: Lsn;
  /** Rolling checksum of the whole database at that commit. */
  readonly checksum: bigint;
  /** Set while the database is stopped in good order: the file is exactly the one at the checkpoint, and looked like this. */
  readonly stopped: FileLook | null;
};

/** What tells that nobody has touched a file, without reading it. */
export type FileLook = { readonly bytes: bigint; readonly modifiedNs: bigint; readonly changedNs: bigint };

const VERSION = 1;

export async function writeState(disk: Disk, folder: string, state: DatabaseState): Promise<void> {
  const body = JSON.stringify({ version: VERSION, ...state }, (_, value) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
  await replaceFile(disk, folder, STATE_FILE, Buffer.from(JSON.stringify({ body, check: checkOf(body) })));
}

/** Null when the folder holds no state. Rejects with `DATABASE_DAMAGED` when it cannot be what was written. */
export async function readState(disk: Disk, folder: string): Promise<DatabaseState | null> {
  const text = await readText(disk, join(folder, STATE_FILE));
  if (text === null) return null;
  try {
    const { body, check } = JSON.parse(text) as { readonly body: string; readonly check: string };
    if (check !== checkOf(body)) throw new Error('its checksum is wrong');
    return parseState(JSON.parse(body) as StateText);
  } catch (cause) {
    throw new SpeilError('DATABASE_DAMAGED', `${join(folder, STATE_FILE)} is damaged: ${String(cause)}.`, {
      hint: 'Restore the database from a backup: speil restore <file> --data <folder> <name>.',
      cause,
    });
  }
}

const STATE_FILE = 'state.json';

const checkOf = (body: string): string => hash('sha256', body);

type StateText = {
  readonly version: number;
  readonly lineage: string;
  readonly term: string;
  readonly checkpoint: string;
  readonly checksum: string;
  readonly stopped: { readonly bytes: string; readonly modifiedNs: string; readonly changedNs: string } | null;
};

function parseState({ version, lineage, term, checkpoint, checksum, stopped }: StateText): DatabaseState {
  if (version !== VERSION) throw new Error(`its version is ${version}, and this is a Speil for version ${VERSION}`);
  return {
    lineage: Lineage.of(lineage),
    term: Term.of(term),
    checkpoint: Lsn.of(checkpoint),
    checksum: BigInt(checksum),
    stopped: stopped && {
      bytes: BigInt(stopped.bytes),
      modifiedNs: BigInt(stopped.modifiedNs),
      changedNs: BigInt(stopped.changedNs),
    },
  };
}

async function readText(disk: Disk, path: string): Promise<string | null> {
  try {
    const file = await disk.open(path, 'read');
    try {
      const bytes = Buffer.alloc(await file.length());
      return bytes.toString('utf8', 0, await file.read(bytes, 0));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}
