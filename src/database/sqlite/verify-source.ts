import type { RowBytes } from '../../core/row-batch.ts';
import { schemaHash } from '../../core/schema-hash.ts';
import { alteredError, otherLineageError, untrustedError } from '../verify-errors.ts';
import { type ChangedSince, type FieldForm, type HeldTable, KEYS_AT_ONCE, keyFirst } from '../verify-side.ts';
import { type Catalog, CatalogReader } from './catalog.ts';
import { isComplete, readHeads, type Tracking } from './change-tracking.ts';
import { Connection, realPath } from './connection.ts';
import { hasNullKey, type SqliteTable } from './introspect.ts';
import { judgeAll } from './judge.ts';
import { nextTurn } from './next-turn.ts';
import type { SqliteLocation } from './source.ts';
import { sideKey, sideTable } from './triggers.ts';
import { exactField, exactSql } from './values.ts';
import { SqliteLines, type VerifyTable } from './verify-rows.ts';

/** A SQLite source as `verify` reads it: nothing is written, not even change tracking. */
export class SqliteVerifySource implements AsyncDisposable {
  readonly kind = 'sqlite';
  readonly #connection: Connection;
  readonly #reader: CatalogReader;
  readonly #path: string;

  constructor({ path, display }: SqliteLocation) {
    this.#connection = new Connection(path, { display, access: 'read-only' });
    this.#reader = new CatalogReader(this.#connection);
    this.#path = realPath(path);
  }

  /**
   * Opens a snapshot of one table. Throws when it cannot be told what changed since the position: `OTHER_LINEAGE`,
   * `SCHEMA_CHANGED`, or `TABLE_FAILED` with recovery `repopulate`.
   */
  async openTable(held: HeldTable): Promise<SqliteSourceTable> {
    this.#connection.exec('BEGIN');
    try {
      const catalog = this.#reader.read();
      const found = this.#find(catalog, held);
      this.#requireTrusted(catalog, found, held);
      return new SqliteSourceTable(this.#connection, {
        ...found,
        held,
        changed: this.#readChanged(catalog, found.tracking, held),
      });
    } catch (error) {
      this.#connection.rollback();
      throw error;
    }
  }

  #find(catalog: Catalog, held: HeldTable): { readonly table: SqliteTable; readonly tracking: Tracking } {
    const table = catalog.tables.get(held.schema.table.name);
    if (table === undefined)
      throw alteredError(held.schema.table, 'is gone from the source since the mirror’s last cycle');
    const tracking = catalog.tracked.tables.get(table.name);
    if (tracking === undefined)
      throw untrustedError(held.schema.table, 'its change tracking was removed from the source');
    if (schemaHash(this.#reader.schemaOf(table, tracking)) !== held.schemaHash)
      throw alteredError(held.schema.table, 'was altered in the source since the mirror’s last cycle');
    return { table, tracking };
  }

  #requireTrusted(
    catalog: Catalog,
    { table, tracking }: { table: SqliteTable; tracking: Tracking },
    held: HeldTable,
  ): void {
    const [verdict] = judgeAll(this.#connection, [{ table: held.schema.table, position: held.position }], this.#path);
    if (verdict?.kind === 'foreign') throw otherLineageError(verdict.explanation);
    if (verdict?.kind === 'repopulate') throw untrustedError(held.schema.table, verdict.explanation);
    if (!isComplete(tracking, table, catalog.triggers))
      throw untrustedError(held.schema.table, 'change tracking was off');
    if (tracking.keyed && hasNullKey(this.#connection, table))
      throw untrustedError(held.schema.table, 'it has a row whose key is null');
  }

  #readChanged(catalog: Catalog, tracking: Tracking, { position }: HeldTable): ChangedSince {
    const tables = new Map([[tracking.table, tracking]]);
    const head = readHeads(this.#connection, { ...catalog.tracked, tables }).get(tracking.n);
    if (head?.lsn === position.lsn) return 'nothing';
    return tracking.keyed ? 'keys' : 'whole';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection[Symbol.dispose]();
  }
}

type SourceTableContent = {
  readonly table: SqliteTable;
  readonly tracking: Tracking;
  readonly held: HeldTable;
  readonly changed: ChangedSince;
};

export class SqliteSourceTable implements AsyncDisposable {
  readonly kind = 'sqlite';
  readonly changed: ChangedSince;
  readonly #connection: Connection;
  readonly #content: SourceTableContent;

  constructor(connection: Connection, content: SourceTableContent) {
    this.changed = content.changed;
    this.#connection = connection;
    this.#content = content;
  }

  /** Its rows; `forms` in the order of {@link keyFirst}. */
  lines(forms: readonly FieldForm[]): SqliteLines {
    return new SqliteLines(this.#rows, forms);
  }

  get #rows(): VerifyTable {
    const { table, tracking, held } = this.#content;
    const columns = keyFirst(held.schema).map(({ name }) => name);
    return {
      connection: this.#connection,
      table,
      columns,
      keyCount: held.schema.key.length,
      withoutNullKeys: tracking.keyed,
    };
  }

  /** The keys that changed since the mirror's position, as they stand in lines, at most {@link KEYS_AT_ONCE} at a time. */
  async *changedKeys(forms: readonly FieldForm[]): AsyncGenerator<readonly string[]> {
    const { table, tracking, held } = this.#content;
    const encoding = String(this.#connection.value('PRAGMA encoding'));
    const keys = table.key.map((_, index) => sideKey(index));
    const groups = [...keys, ...keys.map((key) => `typeof(${key})`)];
    const notNull = keys.map((key) => `${key} IS NOT NULL`).join(' AND ');
    const sql = `SELECT ${keys.map(exactSql).join(', ')} FROM main.${sideTable(tracking.n)} WHERE lsn > ? AND ${notNull} GROUP BY ${groups.join(', ')}`;
    let lines: string[] = [];
    for (const row of this.#connection.iterate(sql, held.position.lsn)) {
      const fields = row.map((value) => exactField(value, encoding));
      lines.push(
        fields.map((field, index) => (field === null ? '\\N' : (forms[index]?.toLine(field) ?? ''))).join('\t'),
      );
      if (lines.length < KEYS_AT_ONCE) continue;
      yield lines;
      lines = [];
      await nextTurn();
    }
    if (lines.length > 0) yield lines;
  }

  /** The rows with these keys as upserts for `MirrorTransaction.apply`, in chunks of about a batch. */
  rowsOf(keys: readonly string[], forms: readonly FieldForm[]): AsyncGenerator<RowBytes> {
    return this.lines(forms).upserts(
      keys,
      this.#content.held.schema.columns.map(({ name }) => name),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.rollback();
  }
}
