import type { ErrorReport } from '../core/error.ts';
import type { Lsn } from '../core/lsn.ts';
import { RowCounts } from '../core/row-batch.ts';
import { TableName, type TableSchema } from '../core/table.ts';
import type { RowDataResult, SchemaChange, TableSummary } from './contract.ts';
import type { CycleReport, TableReport, TaskEvent } from './report.ts';

/** What became of one table in a cycle, as it goes on. */
export type TableOutcome = {
  readonly schema: TableSchema;
  readonly name: string;
  schemaChange: SchemaChange;
  counts: RowCounts;
  lsn: Lsn | null;
  repopulated: string | null;
  error: ErrorReport | null;
};

/** Collects what a cycle does and tells it on. */
export class CycleOutcome {
  readonly #tables = new Map<string, TableOutcome>();
  readonly #emit: (event: TaskEvent) => void;

  constructor(emit: (event: TaskEvent) => void) {
    this.#emit = emit;
  }

  get tables(): readonly TableOutcome[] {
    return [...this.#tables.values()];
  }

  get hasErrors(): boolean {
    return this.tables.some((table) => table.error !== null);
  }

  add(schema: TableSchema): TableOutcome {
    const name = TableName.toText(schema.table);
    const outcome: TableOutcome = {
      schema,
      name,
      schemaChange: 'none',
      counts: RowCounts.none,
      lsn: null,
      repopulated: null,
      error: null,
    };
    this.#tables.set(name, outcome);
    return outcome;
  }

  of(table: TableName): TableOutcome {
    const found = this.#tables.get(TableName.toText(table));
    if (found === undefined) throw new Error(`${TableName.toText(table)} is not part of this cycle`);
    return found;
  }

  /** The first failure of a table is the one that is told; from then on the cycle leaves the table alone. */
  fail(table: TableName, error: ErrorReport): void {
    const outcome = this.of(table);
    if (outcome.error !== null) return;
    outcome.error = error;
    this.#emit({ event: 'table-failed', table: outcome.name, error });
  }

  record(result: RowDataResult): void {
    const outcome = this.of(result.table);
    if (result.error !== null) {
      this.fail(result.table, result.error);
      return;
    }
    outcome.counts = RowCounts.add(outcome.counts, result.counts);
    outcome.lsn = result.lsn ?? outcome.lsn;
    this.note(result.table, result.notes);
  }

  note(table: TableName | null, notes: readonly string[]): void {
    for (const message of notes)
      this.#emit({ event: 'note', table: table === null ? null : TableName.toText(table), message });
  }

  warn(table: TableName | null, message: string): void {
    this.#emit({ event: 'warning', table: table === null ? null : TableName.toText(table), message });
  }

  changedTables(): readonly TableSummary[] {
    return this.tables
      .filter(({ error, counts }) => error === null && counts.inserted + counts.updated + counts.deleted > 0)
      .map(({ schema, counts }) => ({ table: schema.table, ...counts }));
  }

  report(rest: Pick<CycleReport, 'bytes' | 'startedAt' | 'finishedAt'>): CycleReport {
    const status = this.hasErrors ? 'failed' : 'completed';
    return { event: 'cycle', status, tables: this.tables.map(tableReport), ...rest };
  }
}

const tableReport = ({ name, schemaChange, counts, lsn, repopulated, error }: TableOutcome): TableReport => ({
  table: name,
  schemaChange,
  ...counts,
  lsn: lsn === null ? null : lsn.toString(),
  ...(repopulated === null ? {} : { repopulated }),
  ...(error === null ? {} : { error }),
});
