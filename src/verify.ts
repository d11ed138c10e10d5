import { SpeilError } from './core/error.ts';
import { BATCH_BYTES_DEFAULT } from './core/limits.ts';
import type { MirroredTable } from './database/mirror-database.ts';
import { parseLocation } from './database/parse-location.ts';
import { PostgresVerifyMirror } from './database/postgres/verify-mirror.ts';
import { PostgresVerifySource } from './database/postgres/verify-source.ts';
import { SqliteVerifyMirror } from './database/sqlite/verify-mirror.ts';
import { SqliteVerifySource } from './database/sqlite/verify-source.ts';
import { otherLineageError } from './database/verify-errors.ts';
import { notAMirror, TENANT_DEFAULT } from './mirror.ts';
import { Ends, runtime, thisProcess } from './open.ts';
import { selectTables } from './task/preferences.ts';
import type { VerifyMirror, VerifySource } from './verification/pair.ts';
import type { TableVerdict, VerifyProgress } from './verification/verify-table.ts';
import { verifyTables } from './verification/verify-tables.ts';

export type { TableVerdict, VerifyProgress } from './verification/verify-table.ts';

export type VerifyOptions = {
  /** `postgres://…`, `sqlite:<path>` or a path that ends in .db, .sqlite or .sqlite3. */
  readonly source: string;
  readonly mirror: string;
  /** Only these tables; case and blanks do not matter. */
  readonly tables?: readonly string[] | undefined;
  /** Copies the rows that differ. The mirror is held meanwhile: no task can write it. */
  readonly repair?: boolean | undefined;
  /** `speil`. */
  readonly tenant?: string | undefined;
  /** Ends at once; the promise is then rejected with `INTERRUPTED`. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined;
};

export type VerifyReport = {
  /** No table differs and every one could be compared. Rows that are pending are not counted as different. */
  readonly identical: boolean;
  readonly tables: readonly TableVerdict[];
};

/**
 * Proves that each table of a mirror equals its source's at the position that the mirror holds, while both are written.
 * Nothing is written to the source. Tables that cannot be compared have an error in the report and hinder no other.
 */
export async function verify(options: VerifyOptions): Promise<VerifyReport> {
  const { signal = new AbortController().signal } = options;
  try {
    signal.throwIfAborted();
    return await verifyAll(options, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new SpeilError('INTERRUPTED', 'interrupted; nothing is known of the tables that were not reported', {
      hint: 'The same command begins again.',
      recovery: 'retry',
      cause: error,
    });
  }
}

async function verifyAll(options: VerifyOptions, signal: AbortSignal): Promise<VerifyReport> {
  const { tenant = TENANT_DEFAULT, repair = false, onProgress = () => {} } = options;
  await using ends = await Ends.open(options, { tenant, readOnly: !repair });
  const rows = chooseTables(await readMirrored(ends, tenant), options.tables ?? []);
  await refuseOtherLineage(ends, rows, signal);
  await using _held = repair ? await ends.mirror.hold(thisProcess()) : null;
  await using source = await openVerifySource(options.source);
  await using mirror = await openVerifyMirror(options.mirror, tenant);
  using _ = abortWith(signal, [source, mirror]);
  const sameHashes = await hashAlike(source, mirror);
  const context = {
    source,
    mirror,
    sameHashes,
    repairIn: repair ? ends.mirror : null,
    clock: runtime.clock,
    signal,
    onProgress,
  };
  const tables = await verifyTables(context, rows);
  return { identical: tables.every((table) => table.error === undefined && table.differenceCount === 0), tables };
}

async function readMirrored(ends: Ends, tenant: string): Promise<readonly MirroredTable[]> {
  const rows = await ends.mirror.readMetadata();
  if (rows.length === 0) throw notAMirror(ends.mirror.display, tenant);
  return rows;
}

function chooseTables(rows: readonly MirroredTable[], names: readonly string[]): readonly MirroredTable[] {
  const preferences = { batchBytes: BATCH_BYTES_DEFAULT, skipTables: [], onlyTables: names };
  const chosen = selectTables(
    rows.map((row) => row.table),
    preferences,
  );
  if (chosen.unmatched.length > 0) {
    throw new SpeilError('USAGE', `the mirror has no table ${chosen.unmatched.join(', ')}`, {
      hint: '`speil status` lists its tables.',
    });
  }
  return rows.filter((row) => chosen.mirrored.includes(row.table));
}

async function refuseOtherLineage(
  { source }: Ends,
  rows: readonly MirroredTable[],
  signal: AbortSignal,
): Promise<void> {
  const held = rows.flatMap(({ position }) => (position === null ? [] : [{ table: null, position }]));
  const verdicts = await source.judge(held, signal);
  const foreign = verdicts.find((verdict) => verdict.kind === 'foreign');
  if (foreign !== undefined) throw otherLineageError(foreign.explanation);
}

async function openVerifySource(address: string): Promise<VerifySource> {
  const location = parseLocation(address);
  return location.kind === 'postgres' ? PostgresVerifySource.open(location) : new SqliteVerifySource(location);
}

async function openVerifyMirror(address: string, tenant: string): Promise<VerifyMirror> {
  const location = parseLocation(address);
  return location.kind === 'postgres'
    ? PostgresVerifyMirror.open(location, tenant)
    : new SqliteVerifyMirror(location, tenant);
}

async function hashAlike(source: VerifySource, mirror: VerifyMirror): Promise<boolean> {
  if (source.kind !== 'postgres' || mirror.kind !== 'postgres') return false;
  const [ours, theirs] = [await source.hashFacts(), await mirror.hashFacts()];
  return ours.encoding === theirs.encoding && ours.hash === theirs.hash;
}

/** A server that sums up a large table notices nothing until it is done; its session is ended instead. */
function abortWith(signal: AbortSignal, sides: readonly (VerifySource | VerifyMirror)[]): Disposable {
  const abort = () => {
    for (const side of sides) if (side.kind === 'postgres') side.abort();
  };
  signal.addEventListener('abort', abort, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', abort) };
}
