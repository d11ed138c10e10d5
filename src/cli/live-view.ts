import { createLogUpdate } from 'log-update';
import type { Clock } from '../core/clock.ts';
import type { TextStream } from './environment.ts';

/** Often enough for a calm eye, seldom enough to cost nothing. */
const FRAME_MS = 100;

export type LiveViewOptions = {
  readonly stream: TextStream;
  readonly clock: Clock;
  /** The lines of a frame; called ten times a second. */
  readonly render: () => readonly string[];
};

/** Lines at the bottom of a terminal that are drawn again and again. */
export interface LiveView {
  /** Removes the lines, runs `write` and draws them again below what it wrote. */
  above(write: () => void): void;
  /** Removes the lines; nothing is drawn any more. */
  stop(): Promise<void>;
}

export function startLiveView({ stream, clock, render }: LiveViewOptions): LiveView {
  const stopped = new AbortController();
  const draw = createLogUpdate(stream as NodeJS.WritableStream);
  const frame = () => {
    const lines = render();
    if (lines.length > 0) draw(lines.join('\n'));
    else draw.clear();
  };
  const drawing = repeat(clock, FRAME_MS, stopped.signal, frame);
  return {
    above: (write) => {
      draw.clear();
      write();
      if (!stopped.signal.aborted) frame();
    },
    stop: async () => {
      stopped.abort();
      await drawing;
      draw.clear();
      draw.done();
    },
  };
}

/** Runs `work` at once and then every `intervalMs` until the signal is aborted. */
export async function repeat(clock: Clock, intervalMs: number, signal: AbortSignal, work: () => void): Promise<void> {
  while (!signal.aborted) {
    work();
    await clock.sleep(intervalMs, signal).catch(() => {});
  }
}
