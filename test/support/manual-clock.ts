import type { Clock } from '../../src/core/clock.ts';

type Sleeper = { readonly untilMs: number; readonly wake: () => void };

/** A clock that stands still until it is told to move. */
export class ManualClock implements Clock {
  #nowMs: number;
  readonly #sleepers = new Set<Sleeper>();

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  /** How many sleep on it. */
  get sleepers(): number {
    return this.#sleepers.size;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const sleeper = { untilMs: this.#nowMs + durationMs, wake: resolve };
    this.#sleepers.add(sleeper);
    const stop = () => {
      this.#sleepers.delete(sleeper);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', stop, { once: true });
    return promise.finally(() => signal?.removeEventListener('abort', stop));
  }

  /** Moves on and wakes who has slept long enough, the earliest first. */
  advance(durationMs: number): void {
    this.#nowMs += durationMs;
    const due = [...this.#sleepers].filter(({ untilMs }) => untilMs <= this.#nowMs);
    for (const sleeper of due.toSorted((a, b) => a.untilMs - b.untilMs)) {
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
  }
}
