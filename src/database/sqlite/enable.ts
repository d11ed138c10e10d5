import type { Clock, Random } from '../../core/clock.ts';
import { type ErrorReport, errorReport } from '../../core/error.ts';
import type { TableName } from '../../core/table.ts';
import { type Catalog, type CatalogReader, findTable } from './catalog.ts';
import {
  ensureCatalog,
  isComplete,
  isKeyed,
  startTracking,
  stopTracking,
  superfluous,
  type Tracking,
} from './change-tracking.ts';
import type { Connection } from './connection.ts';
import type { SqliteTable } from './introspect.ts';
import { quoteName } from './sql-text.ts';

export type Refusal = { readonly table: TableName; readonly error: ErrorReport };

export type EnableResult = {
  /** Names of the tables whose tracking began just now. */
  readonly started: ReadonlySet<string>;
  readonly refused: readonly Refusal[];
};

export type EnableRequest = {
  readonly connection: Connection;
  readonly reader: CatalogReader;
  readonly clock: Clock;
  readonly random: Random;
  readonly tables: readonly TableName[];
  readonly signal: AbortSignal;
};

/** What has to be done so that changes of every table are seen. */
type Plan = {
  readonly start: readonly SqliteTable[];
  readonly gone: readonly Tracking[];
  readonly superfluous: readonly string[];
  readonly missing: readonly Refusal[];
};

/** Switches tracking on where it is not on or not complete, and clears away what is left of tables that are gone. */
export async function enable(request: EnableRequest): Promise<EnableResult> {
  const { connection, reader, clock, signal } = request;
  const plan = connection.read(() => makePlan(request, reader.read()));
  if (isEmpty(plan)) return { started: new Set(), refused: plan.missing };
  try {
    return await connection.write(clock, () => carryOut(request, makePlan(request, reader.read())), signal);
  } catch (error) {
    signal.throwIfAborted();
    const refused = plan.start.map((table) => refusal(table.name, error));
    return { started: new Set(), refused: [...plan.missing, ...refused] };
  }
}

const isEmpty = (plan: Plan): boolean =>
  plan.start.length === 0 && plan.gone.length === 0 && plan.superfluous.length === 0;

const refusal = (name: string, error: unknown): Refusal => ({
  table: { schema: null, name },
  error: errorReport(error),
});

function makePlan({ connection, tables }: EnableRequest, catalog: Catalog): Plan {
  const found = tables.flatMap((name) => catalog.tables.get(name.name) ?? []);
  const missing = tables.filter(({ name }) => !catalog.tables.has(name)).map((table) => missingTable(catalog, table));
  const tracking = (table: SqliteTable) => catalog.tracked.tables.get(table.name);
  const tracked = [...catalog.tracked.tables.values()];
  return {
    start: found.filter((table) => !isTracked(connection, catalog, table)),
    gone: tracked.filter(({ table }) => !catalog.tables.has(table)),
    superfluous: found.flatMap((table) => {
      const known = tracking(table);
      return known === undefined ? [] : superfluous(known, table, catalog.triggers);
    }),
    missing,
  };
}

function missingTable(catalog: Catalog, table: TableName): Refusal {
  try {
    findTable(catalog, table);
  } catch (error) {
    return refusal(table.name, error);
  }
  throw new Error(`table ${table.name} is not missing`);
}

/** True when no change of the table can have been missed since its tracking began. */
export function isTracked(connection: Connection, catalog: Catalog, table: SqliteTable): boolean {
  const tracking = catalog.tracked.tables.get(table.name);
  if (tracking === undefined || tracking.keyed !== isKeyed(connection, table)) return false;
  return isComplete(tracking, table, catalog.triggers);
}

function carryOut(request: EnableRequest, plan: Plan): EnableResult {
  const { connection, reader, random } = request;
  ensureCatalog(connection, random);
  for (const tracking of plan.gone) stopTracking(connection, tracking);
  for (const name of plan.superfluous) connection.exec(`DROP TRIGGER IF EXISTS ${quoteName(name)}`);
  const known = reader.read().tracked.tables;
  const started = new Set<string>();
  const refused = [...plan.missing];
  for (const table of plan.start) {
    const error = tryStart(connection, () => restart(connection, { table, old: known.get(table.name), random }));
    if (error === null) started.add(table.name);
    else refused.push(refusal(table.name, error));
  }
  return { started, refused };
}

function restart(connection: Connection, of: { table: SqliteTable; old: Tracking | undefined; random: Random }): void {
  if (of.old !== undefined) stopTracking(connection, of.old);
  startTracking(connection, of.table, of.random);
}

/** A table that fails leaves the others as they are; answers why it failed. */
function tryStart(connection: Connection, work: () => void): unknown {
  connection.exec('SAVEPOINT speil_table');
  try {
    work();
    connection.exec('RELEASE speil_table');
    return null;
  } catch (error) {
    if (!connection.inTransaction) throw error;
    connection.exec('ROLLBACK TO speil_table; RELEASE speil_table');
    return error;
  }
}
