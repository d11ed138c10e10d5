import type { Clock } from '../../core/clock.ts';

/**
 * Nonces that are remembered at once: 700 calls a second for as long as a token holds, about 30 MB. A call more is
 * refused, because a nonce that is forgotten could be used again.
 */
export const NONCES_MAX = 250_000;

/** Which nonces were used, for as long as the tokens that hold them are good. */
export interface NonceMemory {
  /** Remembers the nonce until the time (milliseconds since 1970) at which its token ends. */
  use(nonce: string, untilMs: number): 'fresh' | 'used' | 'full';
}

export function createNonceMemory(clock: Clock, countMax: number = NONCES_MAX): NonceMemory {
  const untilByNonce = new Map<string, number>();
  return {
    use(nonce, untilMs) {
      forgetEnded(untilByNonce, clock.now());
      if (untilByNonce.has(nonce)) return 'used';
      if (untilByNonce.size >= countMax) return 'full';
      untilByNonce.set(nonce, untilMs);
      return 'fresh';
    },
  };
}

/** In the order of their arrival, up to the first that is still good: a step or two a call. */
function forgetEnded(untilByNonce: Map<string, number>, nowMs: number): void {
  for (const [nonce, untilMs] of untilByNonce) {
    if (untilMs > nowMs) return;
    untilByNonce.delete(nonce);
  }
}
