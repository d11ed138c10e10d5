import type { Clock } from '../../core/clock.ts';

/** Looks at the bounds of time every so often as long as there is anything to look at; otherwise it sleeps for good. */
export class Watch {
  readonly #clock: Clock;
  readonly #periodMs: number;
  readonly #checks: ((nowMs: number) => boolean)[] = [];
  readonly #ending = new AbortController();
  #isRunning = false;

  constructor(clock: Clock, periodMs: number) {
    this.#clock = clock;
    this.#periodMs = periodMs;
  }

  /** `check` answers whether it has anything left to watch. Whoever gives it more calls `wake`. */
  add(check: (nowMs: number) => boolean): void {
    this.#checks.push(check);
  }

  wake(): void {
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      for (let isNeeded = true; isNeeded; ) {
        await this.#clock.sleep(this.#periodMs, this.#ending.signal);
        isNeeded = this.#look();
      }
      this.#isRunning = false;
    } catch (error) {
      if (!this.#ending.signal.aborted) throw error;
    }
  }

  #look(): boolean {
    const nowMs = this.#clock.monotonicMs();
    return this.#checks.map((check) => check(nowMs)).includes(true);
  }

  close(): void {
    this.#ending.abort();
  }
}
