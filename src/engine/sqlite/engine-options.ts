import type { Clock } from '../../core/clock.ts';
import type { Disk } from '../../core/disk.ts';
import type { CheckpointTook } from './checkpointer.ts';
import type { Hardened } from './commit-gate.ts';
import type { RecoveryProgress } from './recovery.ts';

export type EngineOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  /** Holds the database file, its state and its journal. */
  readonly folder: string;
  readonly segmentBytes?: number | undefined;
  readonly walBytes?: number | undefined;
  readonly redoBytes?: number | undefined;
  /** Resolves when no write is under way; none begins before it is disposed. */
  readonly pauseWrites: () => Promise<Disposable>;
  /** Closes every other connection to the database: its file is about to be put back to what is hardened, or it has stopped. */
  readonly detach: (why: 'undo' | 'stopped') => Promise<void>;
  /** Connections may be opened again. */
  readonly attach: () => void;
  readonly onHardened?: ((hardened: Hardened) => void) | undefined;
  readonly onCheckpoint?: ((took: CheckpointTook) => void) | undefined;
  readonly onProgress?: ((progress: RecoveryProgress) => void) | undefined;
  /** Told when the state changes by itself: the disk is full or has room again, or the database has stopped. */
  readonly onState?: ((state: EngineState, error: unknown) => void) | undefined;
};

/**
 * `disk-full`: reads go on, writes are refused until there is room. `stopped`: nothing goes on; what is durable is not known
 * in this process any more, and only opening the database again finds out.
 */
export type EngineState = 'running' | 'disk-full' | 'stopped';
