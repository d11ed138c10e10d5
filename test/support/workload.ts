import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Chance that repeats: the same seed gives the same sequence on every machine. */
export class SeededRandom {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed >>> 0;
  }

  /** A number in [0, 1). The generator is mulberry32. */
  unit(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.unit() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.integer(0, choices.length - 1)];
    if (choice === undefined) throw new Error('nothing to pick from');
    return choice;
  }

  /** A new array with the same elements in another order. */
  shuffle<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, at: this.unit() }))
      .sort((a, b) => a.at - b.at)
      .map(({ item }) => item);
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.integer(0, 255));
  }

  /** Letters of several scripts, quotes, backslashes, tabs and line ends: what breaks careless encoders. */
  text(maxLength: number): string {
    return Array.from({ length: this.integer(0, maxLength) }, () => this.pick(CHARACTERS)).join('');
  }

  /** A version 4 UUID. */
  uuid(): string {
    const hex = Buffer.from(this.bytes(16)).toString('hex');
    const variant = '89ab'.charAt(this.integer(0, 3));
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
  }
}

const CHARACTERS = [
  ...'abcdefghijklmnopqrstuvwxyz ABCXYZ0123456789',
  ...'æøåßéЖ漢字𝄞🙂',
  ...'\'"\\\t\n\r\b\f\v,;{}()%$',
  '\\N',
  '\\.',
];

/** A new empty directory that goes, with everything in it, when it is disposed. */
export function withDirectory(
  prefix = 'speil-test-',
): Disposable & { readonly path: string; file(name: string): string } {
  const path = mkdtempSync(join(tmpdir(), prefix));
  return {
    path,
    file: (name) => join(path, name),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** Calls `check` until it no longer throws and answers what it answers; throws its last error when time is up. */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { withinMs = 5_000, everyMs = 10 }: { readonly withinMs?: number; readonly everyMs?: number } = {},
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() >= deadline) throw error;
    }
    await sleep(everyMs);
  }
}
