import type { RepopulateReason, SourcePosition, Verdict } from '../core/position.ts';
import type { TableSchema } from '../core/table.ts';
import type { TablePosition } from './contract.ts';

/** What a cycle does with one table. */
export type TableWork =
  | { readonly kind: 'catch-up'; readonly since: SourcePosition }
  | { readonly kind: 'copy'; readonly reason: RepopulateReason; readonly explanation: string }
  | {
      readonly kind: 'resume-copy';
      readonly start: SourcePosition;
      readonly progress: string | null;
      readonly rows: number;
      readonly filled: boolean;
    };

/** The position that the source has to judge before `decideWork`: the standing copy's start, or what readers have. */
export const positionToJudge = (answer: TablePosition): SourcePosition | null => answer.copy?.start ?? answer.position;

/**
 * Pure. A standing copy is gone on with when its start still counts. A foreign verdict gets here only when the mirror
 * is expressly taken over.
 */
export function decideWork(answer: TablePosition, verdict: Verdict | null): TableWork {
  if (verdict === null) return copyAgain('no-position', 'the mirror holds no position');
  if (verdict.kind === 'foreign') return copyAgain('taken-over', verdict.explanation);
  if (verdict.kind === 'repopulate') return copyAgain(verdict.reason, verdict.explanation);
  if (answer.copy !== null) return { kind: 'resume-copy', ...answer.copy };
  if (answer.position !== null) return { kind: 'catch-up', since: answer.position };
  return copyAgain('no-position', 'the mirror holds no position');
}

const copyAgain = (reason: RepopulateReason, explanation: string): TableWork => ({ kind: 'copy', reason, explanation });

/** Somebody asked for it: also a standing copy is begun again. */
export const ASKED_FOR: TableWork = copyAgain('asked-for', 'somebody asked for it');

/** Small tables first: most tables are of use soon. */
export const inCopyOrder = <T extends { readonly estimatedBytes: number }>(tables: readonly T[]): readonly T[] =>
  tables.toSorted((a, b) => a.estimatedBytes - b.estimatedBytes);

export const isKeyless = (schema: TableSchema): boolean => schema.key.length === 0;
