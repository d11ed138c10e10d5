import type { StatementSync } from 'node:sqlite';

/** What later releases of Node than our types know of can do with a statement. */
export type CountedStatement = StatementSync & {
  stat?(counter: 'reprepare' | 'fullscanStep'): number;
  close?(): void;
};

/** One of SQLite's counters of a statement; null when this Node has none. */
export const counter = (statement: CountedStatement, name: 'reprepare' | 'fullscanStep'): number | null =>
  statement.stat?.(name) ?? null;

/** Frees it at once where this Node can, else when it is collected. */
export const closeStatement = (statement: CountedStatement): void => statement.close?.();
