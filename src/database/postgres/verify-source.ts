import { SpeilError } from '../../core/error.ts';
import type { RowBytes } from '../../core/row-batch.ts';
import { schemaHash } from '../../core/schema-hash.ts';
import { TableName } from '../../core/table.ts';
import { escapeField } from '../row-text.ts';
import { alteredError, otherLineageError, untrustedError } from '../verify-errors.ts';
import { type ChangedSince, type HeldTable, KEYS_AT_ONCE, keyFirst } from '../verify-side.ts';
import { judgeTracking, sideTable } from './change-tracking.ts';
import type { PostgresConnection, PostgresLocation } from './connection.ts';
import { judge, notVisibleSql, readFacts, seenSnapshot } from './history.ts';
import { type Catalogue, type PostgresTable, readCatalogue } from './introspect.ts';
import { ident, identList, qualified } from './sql.ts';
import { readTracking, type TrackingState } from './tracking-state.ts';
import { type FieldNormalizer, normalizeLines, upsertsOf, type VerifyTable } from './verify-rows.ts';
import { endSnapshot, HASHING_SETTINGS, type HashFacts, openSession, readHashFacts } from './verify-session.ts';

/** The catalogue and the state of change tracking, as they were when first needed. */
type Known = { readonly catalogue: Catalogue; readonly tracking: TrackingState };

/** What an outdated catalogue can bring about. */
const STALE_CODES: readonly string[] = ['SCHEMA_CHANGED', 'LOCK_TIMEOUT'];

/** A PostgreSQL source as `verify` reads it: nothing is written, not even change tracking. */
export class PostgresVerifySource implements AsyncDisposable {
  readonly kind = 'postgres';
  readonly #location: PostgresLocation;
  #connection: PostgresConnection;
  #known: Known | null = null;
  #hashFacts: HashFacts | null = null;

  private constructor(location: PostgresLocation, connection: PostgresConnection) {
    this.#location = location;
    this.#connection = connection;
  }

  static async open(location: PostgresLocation): Promise<PostgresVerifySource> {
    return new PostgresVerifySource(location, await openSession(location, 'speil verify source'));
  }

  /** What two servers must have in common so that their hashes can be compared. */
  async hashFacts(): Promise<HashFacts> {
    this.#hashFacts ??= await readHashFacts(await this.#session());
    return this.#hashFacts;
  }

