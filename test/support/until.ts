import { setTimeout as sleep } from 'node:timers/promises';

/** How long a condition may take to come true on a busy machine. */
const PATIENCE_MS = 20_000;
const LOOK_MS = 5;

/** Looks again and again until it is so. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let left = PATIENCE_MS / LOOK_MS; !condition(); left--) {
    if (left <= 0) throw new Error(`in vain was waited for: ${what}`);
    await sleep(LOOK_MS);
  }
}

/** Until a number does not change any more for as long as `looks` looks. */
export async function untilStill(count: () => number, looks = 40): Promise<number> {
  let [last, still] = [count(), 0];
  await until(() => {
    still = count() === last ? still + 1 : 0;
    last = count();
    return still >= looks;
  }, 'a number that stands still');
  return last;
}
