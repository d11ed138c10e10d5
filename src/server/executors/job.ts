import type { WireAnswer, WireRequest } from '../executor/protocol.ts';
import type { TicketHolder } from '../streams/write-queue.ts';
import type { RemoteExecutor } from './remote-executor.ts';

/** Who has a job carried out: a stream, as executors see it. */
export type JobOwner = {
  /** Names it to the executors. */
  readonly id: number;
  /** The executor that has a connection of this stream alone. */
  readonly place: RemoteExecutor | null;
  /** What it has under way was given up: if its executor is ended for that, it misses nothing but its transaction. */
  isCancelled: boolean;
  /** At once when an answer came, before it is settled: where the stream's connection stands now. */
  arrived(executor: RemoteExecutor, answer: WireAnswer): void;
  /** Its connection is gone with the executor. */
  lost(): void;
};

/** Ends a program without a step having failed: it was not begun. Clients see it as the outcome of the first step. */
export class NotBegun extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export type JobOptions = {
  readonly owner: JobOwner;
  readonly request: (id: number) => WireRequest;
  readonly isWrite: boolean;
  /** Nothing in it is known to take long. */
  readonly isFast: boolean;
  /** About how much it is to send. */
  readonly bytes: number;
};

/** One request to an executor, until its answer is settled. */
export class Job {
  readonly options: JobOptions;
  readonly answer: Promise<WireAnswer>;
  readonly resolve: (answer: WireAnswer) => void;
  readonly reject: (reason: unknown) => void;
  /** How often it was begun on an executor that ended. */
  losses = 0;
  /** When it was asked for, and when it was sent to an executor. */
  askedMs = 0;
  sentMs = 0;
  /** How it waits for the write ticket, or waited, if it needs it for itself. */
  waitsAs: TicketHolder | null = null;
  /** It runs on a connection of a reading executor, whatever it does. */
  isForPool = false;
  /** Where it is carried out now. */
  executor: RemoteExecutor | null = null;
  /** Why nobody wants it any more. */
  cancellation: { readonly reason: unknown } | null = null;

  constructor(options: JobOptions) {
    this.options = options;
    const { promise, resolve, reject } = Promise.withResolvers<WireAnswer>();
    this.answer = promise;
    this.resolve = resolve;
    this.reject = reject;
  }

  get bytes(): number {
    return this.options.bytes;
  }

  /** Ends it without its having been begun. */
  refuse(error: unknown): void {
    this.reject(error);
  }
}
