import { dropShadow } from './client/adapt-table.ts';
import type { Hooks } from './client/hooks.ts';
import { createMirrorClient } from './client/mirror-client.ts';
import { type MirrorPlan, planMirroring } from './client/plan.ts';
import type { WipeMode } from './client/write-batches.ts';
import { SpeilError } from './core/error.ts';
import { BATCH_BYTES_DEFAULT } from './core/limits.ts';
import { TableName } from './core/table.ts';
import type { MirroredTable } from './database/mirror-database.ts';
import { Ends, openMirror, openSource, runtime, thisProcess } from './open.ts';
import { BUILD } from './runtime/build.ts';
import { runTask } from './task/mirroring-task.ts';
import { isBatchBytes, type Preferences, selectTables } from './task/preferences.ts';
import type { CycleReport, TaskEvent } from './task/report.ts';

export type MirrorOptions = {
  /** `postgres://…`, `sqlite:<path>` or a path that ends in .db, .sqlite or .sqlite3. */
  readonly source: string;
  readonly mirror: string;
  /** Cycles from start to start; without it and `follow` there is one. */
  readonly everyMs?: number | undefined;
  /** Cycles as soon as there are changes. */
  readonly follow?: boolean | undefined;
  /** Bytes of rows in a call, about; 1,000,000. */
  readonly batchBytes?: number | undefined;
  /** Not mirrored; their mirror copies are dropped. Case and blanks do not matter. */
  readonly skipTables?: readonly string[] | undefined;
  /** Only these are mirrored; the mirror copies of all others are left alone. */
  readonly onlyTables?: readonly string[] | undefined;
  /** Schemas of a PostgreSQL source; all of them. */
  readonly schemas?: readonly string[] | undefined;
  /** Names the metadata table, `<tenant>_mirroring`; `speil`. */
  readonly tenant?: string | undefined;
  /** Gives a mirror of another source to this one, and copies everything. */
  readonly takeOver?: boolean | undefined;
  /** `shadow`: readers never see a table that is being copied. `in-place`: as in the contract, emptied first. */
  readonly wipe?: WipeMode | undefined;
  readonly hooks?: Hooks | undefined;
  /** Ends after the batch under way; the promise is then rejected with `INTERRUPTED`. */
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: TaskEvent) => void) | undefined;
};

export const TENANT_DEFAULT = 'speil';

/**
 * Mirrors a database and answers the report of the last cycle; with `everyMs` or `follow` it goes on until the signal is
 * aborted. Tables that fail are in the report; a cycle that fails as a whole throws a `SpeilError`.
 */
export async function mirror(options: MirrorOptions): Promise<CycleReport> {
  const { tenant = TENANT_DEFAULT, signal = new AbortController().signal } = options;
  const preferences = readPreferences(options);
  await using ends = await Ends.open(options, { tenant });
  await using _held = await ends.mirror.hold(thisProcess());
  const client = createMirrorClient({
    mirror: ends.mirror,
    tenant,
    clock: runtime.clock,
    build: BUILD,
    hooks: options.hooks,
    wipeMode: options.wipe,
  });
  const context = {
    ...runtime,
    source: ends.source,
    client,
    tenant,
    preferences,
    signal,
    selection: { schemas: options.schemas ?? null },
    takeOver: options.takeOver ?? false,
    emit: options.onEvent ?? (() => {}),
  };
  return await runTask(context, scheduleOf(options));
}

function scheduleOf({ follow, everyMs }: MirrorOptions) {
  if (follow && everyMs !== undefined) {
    throw new SpeilError('USAGE', 'a task follows its source or runs every so often, not both');
  }
  if (follow) return { kind: 'follow' } as const;
  return everyMs === undefined ? ({ kind: 'once' } as const) : ({ kind: 'every', everyMs } as const);
}

function readPreferences({
  batchBytes = BATCH_BYTES_DEFAULT,
  skipTables = [],
  onlyTables = [],
}: MirrorOptions): Preferences {
  if (!isBatchBytes(batchBytes)) {
    throw new SpeilError('USAGE', `${batchBytes} is not a batch size`, {
      hint: 'A whole number of bytes from 1000 to 64000000.',
    });
  }
  return { batchBytes, skipTables, onlyTables };
}

