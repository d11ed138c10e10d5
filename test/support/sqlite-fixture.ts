import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { schemaHash } from '../../src/core/schema-hash.ts';
import { rowFormatOf, type TableSchema } from '../../src/core/table.ts';
import type { MirrorDatabase, MirroredTable, WriteTarget } from '../../src/database/mirror-database.ts';
import type { CatchUpTable, SourceDatabase } from '../../src/database/source-database.ts';
import { openSqliteMirror } from '../../src/database/sqlite/mirror.ts';
import { openSqliteSource } from '../../src/database/sqlite/source.ts';
import { systemClock } from '../../src/runtime/system-clock.ts';
import { systemRandom } from '../../src/runtime/system-random.ts';

export const deps = { clock: systemClock, random: systemRandom };
export const noSignal: AbortSignal = new AbortController().signal;

/** A folder of SQLite files that goes away with the test. */
export class SqliteFixture implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'speil-sqlite-'));
  readonly #open: (Disposable | AsyncDisposable)[] = [];

  path(name: string): string {
    return join(this.folder, name);
  }

  location(name: string) {
    return { kind: 'sqlite', path: this.path(name), display: name } as const;
  }

  /** A plain connection, as another program would have it. */
  plain(name: string, sql = ''): DatabaseSync {
    const database = new DatabaseSync(this.path(name), { enableForeignKeyConstraints: false });
    database.exec(sql);
    this.#open.push({ [Symbol.dispose]: () => database.isOpen && database.close() });
    return database;
  }

  async source(name = 'source.db', given: Partial<typeof deps> = {}): Promise<SourceDatabase> {
    const source = await openSqliteSource(this.location(name), { ...deps, ...given });
    this.#open.push(source);
    return source;
  }

  async mirror(name = 'mirror.db', options: { readOnly?: boolean } = {}): Promise<MirrorDatabase> {
    const mirror = await openSqliteMirror(this.location(name), { ...deps, tenant: 'speil', ...options });
    this.#open.push(mirror);
    return mirror;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#open.reverse()) {
      if (Symbol.asyncDispose in one) await one[Symbol.asyncDispose]();
      else one[Symbol.dispose]();
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const target = (schema: TableSchema, shadow: string | null = null): WriteTarget => ({ schema, shadow, widened: {} });

/**
 * The least that makes a mirror equal to its source, with nothing of a real task but the order of its calls. Answers
 * which tables were copied whole.
 */
export async function mirrorOnce(
  source: SourceDatabase,
  mirror: MirrorDatabase,
  chunkBytes = 2_000,
): Promise<readonly string[]> {
  const copied: string[] = [];
  const { tables } = await source.enableTracking(await source.listTables({ schemas: null }, noSignal), noSignal);
  const held = await mirror.readMetadata();
  const catchUp: CatchUpTable[] = [];
  for (const { schema } of tables) {
    const known = held.find(({ table }) => table.name === schema.table.name);
    const position = known?.schemaHash === schemaHash(schema) ? known.position : null;
    const [verdict] = position === null ? [] : await source.judge([{ table: schema.table, position }], noSignal);
    if (position !== null && verdict?.kind === 'continue') catchUp.push({ schema, since: position });
    else {
      copied.push(schema.table.name);
      catchUp.push({ schema, since: await copyTable(source, mirror, schema, chunkBytes) });
    }
  }
  await catchUpTables(source, mirror, catchUp, chunkBytes);
  return copied;
}

async function copyTable(source: SourceDatabase, mirror: MirrorDatabase, schema: TableSchema, chunkBytes: number) {
  const start = await source.copyStart(schema, noSignal);
  const shadow = target(schema, 'speil_shadow');
  const format = rowFormatOf(schema.dialect);
  await mirror.transaction({ relaxed: true }, async (tx) => {
    await tx.ensureMetadata();
    await tx.dropTable({ table: schema.table, shadow: 'speil_shadow' });
    await tx.createTable(shadow, false);
  });
  for await (const { rows, rowCount } of source.copy(schema, { progress: null, chunkBytes, signal: noSignal })) {
    await mirror.transaction({ relaxed: true }, async (tx) => tx.load(shadow, { rows, rowCount, format }));
  }
  await mirror.transaction({ relaxed: true }, async (tx) => {
    await tx.buildKey(shadow);
    await tx.swap(shadow);
    await tx.saveMetadata(metadataRow(schema, start));
  });
  return start;
}

async function catchUpTables(
  source: SourceDatabase,
  mirror: MirrorDatabase,
  tables: readonly CatchUpTable[],
  chunkBytes: number,
) {
  await using snapshot = await source.openSnapshot(tables, noSignal);
  const [refused] = snapshot.refused;
  if (refused !== undefined) throw new Error(refused.error.message);
  for (const table of snapshot.changed) {
    const { schema } = table;
    const format = rowFormatOf(schema.dialect);
    const position = snapshot.position(schema);
    await mirror.transaction({ relaxed: true }, async (tx) => {
      if (schema.key.length === 0) {
        await tx.deleteAll(target(schema));
        for await (const { rows, rowCount } of snapshot.rows(schema, chunkBytes)) {
          await tx.load(target(schema), { rows, rowCount, format });
        }
      } else {
        for await (const { rows, rowCount } of snapshot.changes(table, chunkBytes)) {
          await tx.apply(target(schema), { rows, rowCount, format });
        }
      }
      await tx.saveMetadata(metadataRow(schema, position));
    });
  }
}

export const metadataRow = (schema: TableSchema, position: MirroredTable['position']): MirroredTable => ({
  table: schema.table,
  schema,
  schemaHash: schemaHash(schema),
  position,
  widened: {},
  nullablePending: [],
  copy: null,
  exists: true,
  rows: 0,
  completedAt: null,
});

/** The first column of the first row that a query gives. */
export function firstValue(database: DatabaseSync, sql: string, ...values: readonly string[]): unknown {
  const statement = database.prepare(sql);
  statement.setReturnArrays(true);
  return (statement.get(...values) as unknown as readonly unknown[] | undefined)?.[0];
}

/** The rows of a table as SQLite prints them exactly, with their storage classes, sorted. */
export function dumpTable(database: DatabaseSync, table: string): readonly string[] {
  const name = table.replaceAll('"', '""');
  const columns = database.prepare('SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 1').all(table);
  const values = columns.map(({ name: column }) => {
    const quoted = `"${String(column).replaceAll('"', '""')}"`;
    return `typeof(${quoted}) || ':' || hex(CAST(${quoted} AS BLOB)) || ifnull(quote(${quoted}), '')`;
  });
  const rows = database.prepare(`SELECT ${values.join(" || '|' || ")} AS row FROM "${name}"`).all();
  return rows.map(({ row }) => String(row)).sort();
}
