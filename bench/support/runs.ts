import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { median, rounded } from './statistics.ts';

/** One of those that are measured side by side. */
export type Contestant = {
  readonly name: string;
  /** One run, prepared and measured. Answers what was measured, in the unit of the whole comparison. */
  readonly run: () => Promise<number>;
};

export type Measured = { readonly runs: readonly number[]; readonly median: number };

export type Comparison = Readonly<Record<string, Measured>>;

/**
 * Whatever is measured, one contestant after another, round by round; the first round only warms up. Each round begins
 * with another one, so that what a run leaves to be done later does not always hit the same neighbour.
 */
export async function alternate(contestants: readonly Contestant[], rounds: number, unit: string): Promise<Comparison> {
  const runs = new Map<string, number[]>(contestants.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const { name, run } of rotated(contestants, round)) {
      const value = rounded(await run());
      progress(`${round === 0 ? 'warm-up' : `round ${round}`}: ${name} ${value} ${unit}`);
      if (round > 0) runs.get(name)?.push(value);
    }
  }
  return Object.fromEntries(
    [...runs].map(([name, values]) => [name, { runs: values, median: rounded(median(values)) }]),
  );
}

const rotated = <T>(values: readonly T[], by: number): readonly T[] => [
  ...values.slice(by % values.length),
  ...values.slice(0, by % values.length),
];

/** Medians of one contestant over those of another; null where one of them did not run. */
export function ratio(comparison: Comparison, name: string, peer: string): number | null {
  const [ours, theirs] = [comparison[name], comparison[peer]];
  return ours === undefined || theirs === undefined ? null : rounded(ours.median / theirs.median);
}

/** Seconds that the work takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return (performance.now() - startedMs) / 1000;
}

export const progress = (line: string): void => void process.stderr.write(`${line}\n`);

/** The one object that a benchmark prints. */
export const printResult = (result: Readonly<Record<string, unknown>>): void =>
  void process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);

/** Whole numbers given as `--name 5`, over their defaults. */
export function readNumbers<Name extends string>(defaults: Readonly<Record<Name, number>>): Record<Name, number> {
  const names = Object.keys(defaults) as Name[];
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]));
  const { values } = parseArgs({ options });
  return Object.fromEntries(names.map((name) => [name, readNumber(name, values[name], defaults[name])])) as Record<
    Name,
    number
  >;
}

function readNumber(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new Error(`--${name} ${text} is not a whole number`);
  return value;
}
