import { SpeilError } from '../../core/error.ts';
import type {
  Access,
  BatchStep,
  SqlDatabase,
  SqlStatement,
  SqlStream,
  SqlValue,
  StatementResult,
  StepCondition,
  StepOutcome,
} from '../sql.ts';
import { SqlError } from '../sql-error.ts';

/** What a statement may be given: booleans become 0 and 1, dates are for the caller to write as he wants to read them. */
export type SqlArgument = SqlValue | boolean;
export type SqlArguments = readonly SqlArgument[] | Readonly<Record<string, SqlArgument>>;

/** A statement, or one with its arguments. Names of arguments may go without their prefix (`:`, `@`, `$`). */
export type SqlInput = string | { readonly sql: string; readonly args?: SqlArguments | undefined };

export type SqlRow = Readonly<Record<string, SqlValue>>;

export type SqlResult = {
  readonly columns: readonly string[];
  /** By name; of two columns with one name the last. */
  readonly rows: readonly SqlRow[];
  readonly rowsAffected: number;
  readonly lastInsertRowid: bigint | null;
};

/** `write` takes the write lock at once, `deferred` with the first statement that writes, `read` never. */
export type TransactionMode = 'write' | 'deferred' | 'read';

export type RequestOptions = {
  /** Aborting it cancels the statement and rolls its transaction back. */
  readonly signal?: AbortSignal | undefined;
};

export type LocalDatabaseOptions = {
  /** Integers as they are answered: numbers, where one beyond 2^53 is an error; or `bigint`. */
  readonly integers?: 'number' | 'bigint' | undefined;
};

/** Something that statements can be given to. Throws `SqlError` for what SQLite refuses. */
export interface SqlExecutor {
  execute(sql: string, args?: SqlArguments, options?: RequestOptions): Promise<SqlResult>;
}

/**
 * A database in the process that serves it: what clients do over the network, without it. Nothing is answered before all that
 * it saw is durable.
 */
export interface LocalDatabase extends SqlExecutor {
  readonly name: string;
  /** All of the statements or none of them, as one transaction. */
  batch(
    statements: readonly SqlInput[],
    mode?: TransactionMode,
    options?: RequestOptions,
  ): Promise<readonly SqlResult[]>;
  /** Commits when `work` resolves, and rolls back when it rejects. Nothing may be executed in it afterwards. */
  transaction<T>(
    mode: TransactionMode,
    work: (transaction: SqlExecutor) => Promise<T>,
    options?: RequestOptions,
  ): Promise<T>;
}

type Integers = 'number' | 'bigint';

const BEGIN: Readonly<Record<TransactionMode, string>> = {
  write: 'BEGIN IMMEDIATE',
  deferred: 'BEGIN DEFERRED',
  read: 'BEGIN DEFERRED',
};

const accessOf = (mode: TransactionMode): Access => (mode === 'read' ? 'read' : 'write');

export function localDatabase(
  database: SqlDatabase,
  { integers = 'number' }: LocalDatabaseOptions = {},
): LocalDatabase {
  return {
    name: database.name,
    async execute(sql, args, options) {
      await using stream = database.openStream('write');
      const [outcome] = await stream.batch([stepOf({ sql, args })], { ...options, last: true });
      return resultOf(outcome, integers);
    },
    async batch(statements, mode = 'write', options) {
      await using stream = database.openStream(accessOf(mode));
      const outcomes = await stream.batch(transactionOf(statements, mode), { ...options, last: true });
      const failed = outcomes.find(({ kind }) => kind === 'error');
      return outcomes
        .slice(0, statements.length + 2)
        .map((outcome) => resultOf(failed ?? outcome, integers))
        .slice(1, -1);
    },
    async transaction(mode, work, options) {
      await using stream = database.openStream(accessOf(mode));
      await run(stream, BEGIN[mode], options);
      const transaction = new OpenTransaction(stream, integers, options);
      try {
        const answer = await work(transaction);
        await run(stream, 'COMMIT', options);
        return answer;
      } catch (error) {
        if (!stream.isAutocommit) await run(stream, 'ROLLBACK', {}).catch(() => undefined);
        throw error;
      } finally {
        transaction.end();
      }
    },
  };
}

