import type { Clock } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import type { WireAnswer, WireOutcome, WireStep } from '../executor/protocol.ts';
import type { ExecutorRole } from '../executor/serve.ts';
import { type Job, NotBegun } from '../executors/job.ts';
import { ReaderPool } from '../executors/reader-pool.ts';
import { RemoteExecutor, streamExpired } from '../executors/remote-executor.ts';
import type { Access, SqlDatabase } from '../sql.ts';
import type { ProgramNeeds } from './classify.ts';
import type { CommitGate } from './commit-gate.ts';
import { ClientStream } from './stream.ts';
import type { StreamHost } from './stream-host.ts';
import { STREAM_SETTINGS, type StreamObserver, type StreamSettings } from './stream-settings.ts';
import { TextMemory } from './text-memory.ts';
import { Watch } from './watch.ts';
import { type TicketHolder, WriteQueue } from './write-queue.ts';

export type StreamsOptions = {
  readonly name: string;
  /** The database file. It is there, in WAL mode, and somebody keeps a connection to it open. */
  readonly path: string;
  readonly clock: Clock;
  readonly gate: CommitGate;
  readonly settings?: Partial<StreamSettings>;
  readonly observer?: StreamObserver;
};

/** How exactly bounds of time are kept. */
const WATCH_MS = 250;

