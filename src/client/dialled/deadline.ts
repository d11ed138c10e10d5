import type { Clock } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import { HANDSHAKE_WAIT_MS } from './limits.ts';

/** A signal that is aborted when a handshake takes too long, or with `signal`. Ends with the block that uses it. */
export function withDeadline(clock: Clock, signal?: AbortSignal): Disposable & { readonly signal: AbortSignal } {
  const over = new AbortController();
  const done = new AbortController();
  const late = new SpeilError('CONNECTION_LOST', `the other side did not answer within ${HANDSHAKE_WAIT_MS / 1000} s`, {
    hint: 'It is tried again by itself.',
    recovery: 'retry',
  });
  clock.sleep(HANDSHAKE_WAIT_MS, done.signal).then(
    () => over.abort(late),
    () => undefined,
  );
  const signals = signal === undefined ? [over.signal] : [over.signal, signal];
  return { signal: AbortSignal.any(signals), [Symbol.dispose]: () => done.abort() };
}
