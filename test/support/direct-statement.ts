import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type {
  CursorEntry,
  ResultColumn,
  SqlStatement,
  SqlValue,
  StatementDescription,
  StatementError,
  StatementResult,
  StepOutcome,
} from '../../src/server/sql.ts';

/** One statement, all of its rows. */
export function runStatement(connection: DatabaseSync, statement: SqlStatement): StatementResult {
  const prepared = prepare(connection, statement.sql);
  const before = counters(connection);
  const rows = allRows(prepared, statement) as unknown as SqlValue[][];
  return {
    columns: columnsOf(prepared),
    rows: statement.wantRows ? rows : [],
    ...effects(connection, before.total),
    rowsRead: 0,
    rowsWritten: 0,
    durationMs: 0,
  };
}

/** One statement, row by row, as a cursor tells of it. */
export function* rowsOf(
  connection: DatabaseSync,
  statement: SqlStatement,
  { step, onRow }: { readonly step: number; readonly onRow: () => void },
): Generator<CursorEntry, StepOutcome> {
  const prepared = prepare(connection, statement.sql);
  const columns = columnsOf(prepared);
  const before = counters(connection);
  yield { kind: 'step-begin', step, columns };
  const { named, positional } = bindings(statement);
  for (const row of prepared.iterate(named, ...positional))
    if (statement.wantRows) {
      onRow();
      yield { kind: 'row', row: row as unknown as SqlValue[] };
    }
  const { affectedRows, lastInsertRowid } = effects(connection, before.total);
  yield { kind: 'step-end', affectedRows, lastInsertRowid };
  const result = { columns, rows: [], affectedRows, lastInsertRowid, rowsRead: 0, rowsWritten: 0, durationMs: 0 };
  return { kind: 'result', result };
}

export function describeStatement(connection: DatabaseSync, sql: string): StatementDescription {
  const prepared = prepare(connection, sql);
  return {
    parameters: [...sql.matchAll(/\?\d*|[:@$]\w+/g)].map(([name]) => (name === '?' ? null : name)),
    columns: columnsOf(prepared),
    isExplain: /^\s*explain\b/i.test(sql),
    isReadonly: /^\s*(?:select|values|explain|with)\b/i.test(sql),
  };
}

function prepare(connection: DatabaseSync, sql: string): StatementSync {
  const prepared = connection.prepare(sql);
  if (sql.slice(prepared.sourceSQL.length).trim() !== '')
    throw Object.assign(new Error('there is more than one statement'), { statementCode: 'SQL_MANY_STATEMENTS' });
  prepared.setReadBigInts(true);
  prepared.setReturnArrays(true);
  return prepared;
}

function allRows(prepared: StatementSync, statement: SqlStatement) {
  const { named, positional } = bindings(statement);
  return prepared.all(named, ...positional);
}

const bindings = ({ named, positional }: SqlStatement) => ({
  named: Object.fromEntries(named) as Record<string, SQLInputValue>,
  positional: positional as readonly SQLInputValue[],
});

const columnsOf = (prepared: StatementSync): readonly ResultColumn[] =>
  prepared.columns().map(({ name, type }) => ({ name, declaredType: type }));

function counters(connection: DatabaseSync) {
  const prepared = connection.prepare(
    'SELECT changes() AS changed, total_changes() AS total, last_insert_rowid() AS id',
  );
  prepared.setReadBigInts(true);
  return prepared.get() as { changed: bigint; total: bigint; id: bigint };
}

function effects(connection: DatabaseSync, totalBefore: bigint) {
  const { changed, total, id } = counters(connection);
  return { affectedRows: total === totalBefore ? 0n : changed, lastInsertRowid: id };
}

type SqliteFailure = { readonly errcode?: number; readonly statementCode?: string; readonly message: string };

const SQLITE_CODES: Readonly<Record<number, string>> = {
  1: 'SQLITE_ERROR',
  5: 'SQLITE_BUSY',
  8: 'SQLITE_READONLY',
  19: 'SQLITE_CONSTRAINT',
  275: 'SQLITE_CONSTRAINT_CHECK',
  787: 'SQLITE_CONSTRAINT_FOREIGNKEY',
  1299: 'SQLITE_CONSTRAINT_NOTNULL',
  1555: 'SQLITE_CONSTRAINT_PRIMARYKEY',
  2067: 'SQLITE_CONSTRAINT_UNIQUE',
};

export const isBusy = (error: unknown): boolean => ((error as SqliteFailure).errcode ?? 0) % 256 === 5;

export function statementError(error: unknown): StatementError {
  const { errcode, statementCode, message } = error as SqliteFailure;
  if (statementCode !== undefined) return { code: statementCode, message };
  if (errcode === undefined) return { code: 'SQL_INPUT_ERROR', message };
  return { code: SQLITE_CODES[errcode] ?? SQLITE_CODES[errcode % 256] ?? 'SQLITE_UNKNOWN', message };
}
