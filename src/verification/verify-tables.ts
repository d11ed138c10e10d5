import type { MirroredTable } from '../database/mirror-database.ts';
import { type TableVerdict, TableVerification, type VerifyContext } from './verify-table.ts';

/** How often, and after what pause, rows that changed meanwhile are compared at the position that the mirror has by then. */
const ROUNDS_MAX = 3;
const ROUND_PAUSE_MS = 1_000;

/** Compares the tables one after the other; then those again that were not wholly compared, while the mirror moves on. */
export async function verifyTables(
  context: VerifyContext,
  rows: readonly MirroredTable[],
): Promise<readonly TableVerdict[]> {
  using opened = new DisposableStack();
  const tables: TableVerification[] = [];
  for (const row of rows) {
    const table = opened.use(new TableVerification(context, row));
    await table.compare();
    tables.push(table);
  }
  for (let round = 1; round <= ROUNDS_MAX && tables.some((table) => table.isWaiting); round++) {
    await context.clock.sleep(ROUND_PAUSE_MS, context.signal);
    for (const table of tables) if (table.isWaiting) await table.compare();
  }
  return tables.map((table) => table.verdict());
}
