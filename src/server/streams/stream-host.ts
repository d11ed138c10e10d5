import type { WireAnswer, WireOutcome, WireStep } from '../executor/protocol.ts';
import type { Job } from '../executors/job.ts';
import type { ProgramNeeds } from './classify.ts';
import type { ClientStream } from './stream.ts';
import type { TextMemory } from './text-memory.ts';

/** The database around its streams. */
export interface StreamHost {
  readonly texts: TextMemory;
  nowMs(): number;
  /** Throws `DATABASE_STOPPED` when it serves no more. */
  assertServing(): void;
  /**
   * Has a job carried out where the stream stands, or where there is room. `needs` is missing when the stream's
   * connection is only to be looked at or given up.
   */
  carryOut(stream: ClientStream, job: Job, signal: AbortSignal | undefined, needs?: ProgramNeeds): Promise<WireAnswer>;
  /** A program was carried out. */
  learn(steps: readonly WireStep[], outcomes: readonly WireOutcome[]): void;
  /** The stream's connection is another one, or its transaction began or ended. */
  moved(stream: ClientStream): void;
  /** Gives up what the stream has under way. */
  cancel(stream: ClientStream): void;
  /** A stream is of no use any more. Called once for each. */
  forget(): void;
}
