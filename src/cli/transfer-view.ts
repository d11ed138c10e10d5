import { isTerminal } from './environment.ts';
import { formatBytes, formatTimeLeft } from './format.ts';
import { type LiveView, repeat, startLiveView } from './live-view.ts';
import type { Output } from './output.ts';
import type { Shell } from './shell.ts';
import { Speed } from './speed.ts';

/** Between two lines about the same work, where lines cannot be rewritten. */
const LINE_MS = 3_000;
const BAR_CELLS = 24;

/** Says how far a file is on its way. Disposing ends what it says. */
export interface TransferView extends AsyncDisposable {
  /** Another part of the work begins. */
  step(words: string): void;
  /** In bytes. */
  readonly progress: (done: number, total: number) => void;
  /** Runs `write`, whose lines come to stand above what is shown. */
  above(write: () => void): void;
}

export function showTransfer({ environment }: Shell, output: Output, words: string): TransferView {
  const { clock, stderr, variables } = environment;
  const beganMs = clock.monotonicMs();
  let state = newTransfer(words, beganMs);
  const stopped = new AbortController();
  const render = () => [lineOf(state)];
  const isSilent = output.json || output.quiet;
  const isLive = !isSilent && isTerminal(stderr, variables);
  const live: LiveView | null = isLive ? startLiveView({ stream: stderr, clock, render }) : null;
  const say = () => {
    if (clock.monotonicMs() - beganMs >= LINE_MS) output.say(lineOf(state));
  };
  const said = isSilent || isLive ? null : repeat(clock, LINE_MS, stopped.signal, say);
  return {
    step: (next) => {
      state = newTransfer(next, clock.monotonicMs());
    },
    progress: (done, total) => {
      state = moved(state, { done, total }, clock.monotonicMs());
    },
    above: (write) => (live === null ? write() : live.above(write)),
    [Symbol.asyncDispose]: async () => {
      stopped.abort();
      await said;
      await live?.stop();
    },
  };
}

export type Transfer = {
  readonly words: string;
  readonly done: number;
  /** 0 while it is not known. */
  readonly total: number;
  readonly speed: Speed;
};

export const newTransfer = (words: string, nowMs: number): Transfer => ({
  words,
  done: 0,
  total: 0,
  speed: Speed.start(nowMs),
});

export function moved(state: Transfer, { done, total }: { done: number; total: number }, nowMs: number): Transfer {
  return { ...state, done, total, speed: Speed.add(state.speed, Math.max(0, done - state.done), nowMs) };
}

export function lineOf({ words, done, total, speed }: Transfer): string {
  if (total === 0) return words;
  const share = Math.min(1, done / total);
  const filled = Math.round(share * BAR_CELLS);
  const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR_CELLS - filled)}`;
  const rate = Speed.perSecond(speed);
  const left = rate > 0 && done < total ? `  ${formatTimeLeft(((total - done) / rate) * 1000)} left` : '';
  return `${words}  ${bar} ${Math.floor(share * 100)} %  ${formatBytes(done)} of ${formatBytes(total)}  ${formatBytes(rate)}/s${left}`;
}
