import { Fifo } from '../streams/fifo.ts';
import { type Job, NotBegun } from './job.ts';
import type { RemoteExecutor } from './remote-executor.ts';

export type ReaderPoolOptions = {
  readonly executorsMax: number;
  readonly lengthMax: number;
  readonly idleMsMax: number;
  readonly waitMsMax: number;
  make(): RemoteExecutor;
};

/** Reads that are known to be fast are sent together, so many at most. */
const GROUP_MAX = 16;

/**
 * The executors that read, and that hold the connections of streams. One that is at work is sent nothing more, so that
 * whoever asks for long holds up nobody but the streams whose connections are there.
 */
export class ReaderPool {
  readonly #options: ReaderPoolOptions;
  readonly #executors = new Set<RemoteExecutor>();
  readonly #waiting = new Fifo<Job>();
  readonly #waitingHere = new Map<RemoteExecutor, Fifo<Job>>();

  constructor(options: ReaderPoolOptions) {
    this.#options = options;
  }

  get executors(): ReadonlySet<RemoteExecutor> {
    return this.#executors;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** Has one executor ready. */
  warm(): void {
    if (this.#executors.size === 0) this.#add();
  }

  #add(): void {
    const executor = this.#options.make();
    this.#executors.add(executor);
    this.#waitingHere.set(executor, new Fifo());
    executor.start();
  }

  submit(job: Job): void {
    const { place } = job.options.owner;
    const own = place === null ? undefined : this.#waitingHere.get(place);
    if (place !== null && own !== undefined) {
      own.push(job);
      this.#feed(place);
      return;
    }
    if (this.#waiting.length >= this.#options.lengthMax) {
      job.reject(new NotBegun('SQLITE_BUSY', `SQLite error: ${this.#waiting.length} reads wait already`));
      return;
    }
    this.#waiting.push(job);
    this.pump();
  }

  /** Takes out what was not begun; false when it was. */
  remove(job: Job): boolean {
    const isIt = (other: Job) => other === job;
    return this.#waiting.remove(isIt) || [...this.#waitingHere.values()].some((jobs) => jobs.remove(isIt));
  }

  returned(jobs: readonly Job[]): void {
    this.#waiting.pushFront(jobs);
    this.pump();
  }

  /** Gives work to those who have none. */
  pump(): void {
    for (const executor of this.#executors) this.#feedOwn(executor);
    while (this.#waiting.length > 0) {
      const executor = this.#nextIdle();
      if (executor === null) break;
      executor.send(this.#takeGroup());
    }
    if (this.#waiting.length > 0) this.#startMore();
  }

  /** One at a time, so that a burst that is over soon does not start them all. */
  #startMore(): void {
    const executors = [...this.#executors];
    if (executors.some(({ state }) => state === 'starting' || state === 'resting')) return;
    const stopped = executors.find(({ state }) => state === 'stopped');
    if (stopped !== undefined) stopped.start();
    else if (executors.length < this.#options.executorsMax) this.#add();
  }

  #feed(executor: RemoteExecutor): void {
    this.#feedOwn(executor);
    if (executor.load === 0) this.pump();
  }

  #feedOwn(executor: RemoteExecutor): void {
    const own = this.#waitingHere.get(executor);
    if (executor.load > 0 || own === undefined || own.length === 0) return;
    executor.send([own.shift() as Job]);
  }

  /** One that holds nobody's connection, if there can be: a long statement is in nobody's way there. */
  #nextIdle(): RemoteExecutor | null {
    let best: RemoteExecutor | null = null;
    for (const executor of this.#executors) {
      if (executor.load > 0 || executor.state !== 'ready') continue;
      if (best === null || executor.streams.size < best.streams.size) best = executor;
    }
    if (best === null || best.streams.size === 0 || this.#waiting.peek()?.options.isFast) return best;
    return this.#executors.size < this.#options.executorsMax ? null : best;
  }

  #takeGroup(): Job[] {
    const group: Job[] = [];
    for (let next = this.#waiting.peek(); next !== undefined && group.length < GROUP_MAX; next = this.#waiting.peek()) {
      if (group.length > 0 && !(next.options.isFast && group[0]?.options.isFast)) break;
      group.push(next);
      this.#waiting.shift();
    }
    return group;
  }

  /** Ends processes without work, and refuses who has waited too long; answers whether there is any to look at later. */
  watch(nowMs: number): boolean {
    for (const executor of this.#executors) {
      if (executor.state === 'ready' && nowMs - executor.sinceMs > this.#options.idleMsMax) executor.retire();
    }
    for (let next = this.#waiting.peek(); next !== undefined; next = this.#waiting.peek()) {
      if (nowMs - next.askedMs < this.#options.waitMsMax) break;
      this.#waiting.shift();
      next.reject(new NotBegun('SQLITE_BUSY', 'SQLite error: all readers were busy for too long'));
    }
    return this.#waiting.length > 0 || [...this.#executors].some(({ state }) => state !== 'stopped');
  }

  /** An executor's process ended: who waited for a connection there waits in vain. */
  lost(executor: RemoteExecutor, error: unknown): void {
    for (const job of this.#waitingHere.get(executor)?.drain() ?? []) job.reject(error);
  }

  clear(error: unknown): void {
    for (const job of this.#waiting.drain()) job.reject(error);
    for (const jobs of this.#waitingHere.values()) for (const job of jobs.drain()) job.reject(error);
  }
}
