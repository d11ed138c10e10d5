import { type ErrorReport, errorReport, SpeilError } from '../../core/error.ts';
import { Lsn } from '../../core/lsn.ts';
import type { SourcePosition } from '../../core/position.ts';
import type { ChangeChunk, CopyChunk } from '../../core/row-batch.ts';
import { TableName, type TableSchema } from '../../core/table.ts';
import { cutAtRows } from '../row-chunks.ts';
import { countRows } from '../row-text.ts';
import type { CatchUpTable, SourceSnapshot } from '../source-database.ts';
import { sideTable } from './change-tracking.ts';
import type { PostgresConnection } from './connection.ts';
import { notVisibleSql, type Present, positionAt, readPresent, Snapshot, seenSnapshot } from './history.ts';
import type { KeyColumn, PostgresTable } from './introspect.ts';
import { ident, identList, textOf } from './sql.ts';

/** A table with its change tracking, as `enableTracking` left it. */
export type TrackedPostgresTable = {
  readonly table: PostgresTable;
  readonly n: number;
  readonly trackingId: string;
  readonly isNew: boolean;
};

export type TrackedCatchUp = CatchUpTable & { readonly tracked: TrackedPostgresTable };

type Refusal = { readonly table: TableName; readonly error: ErrorReport };

/** More tables may begin to change while those that did are being locked; then all of them are locked. */
const ATTEMPTS_MAX = 3;

/**
 * Opens the one snapshot of a cycle. TRUNCATE and rewriting ALTER TABLE are not MVCC-safe: a table that is truncated
 * after the snapshot was taken looks empty in it. So the tables that have changes are locked (ACCESS SHARE) *before*
 * the snapshot is taken. Which those are shows in a snapshot: so it is taken, looked at, and if there are changes in tables
 * that are not locked, those are locked and it is taken again. A cycle without changes takes one snapshot and no lock.
 */
export async function openPostgresSnapshot(
  connection: PostgresConnection,
  tables: readonly TrackedCatchUp[],
  signal: AbortSignal,
): Promise<SourceSnapshot> {
  let lockable = tables;
  const refused: Refusal[] = [];
  let toLock: readonly TrackedCatchUp[] = [];
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    try {
      const failed = await lockAll(connection, toLock);
      if (failed !== null) {
        refused.push(failed);
        lockable = lockable.filter((table) => !TableName.equal(table.schema.table, failed.table));
        toLock = toLock.filter((table) => !TableName.equal(table.schema.table, failed.table));
        await connection.query('ROLLBACK');
        continue;
      }
      const present = await readPresent(connection);
      const changed = await findChanged(connection, lockable);
      if (changed.every((table) => toLock.includes(table))) {
        const altered = await findAltered(connection, toLock);
        const usable = changed.filter(
          (table) => !altered.some((refusal) => TableName.equal(refusal.table, table.schema.table)),
        );
        return new PostgresSnapshot(connection, { present, changed: usable, refused: [...refused, ...altered] });
      }
      await connection.query('ROLLBACK');
      toLock = attempt >= ATTEMPTS_MAX ? lockable : [...new Set([...toLock, ...changed])];
    } catch (error) {
      if (connection.isUsable) await connection.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }
}

/** Locks all in one statement; when that fails, finds the one that cannot be had. */
async function lockAll(connection: PostgresConnection, tables: readonly TrackedCatchUp[]): Promise<Refusal | null> {
  if (tables.length === 0) return null;
  try {
    await connection.query('SAVEPOINT locks');
    await connection.query(`LOCK TABLE ${tables.map(lockName).join(', ')} IN ACCESS SHARE MODE`);
    return null;
  } catch (error) {
    if (!connection.isUsable) throw error;
    await connection.query('ROLLBACK TO SAVEPOINT locks');
    return findUnlockable(connection, tables, error);
  }
}

const lockName = ({ tracked: { table } }: TrackedCatchUp): string =>
  `${table.partitioned ? '' : 'ONLY '}${relationName(table)}`;

const relationName = (table: PostgresTable): string => `${ident(table.sourceSchema)}.${ident(table.schema.table.name)}`;

async function findUnlockable(
  connection: PostgresConnection,
  tables: readonly TrackedCatchUp[],
  first: unknown,
): Promise<Refusal> {
  for (const table of tables) {
    try {
      await connection.query(`LOCK TABLE ${lockName(table)} IN ACCESS SHARE MODE NOWAIT`);
    } catch (error) {
      if (!connection.isUsable) throw error;
      await connection.query('ROLLBACK TO SAVEPOINT locks');
      return { table: table.schema.table, error: errorReport(error) };
    }
  }
  throw first;
}

