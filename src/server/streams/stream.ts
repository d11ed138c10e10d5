import { SpeilError } from '../../core/error.ts';
import {
  AnswerKind,
  Grant,
  Outcome,
  RequestKind,
  STATE_UNCHANGED,
  State,
  type WireAnswer,
  type WireDescription,
  type WireError,
  type WireMemory,
  type WireOutcome,
  type WireRequest,
  type WireStep,
} from '../executor/protocol.ts';
import { Job, type JobOwner, NotBegun } from '../executors/job.ts';
import { type RemoteExecutor, streamExpired } from '../executors/remote-executor.ts';
import type {
  Access,
  BatchStep,
  CursorEntry,
  SqlRequestOptions,
  SqlStream,
  StatementDescription,
  StatementError,
  StepOutcome,
} from '../sql.ts';
import type { ProgramNeeds } from './classify.ts';
import { cursorEntries } from './stream-cursor.ts';
import type { StreamHost } from './stream-host.ts';
import { notBegunOutcomes, sequenceStep, stepBytes, toDescription, toError, toOutcome, toWireStep } from './wire.ts';
import type { TicketHolder } from './write-queue.ts';

/** A program as it goes through the stream. */
export type Program = {
  readonly steps: readonly WireStep[];
  readonly grants: number;
  readonly before: readonly WireOutcome[];
};

const NOTHING_REMEMBERED: WireMemory = [0n, 0n, 0n];

/** A client's stream. Where its requests are carried out changes with what they need. */
export class ClientStream implements SqlStream, JobOwner {
  readonly id: number;
  readonly #host: StreamHost;
  readonly #access: Access;
  readonly #turns: (() => void)[] = [];
  #isBusy = false;
  #isClosed = false;
  #memory: WireMemory = NOTHING_REMEMBERED;
  #state = 0;
  /** Why the stream is of no use any more. */
  #expiry: SpeilError | null = null;
  /** What the next request is answered, once. */
  #bad: NotBegun | null = null;
  place: RemoteExecutor | null = null;
  /** The write ticket, as long as the stream has it. */
  ticket: TicketHolder | null = null;
  /** Rows are handed out, and the client has not asked for more yet. */
  hasIdleCursor = false;
  /** What it has under way. */
  job: Job | null = null;
  /** Its request is given up. */
  isCancelled = false;
  idleSinceMs = 0;

  constructor(id: number, host: StreamHost, access: Access) {
    this.id = id;
    this.#host = host;
    this.#access = access;
  }

  get isAutocommit(): boolean {
    return (this.#state & State.transaction) === 0;
  }

  /** It keeps something from others, and it is for the client to go on. */
  get isAwaited(): boolean {
    return this.hasIdleCursor || (!this.#isBusy && !this.isAutocommit);
  }

  async batch(steps: readonly BatchStep[], options: SqlRequestOptions = {}): Promise<readonly StepOutcome[]> {
    const outcomes = await this.#run(steps.map(toWireStep), options.last ? Grant.last : 0, options);
    return outcomes.map(toOutcome);
  }

  async sequence(sql: string, options: SqlRequestOptions = {}): Promise<StatementError | null> {
    const grants = Grant.sequence | (options.last ? Grant.last : 0);
    const outcome = (await this.#run([sequenceStep(sql)], grants, options)).at(-1);
    return outcome?.[0] === Outcome.error ? toError(outcome) : null;
  }

  async describe(sql: string, options: SqlRequestOptions = {}): Promise<StatementDescription | StatementError> {
    return this.#alone(async () => {
      const [, , , , body] = await this.ask((id) => [RequestKind.describe, id, this.id, sql], options.signal);
      const isError = body?.[0] === Outcome.error;
      return isError ? toError(body as WireError) : toDescription(body as WireDescription);
    }, options);
  }

  cursor(steps: readonly BatchStep[], options: SqlRequestOptions = {}): AsyncIterable<CursorEntry> {
    return cursorEntries(this, steps.map(toWireStep), options);
  }

  async #run(steps: readonly WireStep[], grants: number, options: SqlRequestOptions): Promise<readonly WireOutcome[]> {
    const program = { steps, grants, before: [] };
    return this.#alone(() => this.carryOut(program, this.needs(steps), options.signal), options);
  }