  /**
   * Opens a snapshot of one table. Throws when it cannot be told what changed since the position: `OTHER_LINEAGE`,
   * `SCHEMA_CHANGED`, or `TABLE_FAILED` with recovery `repopulate`.
   */
  async openTable(held: HeldTable): Promise<PostgresSourceTable> {
    const connection = await this.#session();
    const stale = this.#known;
    try {
      return await openTable(connection, held, stale ?? (await this.#learn(connection)));
    } catch (error) {
      if (stale === null || !(error instanceof SpeilError) || !STALE_CODES.includes(error.code)) throw error;
      return await openTable(connection, held, await this.#learn(connection));
    }
  }

  async #learn(connection: PostgresConnection): Promise<Known> {
    const catalogue = await readCatalogue(connection, { schemas: null });
    this.#known = { catalogue, tracking: await readTracking(connection) };
    return this.#known;
  }

  async #session(): Promise<PostgresConnection> {
    if (this.#connection.isUsable) return this.#connection;
    await this.#connection[Symbol.asyncDispose]();
    this.#connection = await openSession(this.#location, 'speil verify source');
    return this.#connection;
  }

  /** Ends the session at once, also in the middle of a statement. */
  abort(): void {
    this.#connection.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connection[Symbol.asyncDispose]();
  }
}

async function openTable(connection: PostgresConnection, held: HeldTable, known: Known): Promise<PostgresSourceTable> {
  const table = findTable(held, known);
  const state = known.tracking.tables.get(table.oid);
  const step = judgeTracking(table, state, known.tracking.triggersNow);
  if (state === undefined || step.kind === 'begin') {
    throw untrustedError(held.schema.table, step.kind === 'begin' ? step.reason : 'change tracking was off');
  }
  await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    await connection.query(HASHING_SETTINGS);
    await connection.query(`LOCK TABLE ${fromSql(table)} IN ACCESS SHARE MODE`);
    const facts = await readFacts(connection, [held.position]);
    const verdict = judge(held.position, table.schema.table, facts);
    if (verdict.kind === 'foreign') throw otherLineageError(verdict.explanation);
    if (verdict.kind === 'repopulate') throw untrustedError(held.schema.table, verdict.explanation);
    await requireUnaltered(connection, table);
    const since = sinceSql(held);
    const changed = step.kind === 'extend' ? 'whole' : await readChanged(connection, table, state.n, since);
    return new PostgresSourceTable(connection, { table, n: state.n, since, changed });
  } catch (error) {
    await endSnapshot(connection);
    throw error;
  }
}

const fromSql = (table: PostgresTable): string =>
  `${table.partitioned ? '' : 'ONLY '}${qualified({ schema: table.sourceSchema, name: table.schema.table.name }, '')}`;

function findTable({ schema, schemaHash: hash }: HeldTable, { catalogue }: Known): PostgresTable {
  const isMeant = (table: PostgresTable) => TableName.equal(table.schema.table, schema.table);
  if (catalogue.locked.some(isMeant)) throw lockedError(schema.table);
  const found = catalogue.tables.find(isMeant);
  if (found !== undefined && schemaHash(found.schema) === hash) return found;
  throw alteredError(
    schema.table,
    `${found === undefined ? 'is gone from' : 'was altered in'} the source since the mirror’s last cycle`,
  );
}

const lockedError = (table: TableName): SpeilError =>
  new SpeilError('LOCK_TIMEOUT', `${TableName.toText(table)} is locked in the source`, {
    hint: 'Another session holds the table; see pg_stat_activity. Then verify again.',
    recovery: 'retry',
  });

/** The lock holds back ALTER TABLE; what was altered before it is seen here. */
async function requireUnaltered(connection: PostgresConnection, table: PostgresTable): Promise<void> {
  const rows = await connection.query<{ oid: number; definition: string }>(
    `SELECT attrelid::bigint::float8 AS oid, md5(string_agg(attnum || ':' || xmin || ':' || attisdropped, ',' ORDER BY attnum)) AS definition
     FROM pg_attribute WHERE attnum > 0 AND attrelid = ANY ($1::oid[]) GROUP BY attrelid`,
    [table.writable.map((relation) => relation.oid)],
  );
  const now = new Map(rows.map((row) => [row.oid, row.definition]));
  if (table.writable.every((relation) => now.get(relation.oid) === relation.definition)) return;
  throw alteredError(table.schema.table, 'was altered meanwhile');
}

function sinceSql({ schema, position }: HeldTable): string {
  const snapshot = seenSnapshot(position);
  if (snapshot === null)
    throw new SpeilError('INTERNAL', `position of ${TableName.toText(schema.table)} was not judged`);
  return notVisibleSql('speil_xid', snapshot);
}

async function readChanged(
  connection: PostgresConnection,
  table: PostgresTable,
  n: number,
  since: string,
): Promise<ChangedSince> {
  const first = table.key[0];
  const isMarker = first === undefined ? 'true' : `${ident(first.name)} IS NULL`;
  const row = await connection.one<{ some: boolean; whole: boolean }>(
    `SELECT EXISTS (SELECT FROM ${sideTable(n)} WHERE ${since}) AS some,
       EXISTS (SELECT FROM ${sideTable(n)} WHERE ${since} AND ${isMarker}) AS whole`,
  );
  return row.whole ? 'whole' : row.some ? 'keys' : 'nothing';
}

type SourceTableContent = {
  readonly table: PostgresTable;
  readonly n: number;
  /** Condition on the side table: changes that the mirror's position does not include. */
  readonly since: string;
  readonly changed: ChangedSince;
};

export class PostgresSourceTable implements AsyncDisposable {
  readonly kind = 'postgres';
  readonly changed: ChangedSince;
  /** For reading its rows. */
  readonly rows: VerifyTable;
  readonly #content: SourceTableContent;

  constructor(connection: PostgresConnection, content: SourceTableContent) {
    this.changed = content.changed;
    this.#content = content;
    this.rows = { connection, ...shapeOf(content.table) };
  }

  /** The keys that changed since the mirror's position, as they stand in lines, at most {@link KEYS_AT_ONCE} at a time. */
  async *changedKeys(normalizers: readonly FieldNormalizer[]): AsyncGenerator<readonly string[]> {
    const { table, n, since } = this.#content;
    const { connection } = this.rows;
    const names = table.key.map((_, index) => `k${index + 1}`);
    const texts = table.key.map(({ name }, index) => `format('%s', ${ident(name)}) AS k${index + 1}`);
    const keys = `SELECT DISTINCT ${identList(table.key.map(({ name }) => name))} FROM ${sideTable(n)} WHERE ${since}`;
    await connection.query(`DECLARE speil_changed NO SCROLL CURSOR FOR SELECT ${texts.join(', ')} FROM (${keys}) k`);
    for (let lines: readonly string[] = ['']; lines.length > 0; ) {
      const rows = await connection.query<Readonly<Record<string, string>>>(`FETCH ${KEYS_AT_ONCE} FROM speil_changed`);
      lines = rows.map((row) => names.map((name) => escapeField(row[name] ?? '')).join('\t'));
      if (lines.length > 0) yield normalizeLines(lines, normalizers);
    }
    await connection.query('CLOSE speil_changed');
  }

  /** The rows with these keys as upserts for `MirrorTransaction.apply`, in chunks of about a batch. */
  rowsOf(keys: readonly string[]): AsyncGenerator<RowBytes> {
    return upsertsOf(
      this.rows,
      this.#content.table.schema.columns.map(({ name }) => name),
      keys,
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return endSnapshot(this.rows.connection);
  }
}

/** How the rows of a source's table are read. A domain is compared as its base; what is text in a mirror, as text. */
function shapeOf(table: PostgresTable): Omit<VerifyTable, 'connection'> {
  const asText = new Set(table.key.filter((column) => column.asText).map(({ name }) => name));
  return {
    from: fromSql(table),
    columns: keyFirst(table.schema).map(({ name, type }) => ({ name, type, asText: asText.has(name) })),
    keyCount: table.key.length,
  };
}
