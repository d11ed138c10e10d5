import { type ErrorReport, errorReport, SpeilError } from '../core/error.ts';
import type { CycleReport, TableReport } from '../task/report.ts';
import type { CycleOutcomeKind } from './schedule.ts';
import type { NewEvent } from './store.ts';

/** How a cycle ended, for those who keep and tell it. */
export type CycleEnd = {
  readonly outcome: CycleOutcomeKind;
  /** What it did; null when it did not come so far. */
  readonly report: CycleReport | null;
  /** Why it failed or was interrupted; null otherwise. Without secrets. */
  readonly error: ErrorReport | null;
};

/** Tables that an error names; a cycle in which a thousand fail says the rest in its report. */
const TABLES_NAMED_MAX = 5;

/** A cycle in which tables failed, as one failure that names them. */
export function failureOfTables({ tables }: CycleReport): ErrorReport {
  const failed = tables.flatMap(({ table, error }) => (error === undefined ? [] : [{ table, error }]));
  const named = failed.slice(0, TABLES_NAMED_MAX).map(({ table, error }) => `${table}: ${error.message}`);
  const more = failed.length > named.length ? `; and ${failed.length - named.length} more` : '';
  const what = failed.length === 1 ? '1 table failed' : `${failed.length} tables failed`;
  const hint = failed[0]?.error.hint ?? undefined;
  return errorReport(
    new SpeilError('TABLE_FAILED', `${what}: ${named.join('; ')}${more}`, { hint, recovery: 'retry' }),
  );
}

export type CycleWords = {
  readonly end: CycleEnd;
  /** Tables that are skipped from now on. */
  readonly announced: readonly string[];
  readonly nextDueMs: number;
};

type EventWords = Pick<NewEvent, 'kind' | 'message' | 'hint'>;

/**
 * What the tenant's event log says of a cycle: one information for a good one, an error for a failed one; and a warning before
 * mirror copies are dropped.
 */
export function eventOf({ end, announced, nextDueMs }: CycleWords): readonly EventWords[] {
  const { outcome, report, error } = end;
  switch (outcome) {
    case 'completed':
      return [{ kind: 'information', message: summary(report?.tables ?? [], report?.bytes ?? 0) }, ...drops(announced)];
    case 'skipped':
      return [{ kind: 'information', message: `the mirror asked to skip this cycle: ${report?.skipped ?? ''}` }];
    case 'interrupted':
      return [
        { kind: 'warning', message: `the cycle was interrupted: ${error?.message ?? ''}`, hint: error?.hint ?? null },
      ];
    case 'failed': {
      const again = `; tried again at ${new Date(nextDueMs).toISOString().slice(0, 19)}Z`;
      return [{ kind: 'error', message: `${error?.message ?? 'the cycle failed'}${again}`, hint: error?.hint ?? null }];
    }
  }
}

const drops = (announced: readonly string[]): readonly EventWords[] =>
  announced.length === 0
    ? []
    : [
        {
          kind: 'warning',
          message: `${announced.join(', ')} skipped from now on; the next cycle drops what the mirror has of it`,
          hint: 'To keep it, take the name out of SkipTable or BlockTable before that.',
        },
      ];

function summary(tables: readonly TableReport[], bytes: number): string {
  const sum = (of: 'inserted' | 'updated' | 'deleted') => tables.reduce((total, table) => total + table[of], 0);
  const counts = { inserted: sum('inserted'), updated: sum('updated'), deleted: sum('deleted') };
  const copied = tables.filter(({ repopulated }) => repopulated !== undefined).length;
  const what = tables.length === 1 ? '1 table up to date' : `${tables.length} tables up to date`;
  const copies = copied === 0 ? '' : `, ${copied} of them copied`;
  if (counts.inserted + counts.updated + counts.deleted === 0) return `${what}${copies}; no changes`;
  const rows = `${counts.inserted} inserted, ${counts.updated} updated, ${counts.deleted} deleted`;
  return `${what}${copies}; ${rows}; ${bytes} bytes`;
}

/** Names of tables are the same whatever their case and blanks. */
export const nameKey = (name: string): string => name.toLowerCase().replace(/\s+/g, '');
