import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { SpeilError } from '../../src/core/error.ts';
import { status } from '../../src/mirror.ts';
import { type Cycle, errorsOf, Mirroring, type Pair } from '../conformance/mirroring.ts';
import { TASK_POINTS, type TaskPoint } from '../support/composed-task.ts';
import { eventually, SeededRandom } from '../support/workload.ts';
import { assertMoney, BANK, Customers } from './bank.ts';
import type { Crash, CrashTask, Passed } from './crash-child.ts';

const CHILD = fileURLToPath(new URL('./crash-child.ts', import.meta.url));

/** Small, so that the few rows of the bank make several batches. */
const BATCH_BYTES = 20_000;

/** What the mirror is like when the task begins that will be killed. */
export type Beginning = 'empty' | 'up to date' | 'to be copied again';

export type CrashCase = Crash & { readonly beginning: Beginning; readonly seed: number };

export const crashCase: fc.Arbitrary<CrashCase> = fc.record({
  point: fc.constantFrom(...TASK_POINTS),
  occurrence: fc.integer({ min: 1, max: 8 }),
  beginning: fc.constantFrom<Beginning>('empty', 'up to date', 'to be copied again'),
  seed: fc.nat(1_000_000),
});

/** True when the process was killed at its point; false when it ended without coming there. */
export const runChild = async (task: CrashTask): Promise<boolean> => (await runToItsEnd(task)) === 'killed';

async function runToItsEnd(task: CrashTask): Promise<'killed' | Passed> {
  const child = spawn(process.execPath, [CHILD, JSON.stringify(task)], { stdio: ['ignore', 'pipe', 'pipe'] });
  const endWithUs = () => child.kill('SIGKILL');
  process.once('exit', endWithUs);
  let [output, errors] = ['', ''];
  child.stdout.on('data', (text) => {
    output += text;
  });
  child.stderr.on('data', (text) => {
    errors += text;
  });
  const [code, signal] = await once(child, 'close');
  process.removeListener('exit', endWithUs);
  if (signal === 'SIGKILL') return 'killed';
  assert.equal(code, 0, errors);
  return JSON.parse(output) as Passed;
}

/** The server may need a moment to see that the killed process has let go of the mirror. */
const cycleWhenFree = (mirroring: Mirroring): Promise<Cycle> =>
  eventually(
    async () => {
      const outcome = await mirroring.run({ batchBytes: BATCH_BYTES }).catch((error: unknown) => {
        if (error instanceof SpeilError && error.code === 'MIRROR_BUSY') return error;
        return { fatal: error };
      });
      if (outcome instanceof SpeilError) throw outcome;
      return outcome;
    },
    { withinMs: 5_000 },
  ).then((outcome) => {
    if ('fatal' in outcome) throw outcome.fatal;
    assert.equal(outcome.report.status, 'completed', errorsOf(outcome).join('\n'));
    return outcome;
  });

async function prepare(mirroring: Mirroring, beginning: Beginning): Promise<void> {
  await mirroring.source.sql(BANK);
  if (beginning === 'empty') return;
  await mirroring.cycle();
  await mirroring.source.sql("UPDATE transfer SET note = note || ' and more'");
  if (beginning === 'to be copied again') {
    await mirroring.mirror.sql("UPDATE speil_mirroring SET lsn = -1 WHERE table_name IN ('transfer', 'visit')");
  }
}

/** The metadata counts the rows that the tables have. */
async function assertCounts({ mirror }: Mirroring): Promise<void> {
  for (const { table, rows, state } of (await status(mirror.address)).tables) {
    assert.equal(state, 'up to date', table);
    assert.equal(rows, Number(await mirror.value(`SELECT count(*) FROM ${table}`)), `rows of ${table}`);
  }
}

/**
 * A task is killed while customers are at work. The next cycles, customers still at work, each show one state of the
 * bank; when these have gone home, the mirror is the source. Answers what the process passed if it never came to its
 * point in so many cycles.
 */
async function playCrashWithin(cyclesMax: number, pair: Pair, crash: CrashCase): Promise<'killed' | Passed> {
  await using mirroring = await Mirroring.open(pair);
  await prepare(mirroring, crash.beginning);
  const addresses = { source: mirroring.source.address, mirror: mirroring.mirror.address };
  await using customers = new Customers(mirroring.source, crash.seed);
  const { point, occurrence } = crash;
  const end = await runToItsEnd({ ...addresses, point, occurrence, batchBytes: BATCH_BYTES, cyclesMax });
  for (let round = 0; round < 2; round++) {
    await cycleWhenFree(mirroring);
    await assertMoney(mirroring.mirror);
  }
  await customers.stop();
  await mirroring.follow();
  await assertMoney(mirroring.mirror);
  await assertCounts(mirroring);
  return end;
}

/** Enough for every part of a task to come about, and for catch-ups with rows that come again. */
const CYCLES = 4;

/** Answers whether the point was come to. */
export const playCrash = async (pair: Pair, crash: CrashCase): Promise<boolean> =>
  (await playCrashWithin(CYCLES, pair, crash)) === 'killed';

/** The second point is one that the first process passed, and has more cycles to be come to: it nearly always is. */
const ATTEMPTS_MAX = 4;

/**
 * How often a task comes to a point depends on its beginning and on what the customers managed meanwhile; to some points
 * it never comes. So a process that ended without coming to its point says what it passed, and the next one is killed
 * there.
 */
async function playUntilKilled(pair: Pair, crash: CrashCase): Promise<void> {
  const random = new SeededRandom(crash.seed);
  let next = crash;
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const end = await playCrashWithin(attempt * CYCLES, pair, next);
    if (end === 'killed') return;
    const [point, count] = random.pick(Object.entries(end) as readonly [TaskPoint, number][]);
    next = { ...crash, point, occurrence: random.integer(1, count) };
  }
  assert.fail(`none of ${ATTEMPTS_MAX} processes came to its point`);
}

/** Where it is most likely to go wrong: between batches of one table, at the swap, after a commit that nobody heard of. */
const DELICATE: readonly CrashCase[] = [
  { point: 'before rowData', occurrence: 3, beginning: 'up to date', seed: 1 },
  { point: 'after commit', occurrence: 4, beginning: 'up to date', seed: 2 },
  { point: 'before swap', occurrence: 2, beginning: 'to be copied again', seed: 3 },
  { point: 'after swap', occurrence: 3, beginning: 'empty', seed: 4 },
];

export type CrashTests = {
  readonly numRuns: number;
  /** Without one the runs are others each time; a failure prints the one to repeat. */
  readonly seed?: number;
};

/** Kills at points that chance chooses: each run is a process that was killed. */
export function testCrashes(pair: Pair, { numRuns, seed }: CrashTests): void {
  test(`${pair.name}: killed at delicate points, under writes`, async () => {
    for (const crash of DELICATE) assert.ok(await playCrash(pair, crash), `${crash.point} was not come to`);
  });
  test(`${pair.name}: killed at any point, under writes, the task goes on where it was`, async () => {
    const property = fc.asyncProperty(crashCase, (crash) => playUntilKilled(pair, crash));
    await fc.assert(property, { numRuns, ...(seed === undefined ? {} : { seed }), endOnFailure: true });
  });
}