class OpenTransaction implements SqlExecutor {
  readonly #stream: SqlStream;
  readonly #integers: Integers;
  readonly #options: RequestOptions | undefined;
  #ended = false;

  constructor(stream: SqlStream, integers: Integers, options: RequestOptions | undefined) {
    this.#stream = stream;
    this.#integers = integers;
    this.#options = options;
  }

  async execute(sql: string, args?: SqlArguments, options?: RequestOptions): Promise<SqlResult> {
    if (this.#ended) throw new SpeilError('USAGE', 'the transaction has ended; nothing can be executed in it any more');
    const [outcome] = await this.#stream.batch([stepOf({ sql, args })], { ...this.#options, ...options });
    return resultOf(outcome, this.#integers);
  }

  end(): void {
    this.#ended = true;
  }
}

async function run(stream: SqlStream, sql: string, options: RequestOptions | undefined): Promise<void> {
  const [outcome] = await stream.batch([stepOf(sql)], options);
  resultOf(outcome, 'number');
}

/** BEGIN, each statement if the one before went well, COMMIT, and a ROLLBACK if that did not come to pass. */
function transactionOf(statements: readonly SqlInput[], mode: TransactionMode): readonly BatchStep[] {
  const after = (step: number): StepCondition => ({ kind: 'ok', step });
  const count = statements.length;
  return [
    stepOf(BEGIN[mode]),
    ...statements.map((statement, index) => stepOf(statement, after(index))),
    stepOf('COMMIT', after(count)),
    stepOf('ROLLBACK', { kind: 'and', conditions: [after(0), { kind: 'not', condition: after(count + 1) }] }),
  ];
}

function stepOf(input: SqlInput, condition: StepCondition | null = null): BatchStep {
  const { sql, args = [] } = typeof input === 'string' ? { sql: input } : input;
  return { statement: statementOf(sql, args), condition };
}

const NO_NAMES: ReadonlyMap<string, SqlValue> = new Map();

function statementOf(sql: string, args: SqlArguments): SqlStatement {
  if (isList(args)) return { sql, positional: args.map(argumentOf), named: NO_NAMES, wantRows: true };
  const named = new Map(Object.entries(args).map(([name, value]) => [name, argumentOf(value)]));
  return { sql, positional: [], named, wantRows: true };
}

const isList = (args: SqlArguments): args is readonly SqlArgument[] => Array.isArray(args);

function argumentOf(value: SqlArgument): SqlValue {
  if (typeof value === 'boolean') return value ? 1n : 0n;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value;
  throw new SpeilError('USAGE', `a ${Object.prototype.toString.call(value).slice(8, -1)} is no value of SQLite`, {
    hint: 'Give null, a number, a bigint, a boolean, a string or a Uint8Array.',
  });
}

function resultOf(outcome: StepOutcome | undefined, integers: Integers): SqlResult {
  if (outcome?.kind === 'error') throw new SqlError(outcome.error);
  if (outcome?.kind !== 'result') throw new SpeilError('INTERNAL', 'a statement was not carried out');
  return rowsOf(outcome.result, integers);
}

function rowsOf({ columns, rows, affectedRows, lastInsertRowid }: StatementResult, integers: Integers): SqlResult {
  const names = columns.map(({ name }) => name);
  return {
    columns: names,
    rows: rows.map((row) =>
      Object.fromEntries(row.map((value, index) => [names[index] ?? '', shown(value, integers)])),
    ),
    rowsAffected: Number(affectedRows),
    lastInsertRowid,
  };
}

function shown(value: SqlValue, integers: Integers): SqlValue {
  if (typeof value !== 'bigint' || integers === 'bigint') return value;
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new SpeilError('VALUE_REFUSED', `the integer ${value} does not fit a number`, {
    hint: "Open the database with { integers: 'bigint' }.",
  });
}
