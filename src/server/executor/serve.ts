import type { Clock } from '../../core/clock.ts';
import { splitStatements } from '../sql-text.ts';
import { classify } from '../streams/classify.ts';
import { BlockingChannel } from './channel.ts';
import { NO_MEMORY } from './connection.ts';
import { type CacheSizes, Connections } from './connections.ts';
import { Cursor } from './cursor.ts';
import { onlyStatement } from './prepared.ts';
import {
  AnswerKind,
  Grant,
  type RequestFrame,
  RequestKind,
  STATE_UNCHANGED,
  type WireAnswer,
  type WireCursorNext,
  type WireDescribe,
  type WireDescription,
  type WireError,
  type WireMemory,
  type WireOutcome,
  type WireProgram,
  type WireRequest,
  type WireStep,
} from './protocol.ts';
import { type Place, runProgram } from './run.ts';
import { StatementFailure } from './sqlite-error.ts';
import { WalPositionReader } from './wal-position.ts';

export type ExecutorRole = 'writer' | 'pool';

export type ServeOptions = {
  readonly path: string;
  readonly role: ExecutorRole;
  readonly cache: CacheSizes;
  /** Where requests come from and answers go; the other end closes it. */
  readonly descriptor: number;
  readonly clock: Clock;
  /** True when the process that asked is there no more. What it asked for is then not begun. */
  readonly isOrphan: () => boolean;
};

/** Answers are held back no longer, so that the server handles them while the next programs run. */
const FLUSH_MS = 0.25;

/**
 * Carries out what comes over the descriptor until its other end is closed. Connections are left open, for the process to be
 * killed with them: whoever closes the last one moves the WAL into the database file, and when the server was killed there
 * are commits in it that were never hardened.
 */
export function serve(options: ServeOptions): void {
  new Executor(options).run();
}

class Executor {
  readonly #options: ServeOptions;
  readonly #channel: BlockingChannel;
  readonly #connections: Connections;
  readonly #position: WalPositionReader;
  readonly #cursors = new Map<number, Cursor>();
  #answers: WireAnswer[] = [];
  #flushedMs: number;

  constructor(options: ServeOptions) {
    this.#options = options;
    this.#channel = new BlockingChannel(options.descriptor);
    this.#connections = new Connections(options.path, this.isPool, options.cache);
    this.#position = new WalPositionReader(options.path);
    this.#flushedMs = this.clock.monotonicMs();
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get isPool(): boolean {
    return this.#options.role === 'pool';
  }

  run(): void {
    this.#say();
    for (const frame of this.#channel.read()) {
      if (this.#options.isOrphan()) return;
      for (const request of frame as RequestFrame) {
        const answer = this.#carryOut(request);
        this.#answers.push(answer);
        if (this.clock.monotonicMs() - this.#flushedMs > FLUSH_MS) this.beforeSlow();
      }
      this.beforeSlow();
    }
  }

  /** Says what has been done so far. */
  beforeSlow(): void {
    this.#flushedMs = this.clock.monotonicMs();
    if (this.#answers.length > 0) this.#say();
  }

  #say(): void {
    const position = this.#position;
    position.read();
    this.#channel.write([position.salt1, position.salt2, position.frames, this.#answers]);
    this.#answers = [];
  }

  #carryOut(request: WireRequest): WireAnswer {
    switch (request[0]) {
      case RequestKind.program:
        return this.#program(request);
      case RequestKind.describe:
        return this.#describe(request);
      case RequestKind.cursorNext:
        return this.#cursorNext(request);
      case RequestKind.cursorClose: {
        const [, id, stream] = request;
        return [AnswerKind.closed, id, this.#closeCursor(stream), null, null];
      }
      case RequestKind.close: {
        const [, id, stream, keep] = request;
        this.#closeCursor(stream);
        return [AnswerKind.closed, id, this.#connections.end(stream, keep), null, null];
      }
    }
  }

  #program(program: WireProgram): WireAnswer {
    const [, id, stream, grants, steps, memory, before] = program;
    if (!this.isPool && this.#connections.isHeldFrom(stream)) return [AnswerKind.notRun, id, 0, null, null];
    const place = this.#connections.place(stream, grants, memory);
    if (grants & Grant.cursor) return this.#openCursor(program, place);
    const outcomes: WireOutcome[] = [...before];
    const stop = runProgram(place, grants & Grant.sequence ? statementsOf(steps) : steps, outcomes, this);
    const remembered = changed(memory, place.connection.memory);
    const state = this.#connections.settle(stream, place, (grants & Grant.last) !== 0 && stop === null);
    return [stop ?? AnswerKind.outcomes, id, state, remembered, outcomes];
  }

  #openCursor([, id, stream, , steps]: WireProgram, place: Place): WireAnswer {
    this.#cursors.set(stream, new Cursor(place, steps, this));
    return [AnswerKind.entries, id, this.#connections.settle(stream, place, false, true), null, [[], false]];
  }

  #cursorNext([, id, stream, bytes]: WireCursorNext): WireAnswer {
    const cursor = this.#cursors.get(stream);
    if (cursor === undefined) return [AnswerKind.entries, id, 0, null, [[], true]];
    const { entries, end } = cursor.pull(bytes);
    const isOpen = end === 'more';
    if (!isOpen) this.#cursors.delete(stream);
    const remembered = isOpen ? null : cursor.place.connection.memory;
    const state = this.#connections.settle(stream, cursor.place, false, isOpen);
    return [typeof end === 'number' ? end : AnswerKind.entries, id, state, remembered, [entries, !isOpen]];
  }

  /** Gives up the rest of a cursor; a transaction that it runs in goes on. */
  #closeCursor(stream: number): number {
    const cursor = this.#cursors.get(stream);
    if (cursor === undefined) return STATE_UNCHANGED;
    cursor.close();
    this.#cursors.delete(stream);
    return this.#connections.settle(stream, cursor.place, false);
  }

  #describe([, id, stream, sql]: WireDescribe): WireAnswer {
    const place = this.#connections.place(stream, 0, NO_MEMORY);
    return [AnswerKind.description, id, STATE_UNCHANGED, null, describe(place, sql)];
  }
}

/** A sequence comes as one text. */
const statementsOf = (steps: readonly WireStep[]): WireStep[] =>
  steps.flatMap(([sql]) => splitStatements(sql).map(({ text }): WireStep => [text, [], null, false, null]));

const changed = (before: WireMemory, after: WireMemory): WireMemory | null => (before === after ? null : after);

function describe({ connection, isShared }: Place, sql: string): WireDescription | WireError {
  try {
    const traits = classify(onlyStatement(sql));
    if (traits.kind === 'state') return [[], [[], []], traits.isExplain, true];
    if (traits.kind === 'temp' && isShared) return [[], [[], []], traits.isExplain, false];
    const { parameters, columns, facts } = connection.prepare(sql);
    return [parameters, columns, traits.isExplain, !facts.writes && !facts.temp];
  } catch (thrown) {
    if (thrown instanceof StatementFailure) return thrown.outcome;
    throw thrown;
  }
}
