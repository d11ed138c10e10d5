import type { z } from 'zod';
import type { Run } from '../model.ts';
import type { run, runSummary } from './schemas.ts';

type Counts = { readonly inserted: number; readonly updated: number; readonly deleted: number };

export function summaryOf(from: Run): z.output<typeof runSummary> {
  const { report, ...rest } = from;
  const tables = report?.tables ?? [];
  const sum = (of: (table: Counts) => number) => tables.reduce((total, table) => total + of(table), 0);
  return {
    ...rest,
    tables: tables.length,
    failedTables: tables.filter((table) => table.error !== undefined).length,
    inserted: sum((table) => table.inserted),
    updated: sum((table) => table.updated),
    deleted: sum((table) => table.deleted),
    skipped: report?.skipped ?? null,
    error: rest.error ?? report?.error ?? null,
  };
}

export const viewOf = (from: Run): z.output<typeof run> => ({
  ...summaryOf(from),
  report: from.report,
});