/**
 * Which of the tables have changes that their position does not include. First one prepared statement for all, which
 * the server need not plan anew: changes from the horizon on. Then the exact question for the few that it finds.
 */
async function findChanged(
  connection: PostgresConnection,
  tables: readonly TrackedCatchUp[],
): Promise<readonly TrackedCatchUp[]> {
  const suspected = await existing(connection, tables, (_, index) => `speil_xid >= $1[${index + 1}]`);
  if (suspected.length === 0) return [];
  return existing(connection, suspected, (table) => sinceSql('speil_xid', table));
}

async function existing(
  connection: PostgresConnection,
  tables: readonly TrackedCatchUp[],
  condition: (table: TrackedCatchUp, index: number) => string,
): Promise<readonly TrackedCatchUp[]> {
  if (tables.length === 0) return [];
  const tests = tables.map(
    (table, index) =>
      `SELECT ${index} AS i WHERE EXISTS (SELECT FROM ${sideTable(table.tracked.n)} WHERE ${condition(table, index)})`,
  );
  const sql = tests.join(' UNION ALL ');
  const horizons = tables.map((table) => snapshotOf(table).xmin.toString());
  const rows = sql.includes('$1')
    ? await connection.queryPrepared<{ i: number }>(sql.replaceAll('$1', '($1::xid8[])'), [horizons])
    : await connection.query<{ i: number }>(sql);
  const found = new Set(rows.map((row) => row.i));
  return tables.filter((_, index) => found.has(index));
}

const sinceSql = (column: string, table: CatchUpTable): string => notVisibleSql(column, snapshotOf(table));

function snapshotOf({ since, schema }: CatchUpTable): Snapshot {
  const snapshot = seenSnapshot(since);
  if (snapshot === null)
    throw new SpeilError('INTERNAL', `position of ${TableName.toText(schema.table)} was not judged`);
  return snapshot;
}

/** Tables that were altered between the reading of their schema and the lock. */
async function findAltered(
  connection: PostgresConnection,
  tables: readonly TrackedCatchUp[],
): Promise<readonly Refusal[]> {
  if (tables.length === 0) return [];
  const oids = tables.flatMap(({ tracked }) => tracked.table.writable.map((relation) => relation.oid));
  const rows = await connection.query<{ oid: number; definition: string }>(
    `SELECT attrelid::bigint::float8 AS oid, md5(string_agg(attnum || ':' || xmin || ':' || attisdropped, ',' ORDER BY attnum)) AS definition
     FROM pg_attribute WHERE attnum > 0 AND attrelid = ANY ($1::oid[]) GROUP BY attrelid`,
    [oids],
  );
  const now = new Map(rows.map((row) => [row.oid, row.definition]));
  const isAltered = ({ tracked }: TrackedCatchUp) =>
    tracked.table.writable.some((relation) => now.get(relation.oid) !== relation.definition);
  return tables.filter(isAltered).map(({ schema }) => ({
    table: schema.table,
    error: errorReport(
      new SpeilError('SCHEMA_CHANGED', `${TableName.toText(schema.table)} was altered during the cycle`, {
        hint: 'The next cycle reads its new schema.',
        recovery: 'retry',
      }),
    ),
  }));
}

type SnapshotContent = {
  readonly present: Present;
  readonly changed: readonly TrackedCatchUp[];
  readonly refused: readonly Refusal[];
};

class PostgresSnapshot implements SourceSnapshot {
  readonly changed: readonly TrackedCatchUp[];
  readonly refused: readonly Refusal[];
  readonly description: string;
  readonly agingBefore: Lsn;
  readonly #connection: PostgresConnection;
  readonly #present: Present;

  constructor(connection: PostgresConnection, { present, changed, refused }: SnapshotContent) {
    this.#connection = connection;
    this.#present = present;
    this.changed = changed;
    this.refused = refused;
    this.description = Snapshot.toText(present.snapshot);
    this.agingBefore = Lsn.of(present.agingBefore);
  }

