import { isNumbered, parametersOf, renameCalls, type SqlPiece, splitStatements } from '../sql-text.ts';
import type { StatementTraits } from '../streams/classify.ts';
import type { CountedStatement } from './counted-statement.ts';
import type { WireColumns } from './protocol.ts';
import { StatementFailure } from './sqlite-error.ts';

/** What a statement does, as SQLite's compiler said. */
export type StatementFacts = { writes: boolean; temp: boolean; state: boolean };

/** A statement that is ready to run, and what is known of it. */
export type Prepared = {
  readonly statement: CountedStatement;
  readonly traits: StatementTraits;
  readonly facts: StatementFacts;
  readonly parameters: readonly (string | null)[];
  /** Some have names, so that values are bound by name. */
  readonly isNamed: boolean;
  readonly text: PreparedText;
  columns: WireColumns;
  /** SQLite's counters, as they stood after the last run. */
  reprepares: number | null;
  fullscanSteps: number;
  /** It was asked for since the cache had no room last. */
  isUsed: boolean;
  /** The last run took no longer than `FAST_MS`. */
  isFast: boolean;
};

/** A program that takes longer is not one to wait behind without having said what came before. */
export const FAST_MS = 1;

/**
 * The text as it is given to SQLite. Connections are shared, so that what SQLite would answer from the connection's memory
 * has to come from the stream's: calls of `changes()` and the like are renamed to functions of ours. In a statement that
 * writes, `last_insert_rowid()` stays, since it changes from row to row; the connection is made to remember the stream's.
 */
export type PreparedText = {
  readonly sql: string;
  readonly piece: SqlPiece;
  /** Calls were renamed: so are the names of columns. */
  readonly isRenamed: boolean;
  /** The connection must remember the stream's last rowid when it runs. */
  readonly needsRowid: boolean;
};

export const RENAMED = 'speil_';

const MEMORY = ['changes', 'total_changes'];
const MEMORY_OF_READS = [...MEMORY, 'last_insert_rowid'];

/** Texts of these end in the schema, where SQLite's own functions are meant. */
const STORED_VERBS = new Set(['create', 'alter']);

export function preparedText(piece: SqlPiece, { verb, kind }: StatementTraits): PreparedText {
  if (kind === 'begin-readonly') return { sql: 'BEGIN', piece, isRenamed: false, needsRowid: false };
  const isWrite = kind === 'write';
  const needsRowid = isWrite && asksForRowid(piece);
  if (STORED_VERBS.has(verb)) return { sql: piece.text, piece, isRenamed: false, needsRowid };
  const sql = renameCalls(piece, isWrite ? MEMORY : MEMORY_OF_READS, (name) => `${RENAMED}${name}`);
  return { sql, piece, isRenamed: sql !== piece.text, needsRowid };
}

/** `last_insert_rowid()`, and the upsert, which leaves the last rowid as it was when it updates. */
const asksForRowid = ({ text }: SqlPiece): boolean => /last_insert_rowid|\bon\s+conflict\b/i.test(text);

/** The one statement that a text holds. */
export function onlyStatement(sql: string): SqlPiece {
  if (sql.includes('\0'))
    throw new StatementFailure('SQL_PARSE_ERROR', 'SQL string could not be parsed: it holds a NUL');
  const [piece, second] = splitStatements(sql);
  if (piece === undefined) throw new StatementFailure('SQL_NO_STATEMENT', 'SQL string does not contain any statement');
  if (second !== undefined) throw manyStatements();
  return piece;
}

export const manyStatements = (): StatementFailure =>
  new StatementFailure('SQL_MANY_STATEMENTS', 'SQL string contains more than one statement');

/** True when SQLite took less of the text than there is of it. */
export const leavesRest = ({ sql, piece: { text, tokens } }: PreparedText, source: string): boolean =>
  sql === text && tokens.some(({ start, kind }) => start >= source.length && kind !== 'semicolon');

export function columnsOf(statement: CountedStatement, isRenamed: boolean): WireColumns {
  const columns = statement.columns();
  const nameOf = (name: string) => (isRenamed ? name.replaceAll(RENAMED, '') : name);
  return [columns.map(({ name }) => nameOf(name)), columns.map(({ type }) => type)];
}

export function newPrepared(
  statement: CountedStatement,
  text: PreparedText,
  traits: StatementTraits,
  facts: StatementFacts,
): Prepared {
  const parameters = parametersOf(text.piece);
  return {
    ...{ statement, traits, facts, parameters, text },
    isNamed: parameters.some((name) => name !== null && !isNumbered(name)),
    columns: columnsOf(statement, text.isRenamed),
    ...{ reprepares: 0, fullscanSteps: 0, isUsed: false, isFast: false },
  };
}
