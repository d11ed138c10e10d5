import type { Clock } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import type { ExecutorArguments } from '../executor/arguments.ts';
import type { AnswerFrame, WireAnswer } from '../executor/protocol.ts';
import { AnswerKind } from '../executor/protocol.ts';
import { type CommitGate, samePosition, type WalPosition } from '../streams/commit-gate.ts';
import { Fifo } from '../streams/fifo.ts';
import { ExecutorProcess } from './executor-process.ts';
import type { Job, JobOwner } from './job.ts';
import { judgeLoss } from './loss.ts';

export type ExecutorEnvironment = {
  readonly clock: Clock;
  readonly gate: CommitGate;
  /** An answer came, or the process ended: there may be room for more. */
  onProgress(executor: RemoteExecutor): void;
  /** Its answer is settled and handed out. */
  onSettled(job: Job): void;
  /** Jobs that have to be carried out again, in order. */
  onReturned(executor: RemoteExecutor, jobs: readonly Job[]): void;
  /** Its process ended, told to or not. */
  onEnded(executor: RemoteExecutor, isCrash: boolean, diagnosis: string): void;
};

/** How long a running program is given to end by itself when nobody wants it any more, before its process is ended. */
const GRACE_MS = 50;

/** How long a program may go on when the server is stopped. */
const CLOSE_GRACE_MS = 5_000;

/** A process that ends before it has said anything is started again after a pause that doubles from the first to the last. */
const RESTART_FIRST_MS = 100;
const RESTART_LAST_MS = 5_000;

/** An executor as the server has it: the jobs under way there, and its process, which is started when it is needed. */
export class RemoteExecutor {
  readonly #arguments: ExecutorArguments;
  readonly #environment: ExecutorEnvironment;
  /** In the order in which they are answered, numbered from `#firstId` on. */
  readonly #jobs = new Fifo<Job>();
  #firstId = 1;
  /** Streams that have a connection of their own there. */
  readonly streams = new Set<JobOwner>();
  #process: ExecutorProcess | null = null;
  /** Processes that were told to end and have not yet. */
  readonly #leaving = new Set<ExecutorProcess>();
  #isPaused = false;
  #isClosed = false;
  #hasAnswered = false;
  #isKilled = false;
  #failures = 0;
  /** The jobs that wait until it may be started again. */
  #held: Job[] | null = null;
  /** Where the WAL ended when all writes that were sent here before had been answered. */
  #base: WalPosition | null = null;
  /** When it began what it does now, or had nothing to do last. */
  sinceMs: number;

  constructor(options: ExecutorArguments, environment: ExecutorEnvironment) {
    this.#arguments = options;
    this.#environment = environment;
    this.sinceMs = environment.clock.monotonicMs();
  }

  get load(): number {
    return this.#jobs.length + (this.#held?.length ?? 0);
  }

  get role(): ExecutorArguments['role'] {
    return this.#arguments.role;
  }