  /** One request at a time. */
  async #alone<T>(request: () => Promise<T>, options: SqlRequestOptions): Promise<T> {
    await this.enter(options);
    try {
      const answer = await request();
      options.signal?.throwIfAborted();
      return answer;
    } catch (error) {
      await this.abandon(options);
      throw error;
    } finally {
      this.leave(options);
    }
  }

  /** Takes the stream's turn, which `leave` ends. */
  async enter({ signal }: SqlRequestOptions): Promise<void> {
    if (this.#isBusy) await this.#turn();
    else this.#isBusy = true;
    try {
      signal?.throwIfAborted();
      this.#host.assertServing();
      this.#assertOpen();
    } catch (error) {
      this.#passTurn();
      throw error;
    }
  }

  /** After a failure: whoever gave its request up gives its transaction up. */
  async abandon({ signal }: SqlRequestOptions): Promise<void> {
    if (signal?.aborted) await this.#endTransaction();
  }

  leave({ last }: SqlRequestOptions): void {
    this.isCancelled = this.hasIdleCursor = false;
    this.job = null;
    this.idleSinceMs = this.#host.nowMs();
    if (last) this.#forget();
    this.#passTurn();
  }

  async #turn(): Promise<void> {
    if (this.#turns.length >= TURNS_MAX) {
      throw new SpeilError('TOO_MANY_STREAMS', `${TURNS_MAX} requests wait for this stream`, {
        hint: 'Open more streams, or wait for answers.',
      });
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turns.push(resolve);
    await promise;
  }

  #passTurn(): void {
    const next = this.#turns.shift();
    if (next === undefined) this.#isBusy = false;
    else next();
  }

  needs(steps: readonly WireStep[]): ProgramNeeds {
    return this.#host.texts.needs(steps);
  }

  /** Carries out a program, wherever that can be done. */
  async carryOut(
    program: Program,
    needs: ProgramNeeds,
    signal: AbortSignal | undefined,
  ): Promise<readonly WireOutcome[]> {
    let [rest, needed] = [program, needs];
    try {
      this.assertUsable();
      for (;;) {
        this.#assertOpen();
        const [kind, , , , body] = await this.once(rest, needed, signal);
        const outcomes = body as readonly WireOutcome[];
        if (kind === AnswerKind.outcomes) return this.#learn(program.steps, outcomes);
        rest = { ...rest, before: outcomes };
        needed = kind === AnswerKind.needsWrite ? { ...needed, writes: true } : { ...needed, isStateful: true };
      }
    } catch (error) {
      if (!(error instanceof NotBegun)) throw error;
      return notBegunOutcomes(rest.before, program.steps.length, error);
    }
  }

  #learn(steps: readonly WireStep[], outcomes: readonly WireOutcome[]): readonly WireOutcome[] {
    this.#host.learn(steps, outcomes);
    return outcomes;
  }

  /** Carries out what can be carried out in one place. */
  once(program: Program, needs: ProgramNeeds, signal: AbortSignal | undefined): Promise<WireAnswer> {
    const writes = needs.writes && this.#access === 'write';
    const request = (id: number) => this.#wireProgram(id, program, writes, needs);
    const bytes = program.steps.reduce((sum, step) => sum + stepBytes(step), 0);
    const isFast = this.#host.texts.isFast(program.steps);
    const job = new Job({ owner: this, request, isWrite: writes || this.ticket !== null, isFast, bytes });
    return this.#host.carryOut(this, job, signal, { ...needs, writes });
  }

  #wireProgram(id: number, { steps, grants, before }: Program, writes: boolean, needs: ProgramNeeds): WireRequest {
    let granted = grants;
    if (writes || this.ticket !== null) granted |= Grant.write;
    if (this.#access === 'read') granted |= Grant.readOnly;
    if (needs.isStateful || (needs.transacts && !writes)) granted |= Grant.own;
    return [RequestKind.program, id, this.id, granted, steps, this.#memory, before];
  }

  /** Has something done with the stream's connection that changes nothing in the database. */
  ask(request: (id: number) => WireRequest, signal?: AbortSignal): Promise<WireAnswer> {
    const job = new Job({ owner: this, request, isWrite: false, isFast: true, bytes: 0 });
    return this.#host.carryOut(this, job, signal);
  }

  arrived(executor: RemoteExecutor, answer: WireAnswer): void {
    const [, , state, memory] = answer;
    if (memory !== null) this.#memory = memory;
    this.idleSinceMs = this.#host.nowMs();
    if (state === STATE_UNCHANGED) return;
    this.#state = state;
    this.#stand(state & State.own ? executor : null);
    this.#host.moved(this);
    if (this.#isClosed && this.place !== null) this.#end();
  }

  #stand(place: RemoteExecutor | null): void {
    if (place === this.place) return;
    this.place?.streams.delete(this);
    place?.streams.add(this);
    this.place = place;
  }

  /** Its executor ended. Without temporary objects or an open transaction there is nothing to miss. */
  lost(): void {
    if (!this.isCancelled || this.#state & State.dirty) this.#expiry ??= streamExpired();
    this.#state = 0;
    this.place = null;
    this.#host.moved(this);
  }

  /** Rolls back, and ends a cursor; temporary objects and settings stay. */
  async #endTransaction(): Promise<void> {
    if (this.isAutocommit && !this.hasIdleCursor) return;
    await this.ask((id) => [RequestKind.close, id, this.id, true]).catch(() => {});
  }

  /** The client has left a transaction or a cursor alone for too long: it is ended, and the next request told. */
  async expire(): Promise<void> {
    this.#bad = new NotBegun('TRANSACTION_TIMEOUT', 'Transaction timed out');
    const isCursor = this.hasIdleCursor;
    this.hasIdleCursor = false;
    this.#isBusy = true;
    await this.ask((id) => [RequestKind.close, id, this.id, true]).catch(() => {});
    if (!isCursor) this.#passTurn();
  }

  #assertOpen(): void {
    if (this.#expiry !== null) throw this.#expiry;
    if (this.#isClosed) throw streamExpired();
  }

  /** Throws what has become of the stream; that its transaction timed out, once. */
  assertUsable(): void {
    this.#assertOpen();
    const bad = this.#bad;
    this.#bad = null;
    if (bad !== null) throw bad;
  }

  #forget(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#host.forget();
    if (this.place !== null) this.#end();
  }

  /** Gives up its connection, whatever is open there. */
  #end(): void {
    this.ask((id) => [RequestKind.close, id, this.id, false]).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#host.cancel(this);
    this.#forget();
  }
}

/** Requests that wait for one stream: a client that goes on sending is told so. */
const TURNS_MAX = 1_000;
