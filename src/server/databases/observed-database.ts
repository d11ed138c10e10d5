import type { Clock } from '../../core/clock.ts';
import type { Log } from '../../service/log.ts';
import type { DatabaseTally, ServerMetrics } from '../metrics.ts';
import type {
  BatchStep,
  CursorEntry,
  SqlDatabase,
  SqlRequestOptions,
  SqlStream,
  StatementError,
  StepOutcome,
} from '../sql.ts';
import { withoutValues } from '../sql-text.ts';

export type Observation = {
  readonly metrics: Pick<ServerMetrics, 'tallyOf'>;
  readonly log: Log;
  readonly clock: Clock;
  /** A statement that takes longer is logged, without its values. */
  readonly slowMs: number;
};

/** The same database, which counts what is done in it. */
export function observeDatabase(database: SqlDatabase, observation: Observation): SqlDatabase {
  const { name } = database;
  const tally = observation.metrics.tallyOf(name);
  const observer = new StatementObserver(name, tally, observation);
  return {
    name,
    openStream: (access) => new ObservedStream(database.openStream(access), observer),
  };
}

/** As much of a statement as shows which one it is. */
const SHOWN_CHARACTERS = 2_000;

const shownSql = (sql: string): string => withoutValues(sql.slice(0, SHOWN_CHARACTERS)).replace(/\s+/g, ' ').trim();

class StatementObserver {
  readonly #database: string;
  readonly #tally: DatabaseTally;
  readonly #log: Log;
  readonly #slowMs: number;
  readonly clock: Clock;

  constructor(database: string, tally: DatabaseTally, { log, slowMs, clock }: Observation) {
    this.#database = database;
    this.#tally = tally;
    this.#log = log;
    this.#slowMs = slowMs;
    this.clock = clock;
  }

  took(sql: string, durationMs: number): void {
    this.#tally.statements.add(durationMs);
    if (durationMs < this.#slowMs) return;
    this.#tally.slowStatements += 1;
    this.#log.warn(
      { database: this.#database, ms: Math.round(durationMs), sql: shownSql(sql) },
      'a statement took long',
    );
  }

  failed(): void {
    this.#tally.failedStatements += 1;
  }
}

class ObservedStream implements SqlStream {
  readonly #stream: SqlStream;
  readonly #observer: StatementObserver;

  constructor(stream: SqlStream, observer: StatementObserver) {
    this.#stream = stream;
    this.#observer = observer;
  }

  get isAutocommit(): boolean {
    return this.#stream.isAutocommit;
  }

  async batch(steps: readonly BatchStep[], options?: SqlRequestOptions): Promise<readonly StepOutcome[]> {
    const outcomes = await this.#stream.batch(steps, options);
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.kind === 'result') this.#observer.took(steps[index]?.statement.sql ?? '', outcome.result.durationMs);
      else if (outcome.kind === 'error') this.#observer.failed();
    }
    return outcomes;
  }

  async sequence(sql: string, options?: SqlRequestOptions): Promise<StatementError | null> {
    const beganMs = this.#observer.clock.monotonicMs();
    const error = await this.#stream.sequence(sql, options);
    if (error === null) this.#observer.took(sql, this.#observer.clock.monotonicMs() - beganMs);
    else this.#observer.failed();
    return error;
  }

  describe(sql: string, options?: SqlRequestOptions): ReturnType<SqlStream['describe']> {
    return this.#stream.describe(sql, options);
  }

  /** A step takes from the end of the one before to its own: what a slow reader costs is part of it. */
  async *cursor(steps: readonly BatchStep[], options?: SqlRequestOptions): AsyncGenerator<CursorEntry> {
    const { clock } = this.#observer;
    let step = 0;
    let beganMs = clock.monotonicMs();
    for await (const entry of this.#stream.cursor(steps, options)) {
      if (entry.kind === 'step-begin') step = entry.step;
      else if (entry.kind !== 'row') {
        const nowMs = clock.monotonicMs();
        if (entry.kind === 'step-end') this.#observer.took(steps[step]?.statement.sql ?? '', nowMs - beganMs);
        else this.#observer.failed();
        beganMs = nowMs;
      }
      yield entry;
    }
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#stream[Symbol.asyncDispose]();
  }
}
