import { createHash } from 'node:crypto';
import { errorReport, SpeilError } from '../../core/error.ts';
import { Lsn } from '../../core/lsn.ts';
import type { SourcePosition } from '../../core/position.ts';
import type { ChangeChunk, CopyChunk } from '../../core/row-batch.ts';
import type { TableSchema } from '../../core/table.ts';
import type { CatchUpTable, SourceSnapshot } from '../source-database.ts';
import type { Catalog, CatalogReader } from './catalog.ts';
import { type Head, lastBookmark, readHeads } from './change-tracking.ts';
import type { Connection } from './connection.ts';
import type { Refusal } from './enable.ts';
import { judgeTable, positionAt } from './judge.ts';
import { netChanges } from './net-changes.ts';
import { nextTurn } from './next-turn.ts';
import { RowReader, tableQuery } from './row-reader.ts';

export type SnapshotRequest = {
  /** A connection that nothing else uses while the snapshot is open. */
  readonly connection: Connection;
  readonly reader: CatalogReader;
  readonly path: string;
  readonly tables: readonly CatchUpTable[];
  readonly signal: AbortSignal;
  /** Makes the description out of the digest of what the snapshot saw. */
  readonly describe: (digest: string) => string;
};

type Sorted = { readonly changed: readonly CatchUpTable[]; readonly refused: readonly Refusal[] };

/** One read transaction. In rollback-journal mode it keeps writers from committing until it is disposed. */
export class SqliteSnapshot implements SourceSnapshot {
  readonly description: string;
  /** A table's last change is kept for ever, so a position that has it never ages. */
  readonly agingBefore = Lsn.zero;
  readonly changed: readonly CatchUpTable[];
  readonly refused: readonly Refusal[];
  readonly #request: SnapshotRequest;
  readonly #catalog: Catalog;
  readonly #heads: ReadonlyMap<number, Head>;
  readonly #bookmark: string | null;

  constructor(request: SnapshotRequest) {
    this.#request = request;
    request.connection.exec('BEGIN');
    try {
      this.#catalog = request.reader.read();
      this.#heads = readHeads(request.connection, this.#catalog.tracked);
      this.#bookmark = lastBookmark(request.connection);
      ({ changed: this.changed, refused: this.refused } = this.#sort());
      this.description = request.describe(digestOf(this.#catalog, this.#heads));
    } catch (error) {
      request.connection.rollback();
      throw error;
    }
  }

  position(schema: TableSchema): SourcePosition {
    const { tracking } = this.#request.reader.require(this.#catalog, schema);
    const head = this.#heads.get(tracking.n);
    if (head === undefined) throw new Error(`no changes of ${schema.table.name} are kept`);
    return positionAt(this.#catalog.tracked, { tracking, head, path: this.#request.path, bookmark: this.#bookmark });
  }

  async *changes({ schema, since }: CatchUpTable, chunkBytes: number): AsyncGenerator<ChangeChunk, void, undefined> {
    const { connection, reader, signal } = this.#request;
    const found = reader.require(this.#catalog, schema);
    for (const chunk of netChanges(connection, { ...found, since: since.lsn, chunkBytes })) {
      signal.throwIfAborted();
      yield chunk;
      await nextTurn();
    }
  }

  async *rows(schema: TableSchema, chunkBytes: number): AsyncGenerator<CopyChunk, void, undefined> {
    const { connection, reader, signal } = this.#request;
    const { table, tracking } = reader.require(this.#catalog, schema);
    const rows = new RowReader(connection, tableQuery(table, tracking.keyed));
    for (let chunk = rows.read(null, chunkBytes); ; chunk = rows.read(chunk.cursor, chunkBytes)) {
      signal.throwIfAborted();
      yield { ...chunk, progress: JSON.stringify(chunk.cursor) };
      if (chunk.done) return;
      await nextTurn();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#request.connection.rollback();
  }

  #sort(): Sorted {
    const changed: CatchUpTable[] = [];
    const refused: Refusal[] = [];
    for (const table of this.#request.tables) {
      try {
        if (this.#hasChanged(table)) changed.push(table);
      } catch (error) {
        refused.push({ table: table.schema.table, error: errorReport(error) });
      }
    }
    return { changed, refused };
  }

  #hasChanged({ schema, since }: CatchUpTable): boolean {
    const { connection, reader } = this.#request;
    const { tracking } = reader.require(this.#catalog, schema);
    const verdict = judgeTable(connection, { tracking, heads: this.#heads, position: since });
    if (verdict.kind === 'continue') return this.#heads.get(tracking.n)?.lsn !== since.lsn;
    throw new SpeilError('SCHEMA_CHANGED', `${schema.table.name}: ${verdict.explanation}.`, { recovery: 'repopulate' });
  }
}

/** Equal digests mean that no tracked table changed, and no table's definition. */
export function digestOf(catalog: Catalog, heads: ReadonlyMap<number, Head>): string {
  const hash = createHash('sha256').update(`${catalog.schemaVersion}`);
  for (const [n, { lsn, tag }] of heads) hash.update(` ${n} ${lsn} ${tag}`);
  return hash.digest('hex');
}