  /** `ready`: what is sent is begun at once. `resting`: it is started again after a pause. */
  get state(): 'stopped' | 'starting' | 'ready' | 'resting' {
    if (this.#held !== null || this.#isPaused) return 'resting';
    if (this.#process === null) return 'stopped';
    return this.#hasAnswered ? 'ready' : 'starting';
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  /** The job that is being carried out, as far as is known. */
  get running(): Job | null {
    return this.#jobs.peek() ?? null;
  }

  start(): void {
    if (this.state !== 'stopped' || this.#isClosed) return;
    this.#hasAnswered = this.#isKilled = false;
    const process: ExecutorProcess = new ExecutorProcess(this.#arguments, {
      onAnswers: (frame) => {
        if (this.#process === process) this.#receive(frame);
      },
      onEnd: (diagnosis) => this.#ended(process, diagnosis),
    });
    this.#process = process;
  }

  send(jobs: readonly Job[]): void {
    if (this.#held !== null || this.#isPaused) {
      this.#held = [...(this.#held ?? []), ...jobs];
      return;
    }
    this.start();
    const nowMs = this.#environment.clock.monotonicMs();
    if (this.#jobs.length === 0) this.sinceMs = nowMs;
    if (jobs.some(({ options }) => options.isWrite)) this.#noteBase();
    const requests = jobs.map((job) => {
      const id = this.#firstId + this.#jobs.length;
      this.#jobs.push(job);
      job.executor = this;
      job.sentMs = nowMs;
      return job.options.request(id);
    });
    this.#process?.send(requests);
  }

  /** Only one executor has writes under way at a time: if none has, nothing moves the WAL. */
  #noteBase(): void {
    for (const { options } of this.#jobs) if (options.isWrite) return;
    this.#base = this.#positionNow();
  }

  /** Null when the WAL cannot be read. */
  #positionNow(): WalPosition | null {
    try {
      return this.#environment.gate.position();
    } catch {
      return null;
    }
  }

  /** Something was committed that no answer told of, as far as is known. */
  #hasMoved(): boolean {
    const [base, now] = [this.#base, this.#positionNow()];
    return base === null || now === null || !samePosition(base, now);
  }

  #receive([salt1, salt2, frames, answers]: AnswerFrame): void {
    this.#hasAnswered = true;
    this.#failures = 0;
    const position = { salt1, salt2, frames };
    this.#base = position;
    const jobs = answers.map((answer) => this.#take(answer));
    if (answers.length > 0) this.#settle(position, jobs, answers);
    this.sinceMs = this.#environment.clock.monotonicMs();
    this.#environment.onProgress(this);
  }

  #take(answer: WireAnswer): Job | null {
    const job = this.#jobs.shift();
    if (job === undefined || answer[1] !== this.#firstId++) throw outOfStep();
    job.executor = null;
    if (answer[0] === AnswerKind.notRun) {
      this.#environment.onReturned(this, [job]);
      return null;
    }
    job.options.owner.arrived(this, answer);
    return job;
  }

  /** Nobody hears of what is not hardened. */
  #settle(position: WalPosition, jobs: readonly (Job | null)[], answers: readonly WireAnswer[]): void {
    const { gate } = this.#environment;
    const settled = () => this.#deliver(jobs, answers);
    const undone = (error: unknown) => {
      for (const job of jobs) job?.reject(error);
    };
    try {
      if (gate.isSettled(position)) settled();
      else gate.settle(position).then(settled, undone);
    } catch (error) {
      undone(error);
    }
  }

  #deliver(jobs: readonly (Job | null)[], answers: readonly WireAnswer[]): void {
    for (const [index, job] of jobs.entries()) {
      if (job === null) continue;
      job.resolve(answers[index] as WireAnswer);
      this.#environment.onSettled(job);
    }
  }

  /** Gives the job up: its process is ended if that is the only way. */
  async cancel(job: Job, reason: unknown): Promise<void> {
    job.cancellation = { reason };
    job.options.owner.isCancelled = true;
    while (job.executor === this) {
      await this.#environment.clock.sleep(GRACE_MS);
      if (job.executor === this && this.running === job) this.kill();
    }
  }

  kill(): void {
    this.#isKilled = true;
    this.#process?.kill();
  }

  #ended(process: ExecutorProcess, diagnosis: string): void {
    this.#leaving.delete(process);
    if (this.#process !== process) return;
    this.#process = null;
    const isCrash = !this.#isKilled;
    if (isCrash && !this.#hasAnswered) this.#rest();
    const lost = this.#jobs.drain();
    this.#firstId += lost.length;
    const returned = this.#judge(lost, isCrash, diagnosis);
    for (const stream of [...this.streams]) stream.lost();
    this.streams.clear();
    this.#hasAnswered = false;
    this.#environment.onEnded(this, isCrash, diagnosis);
    if (returned.length > 0) this.#environment.onReturned(this, returned);
    this.#environment.onProgress(this);
  }

  #rest(): void {
    const pauseMs = Math.min(RESTART_LAST_MS, RESTART_FIRST_MS * 2 ** this.#failures++);
    this.#held ??= [];
    void this.#environment.clock.sleep(pauseMs).then(() => this.#release());
  }

  #release(): void {
    if (this.#isPaused || this.#isClosed) return;
    const held = (this.#held ?? []).filter(({ cancellation }) => cancellation === null);
    this.#held = null;
    if (held.length > 0) this.send(held);
    else this.#environment.onProgress(this);
  }

  /** Answers the jobs that have to be carried out again. */
  #judge(lost: readonly Job[], isCrash: boolean, diagnosis: string): Job[] {
    const hasCommitted = lost.some(({ options }) => options.isWrite) && this.#hasMoved();
    return lost.filter((job, index) => {
      job.executor = null;
      const { owner, isWrite } = job.options;
      const [isCancelled, needsConnection] = [job.cancellation !== null, owner.place === this];
      const known = { isWrite, isCancelled, needsConnection, isFirst: index === 0, losses: job.losses++ };
      const verdict = judgeLoss(known, hasCommitted, isCrash);
      if (verdict === 'rerun') return true;
      job.reject(verdict === 'cancelled' ? job.cancellation?.reason : failure(verdict, diagnosis));
      return false;
    });
  }

  /** Ends a process that has nothing to do and holds nobody's connection. It is started again when it is needed. */
  retire(): void {
    const process = this.#process;
    if (process === null || this.load > 0 || this.streams.size > 0) return;
    this.#process = null;
    this.#hasAnswered = false;
    this.#leaving.add(process);
    process.end();
  }

  /** Ends the process, and starts none before `resume`. What was not answered is carried out then, where it can be. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    for (const process of this.#leaving) process.kill();
    this.kill();
    await this.#gone();
  }

  async #gone(): Promise<void> {
    await Promise.all([this.#process, ...this.#leaving].map((process) => process?.ended));
  }

  resume(): void {
    this.#isPaused = false;
    this.#release();
  }

  /** Lets it finish what it does, for a while, and begins nothing more; resolves when no process is left. */
  async close(): Promise<void> {
    this.#isClosed = this.#isKilled = true;
    const held = this.#held ?? [];
    this.#held = null;
    this.#environment.onReturned(this, held);
    this.#process?.end();
    const ended = new AbortController();
    const kill = () => {
      for (const process of this.#leaving) process.kill();
      this.kill();
    };
    this.#environment.clock.sleep(CLOSE_GRACE_MS, ended.signal).then(kill, () => {});
    await this.#gone();
    ended.abort();
  }
}

const outOfStep = () => new SpeilError('INTERNAL', 'An executor answered something that it was not asked');

function failure(verdict: 'expired' | 'unknown' | 'failed', diagnosis: string): SpeilError {
  if (verdict === 'expired') return streamExpired();
  if (verdict === 'unknown') {
    return new SpeilError(
      'OUTCOME_UNKNOWN',
      'The statement was under way when its process ended; it may have been committed',
      {
        hint: 'Look in the database whether it was, before you send it again.',
      },
    );
  }
  return new SpeilError('INTERNAL', `The process that carried out the statement ended twice. ${diagnosis}`.trim());
}

export const streamExpired = (): SpeilError =>
  new SpeilError('STREAM_EXPIRED', 'The stream and its transaction ended, since the process that carried it out did', {
    hint: 'Open another stream and begin the transaction again.',
    recovery: 'retry',
  });
