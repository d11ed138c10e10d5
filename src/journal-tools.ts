import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SpeilError } from './core/error.ts';
import type { Lsn } from './core/lsn.ts';
import { PageChanges } from './engine/sqlite/page-changes.ts';
import { type BlockFacts, type Finding, inspectJournal } from './journal/inspect-journal.ts';
import { systemClock } from './runtime/system-clock.ts';
import { systemDisk } from './runtime/system-disk.ts';
import { systemRandom } from './runtime/system-random.ts';
import { Transfers } from './server/admin/transfers.ts';
import { takeExistingFolder } from './server/data-folder.ts';
import { checkDatabase, type DatabaseCheck } from './server/databases/check-database.ts';
import { DatabaseName } from './server/databases/database-name.ts';
import { databasesIn } from './server/databases/database-store.ts';

export type { DatabaseCheck, FileCheck } from './server/databases/check-database.ts';

/** A database that cannot be looked at says why. */
export type NamedCheck = { readonly name: string; readonly check: DatabaseCheck | SpeilError };

export type CheckDatabasesOptions = {
  readonly data: string;
  /** All of the folder without it. */
  readonly name?: string | undefined;
  readonly onProgress?: ((name: string, done: number, total: number) => void) | undefined;
};

/**
 * Looks at journals and files while no server runs, one database after another. Throws `CONFLICT` when one does, and
 * `NOT_FOUND` when there is no such database.
 */
export async function* checkDatabases({ data, name, onProgress }: CheckDatabasesOptions): AsyncGenerator<NamedCheck> {
  using folder = takeExistingFolder(data, systemClock.now());
  const transfers = new Transfers(folder.transfers, systemRandom);
  for (const each of name === undefined ? databasesIn(data) : [demandDatabase(data, name)]) {
    const check = await transfers
      .withFile((scratch) =>
        checkDatabase({
          ...{ disk: systemDisk, folder: join(data, each), scratch },
          onProgress: (done, total) => onProgress?.(each, done, total),
        }),
      )
      .catch((error: unknown) => asFinding(error));
    yield { name: each, check };
  }
}

function asFinding(error: unknown): SpeilError {
  if (error instanceof SpeilError) return error;
  throw error;
}

/** What one block changed. `changes` null: its payload cannot be read. */
export type DumpedBlock = BlockFacts & {
  readonly changes: {
    readonly pageSize: number;
    /** Pages of the database after it. */
    readonly pageCount: number;
    readonly pages: readonly number[];
    readonly bytes: number;
  } | null;
};

/** Blocks and what is wrong between them, from a commit on, while no server runs. Throws as {@link checkDatabases}. */
export async function* dumpJournal(options: {
  readonly data: string;
  readonly name: string;
  readonly from?: Lsn | undefined;
}): AsyncGenerator<DumpedBlock | Finding> {
  using _folder = takeExistingFolder(options.data, systemClock.now());
  const folder = join(options.data, demandDatabase(options.data, options.name), 'journal');
  for await (const found of inspectJournal({ disk: systemDisk, folder, from: options.from })) {
    yield found.kind === 'block' ? { ...found, changes: changesOf(found.block.payload) } : found;
  }
}

function changesOf(payload: Uint8Array): DumpedBlock['changes'] {
  try {
    const changes = new PageChanges().read(payload);
    const ranges = changes.firstRange[changes.pageTotal] ?? 0;
    const lengths = Array.from({ length: ranges }, (_, range) => changes.ranges[3 * range + 1] ?? 0);
    return {
      pageSize: changes.counts.pageSize,
      pageCount: changes.counts.after,
      pages: [...changes.pages.subarray(0, changes.pageTotal)],
      bytes: lengths.reduce((sum, length) => sum + length, 0),
    };
  } catch {
    return null;
  }
}

function demandDatabase(data: string, text: string): DatabaseName {
  const name = DatabaseName.of(text);
  if (existsSync(join(data, name))) return name;
  throw new SpeilError('NOT_FOUND', `There is no database ${name} in ${data}.`, {
    hint: `There are: ${databasesIn(data).join(', ') || 'none'}.`,
  });
}