/** What `mirror` would do with these options; changes nothing in either database. */
export async function plan(options: MirrorOptions): Promise<MirrorPlan> {
  const { tenant = TENANT_DEFAULT, signal = new AbortController().signal } = options;
  const preferences = readPreferences(options);
  await using ends = await Ends.open(options, { tenant, readOnly: true, mayBeMissing: true });
  return await planMirroring({ ...ends, preferences, selection: { schemas: options.schemas ?? null }, signal });
}

export type MirrorStatus = {
  readonly mirror: string;
  readonly tenant: string;
  readonly tables: readonly TableStatus[];
};

export type TableStatus = {
  readonly table: string;
  readonly state: 'up to date' | 'copying' | 'to be copied';
  /** Decimal; null when the table holds no position. */
  readonly lsn: string | null;
  /** As counted from the operations. */
  readonly rows: number;
  /** Rows of a copy that is not complete. */
  readonly copiedRows?: number;
  readonly lineage: string | null;
  /** UTC, ISO 8601. */
  readonly completedAt: string | null;
};

/** How far the mirror has come, read from the mirror alone. Throws `NOT_A_MIRROR` when it is none. */
export async function status(address: string, options: { tenant?: string | undefined } = {}): Promise<MirrorStatus> {
  const tenant = options.tenant ?? TENANT_DEFAULT;
  await using database = await openMirror(address, { tenant, readOnly: true });
  const rows = await database.readMetadata();
  if (rows.length === 0) throw notAMirror(database.display, tenant);
  return { mirror: database.display, tenant, tables: rows.map(tableStatus) };
}

export const notAMirror = (display: string, tenant: string): SpeilError =>
  new SpeilError('NOT_A_MIRROR', `${display} has no tables that Speil mirrors for the tenant ${tenant}`, {
    hint: 'Is it the mirror, not the source? Another tenant is named with --tenant.',
  });

export function tableStatus(row: MirroredTable): TableStatus {
  const { position, copy } = row;
  const state = copy !== null ? 'copying' : position === null ? 'to be copied' : 'up to date';
  return {
    table: TableName.toText(row.table),
    state,
    lsn: position?.lsn.toString() ?? null,
    rows: row.rows,
    ...(copy === null ? {} : { copiedRows: copy.rows }),
    lineage: (position ?? copy?.start)?.lineage ?? null,
    completedAt: row.completedAt,
  };
}

/** Has these tables copied again by the next cycle, and these only. A task that follows picks it up within seconds. */
export async function resync(
  address: string,
  tables: readonly string[],
  options: { tenant?: string | undefined } = {},
): Promise<{ resynced: string[] }> {
  const tenant = options.tenant ?? TENANT_DEFAULT;
  await using database = await openMirror(address, { tenant });
  const known = await database.readMetadata();
  if (known.length === 0) throw notAMirror(database.display, tenant);
  const chosen = selectTables(
    known.map((row) => row.table),
    { batchBytes: BATCH_BYTES_DEFAULT, skipTables: tables, onlyTables: [] },
  );
  if (chosen.unmatched.length > 0 || chosen.skipped.length === 0) {
    throw new SpeilError('USAGE', `the mirror has no table ${chosen.unmatched.join(', ')}`, {
      hint: '`speil status` lists its tables.',
    });
  }
  await database.transaction({ relaxed: false }, async (tx) => {
    for (const row of await tx.readMetadata(chosen.skipped)) {
      if (!chosen.skipped.some((table) => TableName.equal(table, row.table))) continue;
      await dropShadow(tx, row);
      await tx.saveMetadata({ ...row, position: null, copy: null });
    }
  });
  return { resynced: chosen.skipped.map(TableName.toText) };
}

/** Removes everything that Speil put into a source. Its mirrors copy everything again if they go on. */
export async function untrack(address: string): Promise<{ removed: readonly string[] }> {
  await using source = await openSource(address);
  return { removed: await source.untrack(new AbortController().signal) };
}