/** Carries out what clients ask of one database: streams, the queue of writers, and the processes that run their SQL. */
export class Streams implements SqlDatabase, StreamHost, AsyncDisposable {
  readonly name: string;
  readonly texts = new TextMemory();
  readonly #options: StreamsOptions;
  readonly #settings: StreamSettings;
  readonly #watch: Watch;
  readonly #writer: RemoteExecutor;
  readonly #pool: ReaderPool;
  readonly #queue: WriteQueue<Job>;
  #streams = 0;
  /** Streams with a connection of their own. */
  readonly #placed = new Set<ClientStream>();
  #lastId = 0;
  #stopped: SpeilError | null = null;

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.name = options.name;
    this.#settings = { ...STREAM_SETTINGS, ...options.settings };
    const { readersMax, waitingMax, waitMsMax, executorIdleMsMax } = this.#settings;
    this.#writer = this.#executor('writer');
    this.#pool = new ReaderPool({
      ...{ executorsMax: readersMax, lengthMax: waitingMax, idleMsMax: executorIdleMsMax, waitMsMax },
      make: () => this.#executor('pool'),
    });
    this.#queue = this.#writeQueue();
    this.#watch = new Watch(options.clock, WATCH_MS);
    this.#watch.add((nowMs) => this.#queue.expire(nowMs));
    this.#watch.add((nowMs) => this.#pool.watch(nowMs));
    this.#watch.add((nowMs) => this.#retireWriter(nowMs));
    this.#watch.add((nowMs) => this.#expireIdle(nowMs));
    this.#watch.add((nowMs) => this.#cancelLong(nowMs));
  }

  #executor(role: ExecutorRole): RemoteExecutor {
    const { path, clock, gate } = this.#options;
    return new RemoteExecutor(
      { path, role, cache: this.#settings.cache },
      {
        clock,
        gate,
        onProgress: (executor) => this.#progressed(executor),
        onSettled: (job) => this.#settled(job),
        onReturned: (_executor, jobs) => this.#again(jobs),
        onEnded: (executor, isCrash, diagnosis) => this.#ended(executor, isCrash, diagnosis),
      },
    );
  }

  #writeQueue(): WriteQueue<Job> {
    const { waitMsMax, waitingMax } = this.#settings;
    return new WriteQueue<Job>({
      ...{ waitMsMax, lengthMax: waitingMax },
      inFlight: () => this.#writer.load,
      send: (group) => this.#writer.send(group),
      admit: () => this.#options.gate.admitWrite(),
      soon: (then) => process.nextTick(then),
      nowMs: () => this.nowMs(),
      overdue: () => new NotBegun('SQLITE_BUSY', `SQLite error: others wrote for ${waitMsMax / 1000} s, and more wait`),
      full: () => new NotBegun('SQLITE_BUSY', `SQLite error: ${waitingMax} programs wait to write already`),
    });
  }

  nowMs(): number {
    return this.#options.clock.monotonicMs();
  }

  get openCount(): number {
    return this.#streams;
  }

  get waitingWriters(): number {
    return this.#queue.length;
  }

  get waitingReaders(): number {
    return this.#pool.length;
  }

  /** Processes, and how many of them carry out something. */
  get executorCounts(): { readonly running: number; readonly busy: number } {
    const executors = [this.#writer, ...this.#pool.executors].filter(({ state }) => state !== 'stopped');
    return { running: executors.length, busy: executors.filter(({ load }) => load > 0).length };
  }

  openStream(access: Access): ClientStream {
    this.assertServing();
    if (this.#streams >= this.#settings.streamsMax) throw tooMany(this.#settings.streamsMax);
    this.#streams++;
    return new ClientStream(++this.#lastId, this, access);
  }

  assertServing(): void {
    if (this.#stopped !== null) throw this.#stopped;
  }

  carryOut(stream: ClientStream, job: Job, signal: AbortSignal | undefined, needs?: ProgramNeeds): Promise<WireAnswer> {
    if (this.#stopped !== null) return Promise.reject(this.#stopped);
    if (signal?.aborted) return Promise.reject(signal.reason);
    stream.job = job;
    job.askedMs = this.nowMs();
    this.#watch.wake();
    if (signal !== undefined) this.#cancelOnAbort(stream, job, signal);
    this.#route(stream, job, needs);
    return job.answer;
  }

  #route(stream: ClientStream, job: Job, needs: ProgramNeeds | undefined): void {
    if (needs === undefined || stream.ticket !== null) this.#place(stream, job, needs);
    else if (isAlone(stream, needs) || stream.place === this.#writer) this.#acquire(stream, job, needs);
    else if (needs.writes) this.#queue.push(job);
    else this.#place(stream, job, needs);
  }

  #acquire(stream: ClientStream, job: Job, needs: ProgramNeeds): void {
    const { place } = stream;
    const holder: TicketHolder = {
      granted: () => {
        stream.ticket = holder;
        if (stream.place === place) this.#place(stream, job, needs);
        else job.reject(streamExpired());
      },
      refuse: (error) => job.reject(error),
    };
    job.waitsAs = holder;
    job.answer.catch(() => this.moved(stream));
    this.#queue.acquire(holder);
  }

  #place(stream: ClientStream, job: Job, needs: ProgramNeeds | undefined): void {
    const isNew = stream.place === null && needs !== undefined && (needs.transacts || needs.isStateful);
    if (isNew && this.#placed.size >= this.#settings.ownConnectionsMax) {
      job.reject(tooMany(this.#settings.ownConnectionsMax));
    } else if (stream.place === this.#writer || (stream.place === null && needs?.writes && !needs.isStateful)) {
      this.#writer.send([job]);
    } else {
      job.isForPool = true;
      this.#pool.submit(job);
    }
  }

  moved(stream: ClientStream): void {
    if (stream.place === null) this.#placed.delete(stream);
    else this.#placed.add(stream);
    if (stream.isAutocommit) this.#giveBack(stream);
    else if (stream.place === this.#writer && stream.ticket === null) this.#hold(stream);
  }

  #giveBack(stream: ClientStream): void {
    const { ticket } = stream;
    if (ticket === null) return;
    stream.ticket = null;
    this.#queue.release(ticket);
  }

  /** It began a transaction among programs that do not as a rule; the others wait from now on. */
  #hold(stream: ClientStream): void {
    const holder: TicketHolder = { granted: () => {}, refuse: () => {} };
    stream.ticket = holder;
    this.#queue.hold(holder);
  }

  #progressed(executor: RemoteExecutor): void {
    if (executor === this.#writer) this.#queue.pump();
    else this.#pool.pump();
  }

  /** Jobs that were not carried out, or of which nothing is left. */
  #again(jobs: readonly Job[]): void {
    if (this.#stopped !== null) {
      for (const job of jobs) job.reject(this.#stopped);
      return;
    }
    const wanted = jobs.filter(isWanted);
    const isQueued = (job: Job) => job.options.isWrite && job.waitsAs === null;
    this.#queue.returned(wanted.filter(isQueued));
    const [reads, ticketed] = [wanted.filter(({ options }) => !options.isWrite), wanted.filter((job) => job.waitsAs)];
    this.#pool.returned(reads);
    for (const job of ticketed) this.#sendAgain(job);
  }

  #sendAgain(job: Job): void {
    if (job.isForPool) this.#pool.submit(job);
    else this.#writer.send([job]);
  }

  #ended(executor: RemoteExecutor, isCrash: boolean, diagnosis: string): void {
    if (executor !== this.#writer) this.#pool.lost(executor, streamExpired());
    if (isCrash) this.#options.observer?.onExecutorLost?.({ role: executor.role, diagnosis });
  }

  #cancelOnAbort(stream: ClientStream, job: Job, signal: AbortSignal): void {
    const abort = () => this.#cancel(stream, job, signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    const stop = () => signal.removeEventListener('abort', abort);
    job.answer.then(stop, stop);
  }

  cancel(stream: ClientStream): void {
    const { job } = stream;
    if (job !== null) this.#cancel(stream, job, streamExpired());
  }

  #cancel(stream: ClientStream, job: Job, reason: unknown): void {
    stream.isCancelled = true;
    this.#options.observer?.onCancelled?.();
    const isWaiting = this.#queue.remove(job.waitsAs ?? job) || this.#pool.remove(job);
    if (!isWaiting && job.executor !== null) void job.executor.cancel(job, reason);
    else {
      job.cancellation = { reason };
      job.reject(reason);
    }
  }

  learn(steps: readonly WireStep[], outcomes: readonly WireOutcome[]): void {
    this.texts.learn(steps, outcomes);
  }

  /** Rolls back what was left alone for too long; answers whether any stream keeps something from others. */
  #expireIdle(nowMs: number): boolean {
    const { writeIdleMsMax, readIdleMsMax } = this.#settings;
    for (const stream of this.#placed) {
      const boundMs = stream.ticket === null ? readIdleMsMax : writeIdleMsMax;
      if (stream.isAwaited && nowMs - stream.idleSinceMs >= boundMs) void stream.expire();
    }
    return this.#placed.size > 0;
  }

  /** Gives up programs that run for too long; answers whether any runs. */
  #cancelLong(nowMs: number): boolean {
    const executors = [this.#writer, ...this.#pool.executors];
    for (const executor of executors) {
      const { running } = executor;
      if (running === null || running.cancellation !== null) continue;
      const boundMs = running.options.isWrite ? this.#settings.writeMsMax : this.#settings.readMsMax;
      if (boundMs !== null && nowMs - executor.sinceMs >= boundMs) void executor.cancel(running, tooLong(boundMs));
    }
    return executors.some(({ load }) => load > 0);
  }

  #retireWriter(nowMs: number): boolean {
    if (nowMs - this.#writer.sinceMs > this.#settings.executorIdleMsMax) this.#writer.retire();
    return this.#writer.state !== 'stopped';
  }

  #settled({ options: { isWrite }, askedMs, sentMs }: Job): void {
    this.#options.observer?.onProgram?.({ isWrite, waitMs: sentMs - askedMs, runMs: this.nowMs() - sentMs });
  }

  /** Starts the processes that are needed at first, so that the first client does not wait for them. */
  warm(): void {
    this.#writer.start();
    this.#pool.warm();
    this.#watch.wake();
  }

  forget(): void {
    this.#streams--;
  }

  /** Resolves when nothing is being written; nothing is until what it answers is disposed of. */
  pauseWrites(): Promise<Disposable> {
    const { promise, resolve, reject } = Promise.withResolvers<Disposable>();
    const holder: TicketHolder = {
      granted: () => resolve({ [Symbol.dispose]: () => this.#queue.release(holder) }),
      refuse: reject,
    };
    this.#queue.acquire(holder);
    return promise;
  }

  /** Ends the processes, so that the database's files can be put in order; what is asked for meanwhile waits. */
  async pause(): Promise<void> {
    await Promise.all([this.#writer, ...this.#pool.executors].map((executor) => executor.pause()));
  }

  resume(): void {
    for (const executor of [this.#writer, ...this.#pool.executors]) executor.resume();
  }

  /** Lets what runs end, refuses the rest; resolves when no process is left. */
  async close(): Promise<void> {
    this.#stopped ??= new SpeilError('DATABASE_STOPPED', `The database ${this.name} is not being served any more`, {
      hint: 'Start the server again, or ask its operator.',
      recovery: 'retry',
    });
    this.#watch.close();
    this.#queue.clear(this.#stopped);
    this.#pool.clear(this.#stopped);
    await Promise.all([this.#writer, ...this.#pool.executors].map((executor) => executor.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** It holds the ticket for longer than one program, or for a program that does not run on the writer. */
const isAlone = (stream: ClientStream, { writes, isStateful, staysOpen }: ProgramNeeds): boolean =>
  writes && (stream.place !== null || isStateful || staysOpen);

function isWanted(job: Job): boolean {
  if (job.cancellation !== null) job.reject(job.cancellation.reason);
  return job.cancellation === null;
}

const tooMany = (max: number): SpeilError =>
  new SpeilError('TOO_MANY_STREAMS', `${max} streams are open already`, {
    hint: 'Close streams that are not used any more, or raise the bound.',
    recovery: 'retry',
  });

const tooLong = (boundMs: number): SpeilError =>
  new SpeilError('STATEMENT_CANCELLED', `The statement was cancelled, since it ran for more than ${boundMs / 1000} s`, {
    hint: 'Make it look at fewer rows (EXPLAIN QUERY PLAN shows at how many), or raise the bound.',
  });
