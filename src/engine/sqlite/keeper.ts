import { Worker } from 'node:worker_threads';

/** What a checkpoint came to: frames of the WAL that are in the database file, from the first on. */
export type Backfilled = {
  /** False: readers or a writer were in the way. */
  readonly complete: boolean;
  readonly frames: number;
};

export type KeeperRequest = {
  readonly id: number;
  readonly kind: 'pin' | 'unpin' | 'backfill' | 'restart' | 'empty' | 'close';
};
export type KeeperAnswer = { readonly id: number; readonly value: Backfilled | null; readonly error: string | null };

type Waiting = { readonly resolve: (value: Backfilled | null) => void; readonly reject: (error: Error) => void };

const THREAD = new URL(import.meta.url.endsWith('.ts') ? './keeper-thread.ts' : './keeper-thread.js', import.meta.url);

/**
 * Keeps a database's WAL in being as long as it is open, and moves it into the database file. Its connections live in a
 * thread of their own; requests are carried out one after another. Disposing closes them; the last connection to a
 * database removes its WAL.
 */
export class Keeper implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #ended: Error | null = null;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', ({ id, value, error }: KeeperAnswer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === null) waiting?.resolve(value);
      else waiting?.reject(new Error(`SQLite could not move the WAL into the database file: ${error}`));
    });
    worker.on('error', (error) => this.#fail(error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', () => this.#fail(new Error('the thread has ended')));
  }

  /** Resolves when the database is in WAL mode and open. */
  static async open(databasePath: string): Promise<Keeper> {
    const keeper = new Keeper(new Worker(THREAD, { workerData: databasePath }));
    await keeper.#answerTo(0);
    return keeper;
  }

  /** Nothing that is committed later is moved into the database file, until `unpin`. */
  async pin(): Promise<void> {
    await this.#ask('pin');
  }

  async unpin(): Promise<void> {
    await this.#ask('unpin');
  }

  /** Moves into the file what no reader is in the way of. Writers and readers go on. */
  backfill(): Promise<Backfilled> {
    return this.#askFrames('backfill');
  }

  /** The same, and the next commit begins the WAL anew. Only while nobody writes; waits for readers, within a bound. */
  restart(): Promise<Backfilled> {
    return this.#askFrames('restart');
  }

  /** The same, and the WAL is empty afterwards. */
  empty(): Promise<Backfilled> {
    return this.#askFrames('empty');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ask('close').catch(() => {});
    await this.#worker.terminate();
  }

  async #askFrames(kind: KeeperRequest['kind']): Promise<Backfilled> {
    return (await this.#ask(kind)) ?? { complete: false, frames: 0 };
  }

  #ask(kind: KeeperRequest['kind']): Promise<Backfilled | null> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    this.#lastId += 1;
    const answer = this.#answerTo(this.#lastId);
    this.#worker.postMessage({ id: this.#lastId, kind } satisfies KeeperRequest);
    return answer;
  }

  #answerTo(id: number): Promise<Backfilled | null> {
    const { promise, resolve, reject } = Promise.withResolvers<Backfilled | null>();
    this.#waiting.set(id, { resolve, reject });
    return promise;
  }

  #fail(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
