import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { SpeilError } from '../../src/core/error.ts';
import type {
  Access,
  BatchStep,
  CursorEntry,
  SqlDatabase,
  SqlRequestOptions,
  SqlStream,
  StatementDescription,
  StatementError,
  StepCondition,
  StepOutcome,
} from '../../src/server/sql.ts';
import { describeStatement, isBusy, rowsOf, runStatement, statementError } from './direct-statement.ts';

/** How long a writer waits for another one, if nothing else is said, and how often it looks. */
const BUSY_MS = 5_000;
const BUSY_POLL_MS = 2;

type DirectOptions = { readonly name?: string; readonly streamsMax?: number; readonly busyMs?: number };

/**
 * SQLite in this process, a connection for each stream: for tests of what stands on `SqlDatabase`. A statement blocks the
 * process while it runs, and nothing of it is durable beyond what SQLite does.
 */
export class DirectSqlDatabase implements SqlDatabase, AsyncDisposable {
  readonly name: string;
  readonly busyMs: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'speil-direct-'));
  readonly #streams = new Set<DirectStream>();
  readonly #streamsMax: number;

  constructor({ name = 'main', streamsMax = 1_000, busyMs = BUSY_MS }: DirectOptions = {}) {
    this.name = name;
    this.busyMs = busyMs;
    this.#streamsMax = streamsMax;
  }

  get path(): string {
    return join(this.#folder, 'database.db');
  }

  /** Statements that were begun, requests that were said to be their stream's last, rows that cursors handed out. */
  readonly done = { statements: 0, lastRequests: 0, cursorRows: 0 };

  get openStreams(): number {
    return this.#streams.size;
  }

  /** Requests that are being carried out, or wait for a writer. */
  get busyStreams(): number {
    return [...this.#streams].filter(({ isBusy: busy }) => busy).length;
  }

  openStream(access: Access): SqlStream {
    if (this.#streams.size >= this.#streamsMax)
      throw new SpeilError('TOO_MANY_STREAMS', `${this.#streamsMax} streams are open`, { recovery: 'retry' });
    const stream = new DirectStream(this, access, () => this.#streams.delete(stream));
    this.#streams.add(stream);
    return stream;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stream of this.#streams) await stream[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

class DirectStream implements SqlStream {
  readonly #connection: DatabaseSync;
  readonly #onClosed: () => void;
  readonly #done: DirectSqlDatabase['done'];
  readonly #busyMs: number;
  #tail: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #isEnded = false;

  constructor(database: DirectSqlDatabase, access: Access, onClosed: () => void) {
    this.#done = database.done;
    this.#busyMs = database.busyMs;
    this.#connection = new DatabaseSync(database.path, { timeout: 0, enableForeignKeyConstraints: false });
    this.#connection.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF');
    if (access === 'read') this.#connection.exec('PRAGMA query_only = 1');
    this.#onClosed = onClosed;
  }

  get isAutocommit(): boolean {
    return this.#isEnded || !this.#connection.isTransaction;
  }

  get isBusy(): boolean {
    return this.#waiting > 0;
  }

  batch(steps: readonly BatchStep[], { signal, last }: SqlRequestOptions = {}): Promise<readonly StepOutcome[]> {
    if (last) this.#done.lastRequests++;
    return this.#next(signal, async () => {
      const outcomes: StepOutcome[] = [];
      for (const step of steps) outcomes.push(await this.#step(step, outcomes, signal));
      return outcomes;
    });
  }

  async #step({ statement, condition }: BatchStep, before: readonly StepOutcome[], signal: AbortSignal | undefined) {
    if (condition !== null && !this.#holds(condition, before)) return { kind: 'skipped' } as const;
    this.#done.statements++;
    return await this.#attempt(signal, () => ({
      kind: 'result' as const,
      result: runStatement(this.#connection, statement),
    })).catch((error: unknown) => ({ kind: 'error' as const, error: statementError(error) }));
  }

  sequence(sql: string, { signal, last }: SqlRequestOptions = {}): Promise<StatementError | null> {
    if (last) this.#done.lastRequests++;
    return this.#next(signal, () =>
      this.#attempt(signal, () => {
        this.#connection.exec(sql);
        return null;
      }).catch(statementError),
    );
  }

  describe(sql: string, { signal }: SqlRequestOptions = {}): Promise<StatementDescription | StatementError> {
    return this.#next(signal, async () => {
      try {
        return describeStatement(this.#connection, sql);
      } catch (error) {
        return statementError(error);
      }
    });
  }

  async *cursor(steps: readonly BatchStep[], { signal }: SqlRequestOptions = {}): AsyncIterable<CursorEntry> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const turn = this.#next(signal, async () => {
      begun.resolve();
      await promise;
    });
    turn.catch(begun.reject);
    await begun.promise;
    try {
      const outcomes: StepOutcome[] = [];
      for (const [step, { statement, condition }] of steps.entries()) {
        if (condition !== null && !this.#holds(condition, outcomes)) outcomes.push({ kind: 'skipped' });
        else outcomes.push(yield* this.#stepEntries(step, statement, signal));
      }
    } finally {
      resolve();
    }
  }

  *#stepEntries(
    step: number,
    statement: BatchStep['statement'],
    signal: AbortSignal | undefined,
  ): Generator<CursorEntry, StepOutcome> {
    try {
      const onRow = () => {
        signal?.throwIfAborted();
        this.#done.cursorRows++;
      };
      return yield* rowsOf(this.#connection, statement, { step, onRow });
    } catch (thrown) {
      signal?.throwIfAborted();
      const error = statementError(thrown);
      yield { kind: 'step-error', step, error };
      return { kind: 'error', error };
    }
  }

  #holds(condition: StepCondition, before: readonly StepOutcome[]): boolean {
    switch (condition.kind) {
      case 'ok':
        return before[condition.step]?.kind === 'result';
      case 'error':
        return before[condition.step]?.kind === 'error';
      case 'not':
        return !this.#holds(condition.condition, before);
      case 'and':
        return condition.conditions.every((each) => this.#holds(each, before));
      case 'or':
        return condition.conditions.some((each) => this.#holds(each, before));
      case 'is-autocommit':
        return this.isAutocommit;
    }
  }

  /** One request at a time. One that was aborted ends the stream. */
  #next<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const done = this.#tail.then(async () => {
      try {
        if (this.#isEnded) throw new SpeilError('STREAM_EXPIRED', 'the stream has ended', { recovery: 'retry' });
        const result = await work();
        signal?.throwIfAborted();
        return result;
      } catch (error) {
        this.#end();
        throw error;
      } finally {
        this.#waiting--;
      }
    });
    this.#tail = done.catch(() => {});
    return done;
  }

  /** Another writer is waited for, without standing in its way. */
  async #attempt<T>(signal: AbortSignal | undefined, work: () => T): Promise<T> {
    for (let left = this.#busyMs / BUSY_POLL_MS; ; left--) {
      signal?.throwIfAborted();
      try {
        return work();
      } catch (error) {
        if (!isBusy(error) || left <= 0) throw error;
      }
      await sleep(BUSY_POLL_MS);
    }
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#connection.close();
    this.#onClosed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tail;
    this.#end();
  }
}
