import { SpeilError } from '../../core/error.ts';
import { schemaHash } from '../../core/schema-hash.ts';
import type { TableName, TableSchema } from '../../core/table.ts';
import { readTracked, readTriggers, type Tracked, type Tracking, type Triggers } from './change-tracking.ts';
import type { Connection } from './connection.ts';
import { type Introspection, introspect, type SqliteTable, toSchema } from './introspect.ts';

/** What a source holds, as one transaction sees it. */
export type Catalog = Introspection & {
  readonly schemaVersion: bigint;
  readonly triggers: Triggers;
  readonly tracked: Tracked;
};

/** Reads catalogs through one connection; looks at the tables again only when the schema's version moved. */
export class CatalogReader {
  readonly #connection: Connection;
  #known: Omit<Catalog, 'tracked'> | null = null;
  #schemas = new Map<string, { readonly of: SqliteTable; readonly schema: TableSchema }>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Inside a transaction. */
  read(): Catalog {
    const schemaVersion = this.#connection.value('PRAGMA schema_version') as bigint;
    if (this.#known?.schemaVersion !== schemaVersion) {
      const triggers = readTriggers(this.#connection);
      this.#known = { ...introspect(this.#connection), schemaVersion, triggers };
    }
    return { ...this.#known, tracked: readTracked(this.#connection) };
  }

  /** The schema of a table as tracking sees it; made once as long as nothing changes. */
  schemaOf(table: SqliteTable, tracking: Tracking): TableSchema {
    const known = this.#schemas.get(tracking.id);
    if (known?.of === table) return known.schema;
    const schema = toSchema(table, { identity: tracking.id, keyed: tracking.keyed });
    this.#schemas.set(tracking.id, { of: table, schema });
    return schema;
  }

  /** Finds a table that is still what `schema` says; else throws `SCHEMA_CHANGED`. */
  require(catalog: Catalog, schema: TableSchema): { readonly table: SqliteTable; readonly tracking: Tracking } {
    const table = findTable(catalog, schema.table);
    const tracking = catalog.tracked.tables.get(table.name);
    if (tracking?.id === schema.identity && hashOf(this.schemaOf(table, tracking)) === hashOf(schema))
      return { table, tracking };
    throw new SpeilError('SCHEMA_CHANGED', `${table.name} was altered while it was read.`, {
      recovery: 'retry',
      hint: 'Nothing to do: the next cycle adapts the mirror.',
    });
  }
}

const hashes = new WeakMap<TableSchema, string>();

/** The hash of a schema, computed once for each object. */
function hashOf(schema: TableSchema): string {
  const known = hashes.get(schema) ?? schemaHash(schema);
  hashes.set(schema, known);
  return known;
}

export function findTable(catalog: Catalog, { name }: TableName): SqliteTable {
  const table = catalog.tables.get(name);
  if (table !== undefined) return table;
  throw new SpeilError('SCHEMA_CHANGED', `There is no table ${name} any more.`, {
    recovery: 'retry',
    hint: 'Nothing to do: the next cycle drops it from the mirror.',
  });
}
