import type { Clock } from '../core/clock.ts';

/** The longest delay that a timer of the platform can hold; longer sleeps are slept in pieces. */
const TIMER_MAX_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  async sleep(durationMs, signal) {
    for (let left = durationMs; left > 0 || left === durationMs; left -= TIMER_MAX_MS) {
      await nap(Math.min(left, TIMER_MAX_MS), signal);
    }
  },
};

function nap(durationMs: number, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (signal?.aborted) return Promise.reject(signal.reason);
  const wake = () => {
    clearTimeout(timer);
    reject(signal?.reason);
  };
  const timer = setTimeout(() => {
    signal?.removeEventListener('abort', wake);
    resolve();
  }, durationMs);
  signal?.addEventListener('abort', wake, { once: true });
  return promise;
}
