import type { ErrorReport } from '../core/error.ts';
import type { SchemaChange } from './contract.ts';

/** What a cycle did to one table. `table` is `name` or `schema.name`. */
export type TableReport = {
  readonly table: string;
  readonly schemaChange: SchemaChange;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  /** Decimal; null when the table holds no position. */
  readonly lsn: string | null;
  /** Why the table was copied whole in this cycle; absent when it was not. */
  readonly repopulated?: string;
  readonly error?: ErrorReport;
};

/** The last word of a cycle: also the last line of `speil mirror --json`. */
export type CycleReport = {
  readonly event: 'cycle';
  readonly status: 'completed' | 'failed';
  readonly tables: readonly TableReport[];
  /** Bytes of rows that were sent, those of batches that failed among them. */
  readonly bytes: number;
  /** Why nothing was done at all, when the cycle failed as a whole. */
  readonly error?: ErrorReport;
  /** The mirror's side asked to skip this cycle. */
  readonly skipped?: string;
  /** UTC, ISO 8601. */
  readonly startedAt: string;
  readonly finishedAt: string;
};

/** What a task tells while it works. Each is one line of `--json`. Totals are for the cycle so far. */
export type TaskEvent =
  | { readonly event: 'cycle-started'; readonly at: string }
  /** Sent once a cycle, after the schemas are known: what will be done. */
  | { readonly event: 'tables'; readonly tables: readonly TableOutlook[] }
  | {
      readonly event: 'copy-started';
      readonly table: string;
      readonly reason: string;
      readonly estimatedRows: number;
      readonly resumedAtRows: number;
    }
  /** `rows` of this table copied so far, those of an interrupted earlier copy included. */
  | { readonly event: 'copy-progress'; readonly table: string; readonly rows: number; readonly bytes: number }
  | { readonly event: 'copy-completed'; readonly table: string; readonly rows: number }
  | { readonly event: 'changes-progress'; readonly table: string; readonly rows: number; readonly bytes: number }
  | { readonly event: 'table-failed'; readonly table: string; readonly error: ErrorReport }
  | { readonly event: 'warning'; readonly table: string | null; readonly message: string }
  | { readonly event: 'note'; readonly table: string | null; readonly message: string }
  /** A whole cycle failed and is tried again after `delayMs`. */
  | { readonly event: 'retry'; readonly error: ErrorReport; readonly delayMs: number }
  | CycleReport;

export type TableOutlook = {
  readonly table: string;
  readonly estimatedRows: number;
  readonly estimatedBytes: number;
  readonly work: 'copy' | 'resume-copy' | 'catch-up';
  readonly copiedRows: number;
};