  position(table: TableSchema): SourcePosition {
    return positionAt(this.#present, table.identity);
  }

  async *changes(table: CatchUpTable, chunkBytes: number): AsyncGenerator<ChangeChunk> {
    const tracked = this.#find(table.schema);
    const { truncated } = await this.#connection.one<{ truncated: boolean }>(
      `SELECT EXISTS (SELECT FROM ${sideTable(tracked.tracked.n)} WHERE ${sinceSql('speil_xid', table)}
         AND ${ident(table.schema.key[0] ?? '')} IS NULL) AS truncated`,
    );
    let truncateFirst = truncated;
    for await (const rows of cutAtRows(this.#connection.copyOut(changesSql(tracked)), chunkBytes)) {
      yield { rows, rowCount: countRows(rows), truncateFirst, done: false };
      truncateFirst = false;
    }
    yield { rows: new Uint8Array(), rowCount: 0, truncateFirst, done: true };
  }

  async *rows(table: TableSchema, chunkBytes: number): AsyncGenerator<CopyChunk> {
    const { tracked } = this.#find(table);
    const columns = identList(table.columns.map((column) => column.name));
    const sql = `COPY (SELECT ${columns} FROM ${tracked.table.partitioned ? '' : 'ONLY '}${relationName(tracked.table)}) TO STDOUT`;
    for await (const rows of cutAtRows(this.#connection.copyOut(sql), chunkBytes)) {
      yield { rows, rowCount: countRows(rows), progress: '', done: false };
    }
    yield { rows: new Uint8Array(), rowCount: 0, progress: '', done: true };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#connection.isUsable) await this.#connection.query('ROLLBACK').catch(() => undefined);
  }

  #find(schema: TableSchema): TrackedCatchUp {
    const found = this.changed.find((table) => TableName.equal(table.schema.table, schema.table));
    if (found !== undefined) return found;
    throw new SpeilError('INTERNAL', `${TableName.toText(schema.table)} has no changes in this snapshot`);
  }
}

/**
 * Net changes: the keys that changed, each once, joined with the table as it is in this snapshot. No row any more: a
 * delete. A key that was only spelled anew (`1.0` to `1.00`) is a delete and a new row, in this order: a mirror of
 * another kind compares texts.
 */
function changesSql(catchUp: TrackedCatchUp): string {
  const { table, n } = catchUp.tracked;
  const keys = identList(table.key.map((column) => column.name));
  const first = table.key[0]?.name ?? '';
  const respellable = table.key.filter((column) => column.respellable);
  const texts = respellable.map(({ name }) => `, ${textOf(ident(name))}`).join('');
  const changed = `SELECT ${keys} FROM ${sideTable(n)} WHERE ${sinceSql('speil_xid', catchUp)} AND ${ident(first)} IS NOT NULL GROUP BY ${keys}${texts}`;
  const columns = table.schema.columns.map((column) => {
    const key = table.key.find((candidate) => candidate.name === column.name);
    return key === undefined ? `t.${ident(column.name)}` : keyValueSql(key);
  });
  return `${table.key.some((column) => column.asText) ? AS_PLANNED : IN_KEY_ORDER}; COPY (SELECT CASE WHEN t.${ident(first)} IS NULL THEN 'D' ELSE 'U' END, ${columns.join(', ')}
    FROM (${changed}) c LEFT JOIN ${table.partitioned ? '' : 'ONLY '}${relationName(table)} t
      ON ${table.key.map(joinSql).join(' AND ')}${respellable.length === 0 ? '' : ' ORDER BY 1'}) TO STDOUT`;
}

/**
 * Sorts the keys and looks the rows up in that order, on both sides: neighbours share pages. Hashing would hand them out
 * in disorder, and what it saves here costs several times as much on the mirror. Not where keys are compared as texts,
 * for which the table has no index.
 */
const IN_KEY_ORDER = 'SET LOCAL enable_hashagg = off; SET LOCAL enable_hashjoin = off';
const AS_PLANNED = 'SET LOCAL enable_hashagg TO DEFAULT; SET LOCAL enable_hashjoin TO DEFAULT';

const keyValueSql = ({ name, asText }: KeyColumn): string =>
  asText ? `c.${ident(name)}` : `coalesce(t.${ident(name)}, c.${ident(name)})`;

function joinSql({ name, asText, respellable }: KeyColumn): string {
  const [row, changed] = [`t.${ident(name)}`, `c.${ident(name)}`];
  if (asText) return `${textOf(row)} = ${changed}`;
  const equal = `${row} = ${changed}`;
  return respellable ? `${equal} AND ${textOf(row)} = ${textOf(changed)}` : equal;
}
