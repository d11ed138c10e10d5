import { createHash } from 'node:crypto';
import type { Clock } from '../core/clock.ts';

/** Refused tokens from one address in a window; a program with an old token tries less often, a guesser much more. */
const FAILURES_MAX = 30;
const WINDOW_MS = 60_000;
/** Addresses remembered; the oldest is forgotten first, so that many addresses cannot fill the memory. */
const ADDRESSES_MAX = 1_000;
/** Tokens remembered as good: more than the people and programs of a center. */
const GOOD_MAX = 1_000;

/**
 * Counts refused tokens by address. An address with too many of them is refused unasked until its window ends, except
 * with a token that was good before: whoever shares the address of a guesser goes on working.
 */
export class FailureLimit {
  readonly #clock: Clock;
  readonly #failures = new Map<string, { count: number; readonly endsAtMs: number }>();
  readonly #good = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds for which the address is not listened to with this secret; 0 when it is. */
  waitMs(address: string, secret: string): number {
    const found = this.#failures.get(address);
    if (found === undefined || found.count < FAILURES_MAX || this.#good.has(hashOf(secret))) return 0;
    return Math.max(0, found.endsAtMs - this.#clock.monotonicMs());
  }

  failed(address: string): void {
    const now = this.#clock.monotonicMs();
    const found = this.#failures.get(address);
    if (found !== undefined && found.endsAtMs > now) {
      found.count += 1;
      return;
    }
    this.#failures.delete(address);
    forgetOldest(this.#failures, ADDRESSES_MAX);
    this.#failures.set(address, { count: 1, endsAtMs: now + WINDOW_MS });
  }

  succeeded(secret: string): void {
    const hash = hashOf(secret);
    if (this.#good.has(hash)) return;
    forgetOldest(this.#good, GOOD_MAX);
    this.#good.add(hash);
  }
}

/** The secret itself is not kept, not even here. */
const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('base64');

function forgetOldest(entries: Map<string, unknown> | Set<string>, max: number): void {
  if (entries.size < max) return;
  const [oldest] = entries.keys();
  if (oldest !== undefined) entries.delete(oldest);
}
