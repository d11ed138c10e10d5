import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { SpeilError } from '../../src/core/error.ts';
import { Lineage } from '../../src/core/lineage.ts';
import { Lsn } from '../../src/core/lsn.ts';
import { Term } from '../../src/core/term.ts';
import { noDatabase } from '../../src/server/access.ts';
import { DatabaseName } from '../../src/server/databases/database-name.ts';
import type {
  BackupOptions,
  DatabaseStatus,
  DatabaseStore,
  ServedDatabase,
} from '../../src/server/databases/served-database.ts';
import type {
  Access,
  BatchStep,
  CursorEntry,
  SqlStatement,
  SqlStream,
  StatementDescription,
  StatementError,
  StepCondition,
  StepOutcome,
} from '../../src/server/sql.ts';
import { describeStatement, runStatement, statementError } from './direct-statement.ts';

/**
 * Databases without a journal, in this process: real SQLite behind the server's own interfaces, for tests of what stands
 * around it. Each stream is a connection.
 */
export class SqliteStore implements DatabaseStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  list(): readonly DatabaseName[] {
    return readdirSync(this.#folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && DatabaseName.is(entry.name))
      .map((entry) => entry.name as DatabaseName)
      .toSorted();
  }

  async open(name: DatabaseName): Promise<ServedDatabase> {
    const file = this.#file(name);
    if (!existsSync(file)) throw noDatabase(name);
    return new SqliteServed(name, file);
  }

  async create(name: DatabaseName, { from }: { readonly from?: string | undefined } = {}): Promise<ServedDatabase> {
    if (from !== undefined) demandDatabase(from);
    mkdirSync(join(this.#folder, name), { recursive: true });
    if (from !== undefined) renameSync(from, this.#file(name));
    using database = new DatabaseSync(this.#file(name));
    database.exec('PRAGMA journal_mode = WAL');
    return this.open(name);
  }

  async drop(name: DatabaseName): Promise<void> {
    rmSync(join(this.#folder, name), { recursive: true });
  }

  executors(): { readonly running: number; readonly busy: number } {
    return { running: 1, busy: 0 };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #file(name: DatabaseName): string {
    return join(this.#folder, name, 'database.db');
  }
}

function demandDatabase(file: string): void {
  try {
    using database = new DatabaseSync(file, { readOnly: true });
    database.prepare('SELECT count(*) FROM sqlite_schema').get();
  } catch (cause) {
    throw new SpeilError('NOT_A_DATABASE', 'the file is no SQLite database', { cause });
  }
}

class SqliteServed implements ServedDatabase {
  readonly name: DatabaseName;
  readonly sql: ServedDatabase['sql'];
  readonly #file: string;
  readonly #streams = new Set<SqliteStream>();
  readonly #sinceMs = Date.now();

  constructor(name: DatabaseName, file: string) {
    this.name = name;
    this.#file = file;
    using check = new DatabaseSync(file);
    check.prepare('SELECT count(*) FROM sqlite_schema').get();
    this.sql = {
      name,
      openStream: (access) => {
        const stream = new SqliteStream(file, access, () => this.#streams.delete(stream));
        this.#streams.add(stream);
        return stream;
      },
    };
  }

  status(): DatabaseStatus {
    return {
      state: 'running',
      reason: null,
      lineage: Lineage.of('00000000-0000-4000-8000-000000000000'),
      term: Term.first,
      appended: Lsn.of(7),
      hardened: Lsn.of(7),
      checkpoint: Lsn.of(5),
      journalBytes: 1000,
      fileBytes: statSync(this.#file).size,
      walBytes: 0,
      streams: this.#streams.size,
      waitingWriters: 0,
      sinceMs: this.#sinceMs,
    };
  }

  async backup(target: string, { onProgress, signal }: BackupOptions = {}): Promise<{ lsn: Lsn; bytes: number }> {
    using database = new DatabaseSync(this.#file);
    const progress = ({ totalPages, remainingPages }: { totalPages: number; remainingPages: number }) => {
      signal?.throwIfAborted();
      onProgress?.(totalPages - remainingPages, totalPages);
    };
    await backup(database, target, { rate: 10, progress });
    return { lsn: Lsn.of(7), bytes: statSync(target).size };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stream of this.#streams) await stream[Symbol.asyncDispose]();
  }
}

class SqliteStream implements SqlStream {
  readonly #database: DatabaseSync;
  readonly #onClose: () => void;

  constructor(file: string, access: Access, onClose: () => void) {
    this.#database = new DatabaseSync(file, { readOnly: access === 'read', timeout: 1_000 });
    this.#onClose = onClose;
  }

  get isAutocommit(): boolean {
    return !this.#database.isTransaction;
  }

  async batch(steps: readonly BatchStep[]): Promise<readonly StepOutcome[]> {
    const outcomes: StepOutcome[] = [];
    for (const { statement, condition } of steps) {
      if (condition !== null && !this.#holds(condition, outcomes)) outcomes.push({ kind: 'skipped' });
      else outcomes.push(this.#run(statement));
    }
    return outcomes;
  }

  async sequence(sql: string): Promise<StatementError | null> {
    try {
      this.#database.exec(sql);
      return null;
    } catch (error) {
      return statementError(error);
    }
  }

  async describe(sql: string): Promise<StatementDescription | StatementError> {
    try {
      return describeStatement(this.#database, sql);
    } catch (error) {
      return statementError(error);
    }
  }

  async *cursor(steps: readonly BatchStep[]): AsyncGenerator<CursorEntry> {
    const outcomes: StepOutcome[] = [];
    for (const [step, { statement, condition }] of steps.entries()) {
      const outcome = condition === null || this.#holds(condition, outcomes) ? this.#run(statement) : SKIPPED;
      outcomes.push(outcome);
      if (outcome.kind === 'error') yield { kind: 'step-error', step, error: outcome.error };
      if (outcome.kind !== 'result') continue;
      const { columns, rows, affectedRows, lastInsertRowid } = outcome.result;
      yield { kind: 'step-begin', step, columns };
      for (const row of rows) yield { kind: 'row', row };
      yield { kind: 'step-end', affectedRows, lastInsertRowid };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#database.isOpen) this.#database.close();
    this.#onClose();
  }

  #holds(condition: StepCondition, outcomes: readonly StepOutcome[]): boolean {
    if (condition.kind === 'ok') return outcomes[condition.step]?.kind === 'result';
    if (condition.kind === 'error') return outcomes[condition.step]?.kind === 'error';
    if (condition.kind === 'not') return !this.#holds(condition.condition, outcomes);
    if (condition.kind === 'and') return condition.conditions.every((part) => this.#holds(part, outcomes));
    if (condition.kind === 'or') return condition.conditions.some((part) => this.#holds(part, outcomes));
    return this.isAutocommit;
  }

  #run(statement: SqlStatement): StepOutcome {
    try {
      return { kind: 'result', result: runStatement(this.#database, statement) };
    } catch (error) {
      return { kind: 'error', error: statementError(error) };
    }
  }
}

const SKIPPED: StepOutcome = { kind: 'skipped' };
