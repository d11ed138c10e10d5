import { parseArgs } from 'node:util';
import { runJournal } from './scenarios/journal.ts';
import { runRecovery } from './scenarios/recovery.ts';
import { Violation } from './violation.ts';

const USAGE = `npm run sim -- [--only journal|recovery] [--seed N] [--runs N]

Runs parts of Speil unchanged on a simulated machine, and checks from outside what they promise. The same seed is the same run.
Ends with 0 when all promises were kept, 1 when one was broken, 2 when the simulator itself failed.
`;

type Scenario = (seed: number) => Promise<Readonly<Record<string, number>>>;

const SCENARIOS: Readonly<Record<string, Scenario>> = { journal: runJournal, recovery: runRecovery };

const KEPT = 0;
const BROKEN = 1;
const FAILED = 2;

const RUNS_DEFAULT = 1000;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: 'journal' },
      seed: { type: 'string', default: '1' },
      runs: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return say(USAGE, KEPT);
  const run = Object.hasOwn(SCENARIOS, values.only) ? SCENARIOS[values.only] : undefined;
  if (run === undefined)
    return say(`There is no scenario ${values.only}. There are: ${Object.keys(SCENARIOS).join(', ')}\n`, FAILED);
  const first = Number(values.seed);
  const runs = Number(values.runs ?? (process.argv.includes('--seed') ? 1 : RUNS_DEFAULT));
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(runs)) return say(USAGE, FAILED);
  return runSeeds(values.only, run, { first, runs });
}

async function runSeeds(
  name: string,
  run: Scenario,
  { first, runs }: { readonly first: number; readonly runs: number },
): Promise<number> {
  const sums: Record<string, number> = {};
  for (let seed = first; seed < first + runs; seed += 1) {
    try {
      const counts = await run(seed);
      for (const [what, count] of Object.entries(counts)) sums[what] = (sums[what] ?? 0) + count;
    } catch (error) {
      const verdict = error instanceof Violation ? 'A promise was broken' : 'The simulator failed';
      const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
      return say(
        `${verdict} in seed ${seed}: ${why}\n\nnpm run sim -- --only ${name} --seed ${seed}\n`,
        error instanceof Violation ? BROKEN : FAILED,
      );
    }
  }
  const counted = Object.entries(sums).map(([what, count]) => `${what} ${count}`);
  return say(`${name}: ${runs} runs from seed ${first}, all promises kept\n${counted.join(', ')}\n`, KEPT);
}

function say(text: string, code: number): number {
  process.stdout.write(text);
  return code;
}

process.exitCode = await main().catch((error: unknown) => say(`${String(error)}\n\n${USAGE}`, FAILED));
