import type { EventEmitter } from 'node:events';
import type { Clock } from '../core/clock.ts';
import { SpeilError } from '../core/error.ts';

export const EXIT_INTERRUPTED = 130;

/**
 * A terminal sends Ctrl-C to every process of its group, and launchers (npx, `bin/speil.js`) pass on what they get: one
 * press may arrive several times. Signals this close together are one.
 */
const SAME_PRESS_MS = 300;

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

export type InterruptOptions = {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Called once, when the first signal arrives. */
  readonly onFirst: () => void;
  /** Called for the second; ends the process. */
  readonly exit: (code: number) => void;
  /** Who tells of signals; the process itself unless told otherwise. */
  readonly signals?: EventEmitter;
};

export type Interrupt = Disposable & {
  /** Aborted with `INTERRUPTED` by the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** Aborts without a signal having come; does nothing when it is aborted already. */
  trip(): void;
};

/** The first SIGINT or SIGTERM aborts the signal, so that work ends after the batch under way; a second exits at once. */
export function listenForInterrupts({ clock, onFirst, exit, signals = process }: InterruptOptions): Interrupt {
  const controller = new AbortController();
  let firstMs = 0;
  const trip = () => {
    firstMs = clock.monotonicMs();
    controller.abort(new SpeilError('INTERRUPTED', 'Interrupted.', { recovery: 'retry' }));
  };
  const receive = () => {
    if (controller.signal.aborted) {
      if (clock.monotonicMs() - firstMs > SAME_PRESS_MS) exit(EXIT_INTERRUPTED);
      return;
    }
    onFirst();
    trip();
  };
  for (const name of SIGNALS) signals.on(name, receive);
  const stop = () => {
    for (const name of SIGNALS) signals.off(name, receive);
  };
  return { signal: controller.signal, trip, [Symbol.dispose]: stop };
}
