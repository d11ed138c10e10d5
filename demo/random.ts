/** A generator of chance that a seed repeats exactly (mulberry32). */
export type SeededRandom = {
  /** A number in [0, 1). */
  unit(): number;
  /** A whole number from `from` up to and including `to`. */
  between(from: number, to: number): number;
  /** Like `between`, but small numbers come more often, as old customers do. */
  skewed(from: number, to: number): number;
  pick<T>(items: readonly T[]): T;
  /** True in this share of cases. */
  chance(share: number): boolean;
};

export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const unit = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const between = (from: number, to: number) => from + Math.floor(unit() * (to - from + 1));
  return {
    unit,
    between,
    skewed: (from, to) => from + Math.floor(unit() ** 2 * (to - from + 1)),
    pick: (items) => items[between(0, items.length - 1)] as (typeof items)[number],
    chance: (share) => unit() < share,
  };
}
