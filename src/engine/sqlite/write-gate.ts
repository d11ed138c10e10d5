import { DatabaseSync } from 'node:sqlite';
import type { Clock } from '../../core/clock.ts';
import type { WriteGate } from './redo.ts';

/**
 * How long one attempt blocks the process. While it lasts SQLite lets no new reader in, so that short statements which follow
 * one another do not keep the gate shut.
 */
const ATTEMPT_MS = 20;
const PAUSE_FIRST_MS = 1;
const PAUSE_MAX_MS = 50;

const SQLITE_BUSY = 5;

/**
 * SQLite's own lock as the gate: an exclusive transaction of a connection that never writes. Readers of all processes wait, each
 * for its busy timeout, while the file's pages are written past SQLite.
 *
 * The file must be whole and in rollback-journal mode when the gate is made (redo into it `asReadMirror` and flush, without
 * a gate, before anybody opens it). A reader that never ends its statement keeps the gate waiting until `signal` ends that.
 */
export class SqliteWriteGate implements WriteGate, Disposable {
  readonly #connection: DatabaseSync;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;

  constructor(path: string, clock: Clock, signal: AbortSignal) {
    this.#connection = new DatabaseSync(path, { timeout: ATTEMPT_MS });
    this.#clock = clock;
    this.#signal = signal;
  }

  async enter(): Promise<void> {
    for (let pauseMs = PAUSE_FIRST_MS; !this.#tryEnter(); pauseMs = Math.min(2 * pauseMs, PAUSE_MAX_MS))
      await this.#clock.sleep(pauseMs, this.#signal);
  }

  async leave(): Promise<void> {
    this.#connection.exec('ROLLBACK');
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }

  #tryEnter(): boolean {
    try {
      this.#connection.exec('BEGIN EXCLUSIVE');
      return true;
    } catch (error) {
      if (((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY) return false;
      throw error;
    }
  }
}
