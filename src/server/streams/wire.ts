import {
  Condition,
  Entry,
  Outcome,
  type WireColumns,
  type WireCondition,
  type WireDescription,
  type WireEntry,
  type WireError,
  type WireOutcome,
  type WireStep,
} from '../executor/protocol.ts';
import type { NotBegun } from '../executors/job.ts';
import type {
  BatchStep,
  CursorEntry,
  ResultColumn,
  StatementDescription,
  StatementError,
  StepCondition,
  StepOutcome,
} from '../sql.ts';

/** Between what callers say and what executors are told. */
export const toWireStep = ({ statement, condition }: BatchStep): WireStep => [
  statement.sql,
  statement.positional,
  statement.named.size === 0 ? null : [...statement.named],
  statement.wantRows,
  condition === null ? null : toWireCondition(condition),
];

/** A statement of a sequence. */
export const sequenceStep = (sql: string): WireStep => [sql, [], null, false, null];

function toWireCondition(condition: StepCondition): WireCondition {
  switch (condition.kind) {
    case 'ok':
      return [Condition.ok, condition.step];
    case 'error':
      return [Condition.error, condition.step];
    case 'not':
      return [Condition.not, toWireCondition(condition.condition)];
    case 'and':
      return [Condition.and, condition.conditions.map(toWireCondition)];
    case 'or':
      return [Condition.or, condition.conditions.map(toWireCondition)];
    case 'is-autocommit':
      return [Condition.isAutocommit];
  }
}

const toColumns = ([names, types]: WireColumns): ResultColumn[] =>
  names.map((name, index) => ({ name, declaredType: types[index] ?? null }));

const SKIPPED: StepOutcome = { kind: 'skipped' };

export function toOutcome(outcome: WireOutcome): StepOutcome {
  if (outcome[0] === Outcome.skipped) return SKIPPED;
  if (outcome[0] === Outcome.error) return { kind: 'error', error: toError(outcome) };
  const [, columns, rows, affectedRows, lastInsertRowid, rowsRead, rowsWritten, durationMs] = outcome;
  const measured = { rowsRead, rowsWritten, durationMs };
  return { kind: 'result', result: { columns: toColumns(columns), rows, affectedRows, lastInsertRowid, ...measured } };
}

export const toError = ([, code, message]: WireError): StatementError => ({ code, message });

/** A program that was not begun, or not to its end: as if its next step had failed. */
export const notBegunOutcomes = (
  done: readonly WireOutcome[],
  steps: number,
  { code, message }: NotBegun,
): WireOutcome[] => {
  const failed: WireOutcome = [Outcome.error, code, message];
  return Array.from(
    { length: steps },
    (_, index) => done[index] ?? (index === done.length ? failed : [Outcome.skipped]),
  );
};

export const toDescription = ([parameters, columns, isExplain, isReadonly]: WireDescription): StatementDescription => ({
  ...{ parameters, columns: toColumns(columns), isExplain, isReadonly },
});

export function toCursorEntry(entry: WireEntry): CursorEntry {
  switch (entry[0]) {
    case Entry.begin:
      return { kind: 'step-begin', step: entry[1], columns: toColumns(entry[2]) };
    case Entry.row:
      return { kind: 'row', row: entry[1] };
    case Entry.end:
      return { kind: 'step-end', affectedRows: entry[1], lastInsertRowid: entry[2] };
    case Entry.error:
      return { kind: 'step-error', step: entry[1], error: { code: entry[2], message: entry[3] } };
  }
}

/** What a whole outcome is as entries of a cursor. */
export function* entriesOfOutcome(outcome: WireOutcome, step: number): Generator<WireEntry> {
  if (outcome[0] === Outcome.error) yield [Entry.error, step, outcome[1], outcome[2]];
  if (outcome[0] !== Outcome.result) return;
  yield [Entry.begin, step, outcome[1]];
  for (const row of outcome[2]) yield [Entry.row, row];
  yield [Entry.end, outcome[3], outcome[4]];
}

/** About how many bytes a step is on its way. */
export function stepBytes([sql, positional, named]: WireStep): number {
  let bytes = sql.length;
  for (const value of positional) bytes += valueBytes(value);
  for (const [name, value] of named ?? []) bytes += name.length + valueBytes(value);
  return bytes;
}

const SMALL_VALUE_BYTES = 8;

const valueBytes = (value: WireStep[1][number]): number => {
  if (typeof value === 'string') return value.length;
  return value instanceof Uint8Array ? value.byteLength : SMALL_VALUE_BYTES;
};
