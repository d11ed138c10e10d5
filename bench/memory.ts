import { createAccountsDatabase } from './support/accounts.ts';
import { describeMachine } from './support/machine.ts';
import { peakMemoryOfSpeil } from './support/programs.ts';
import { printResult, progress, readNumbers } from './support/runs.ts';
import { ServerPair } from './support/servers.ts';
import { median } from './support/statistics.ts';

const { runs, changes, smallest } = readNumbers({ runs: 3, changes: 1_000_000, smallest: 50 });
const SIZES_MB = [smallest, 4 * smallest, 16 * smallest];
const ROW_BYTES = 97;

await using pair = await ServerPair.start();

type Peak = { readonly runsMB: readonly number[]; readonly medianMB: number };

async function peak(what: string, prepare: () => Promise<readonly string[]>): Promise<Peak> {
  const runsMB: number[] = [];
  for (let n = 0; n < runs; n++) {
    runsMB.push(Math.round((await peakMemoryOfSpeil(await prepare())) / 1e6));
    progress(`${what}: ${runsMB.at(-1)} MB`);
  }
  return { runsMB, medianMB: median(runsMB) };
}

async function firstCopy(sizeMB: number): Promise<Peak> {
  const rows = Math.round((sizeMB * 1e6) / ROW_BYTES);
  const name = `shop_${sizeMB}`;
  const source = await createAccountsDatabase(pair.source, name, rows);
  await using mirrors = new AsyncDisposableStack();
  const prepare = async () => ['mirror', source, mirrors.use(await pair.newMirror()).url, '--quiet'];
  const measured = await peak(`first copy of ${sizeMB} MB`, prepare);
  await pair.source.sql('postgres', `DROP DATABASE ${name}`);
  return measured;
}

async function catchUp(): Promise<Peak> {
  const source = await createAccountsDatabase(pair.source, 'shop', changes);
  await using mirror = await pair.newMirror();
  const mirroring = ['mirror', source, mirror.url, '--quiet'];
  await peakMemoryOfSpeil(mirroring);
  return await peak(`catch-up of ${changes} rows`, async () => {
    await pair.source.sql('shop', 'UPDATE accounts SET abalance = abalance + 1');
    return mirroring;
  });
}

const floor = await peak('a program that does nothing', async () => ['--version']);
const copies: Record<string, Peak> = {};
for (const sizeMB of SIZES_MB) copies[`${sizeMB} MB`] = await firstCopy(sizeMB);
const caughtUp = await catchUp();
const largest = copies[`${SIZES_MB.at(-1)} MB`]?.medianMB ?? Number.NaN;
const small = copies[`${SIZES_MB[0]} MB`]?.medianMB ?? Number.NaN;

printResult({
  benchmark: 'memory',
  what: 'most memory that the process of the command line had resident (VmHWM), in MB of a million bytes',
  machine: describeMachine(await pair.fullVersion()),
  doingNothing: floor,
  firstCopies: copies,
  catchUp: { rows: changes, ...caughtUp },
  ratios: { [`copy of ${SIZES_MB.at(-1)} MB / copy of ${SIZES_MB[0]} MB`]: Number((largest / small).toFixed(2)) },
});
