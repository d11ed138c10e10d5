import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { relative } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Environment } from '../src/cli/environment.ts';
import { formatBytes, formatCount, formatDuration } from '../src/cli/format.ts';
import { type Rhythm, reportMirror } from '../src/cli/mirror-reporter.ts';
import { createOutput } from '../src/cli/output.ts';
import { renderVerify } from '../src/cli/verify-view.ts';
import { errorReport } from '../src/core/error.ts';
import { type MirrorOptions, mirror } from '../src/mirror.ts';
import { EXIT_INTERRUPTED, listenForInterrupts } from '../src/runtime/interrupt.ts';
import { systemClock } from '../src/runtime/system-clock.ts';
import { verify } from '../src/verify.ts';
import { createCrm } from './crm.ts';
import type { OfficeHours } from './office-worker.ts';

const SEED = 20_261_101;
const ROWS = 200_000;
const OFFICE_MS = 8_000;
/** Changes that the office made last are on the mirror by then. */
const SETTLE_MS = 1_500;

const folder = fileURLToPath(new URL('./out/', import.meta.url));
const source = `${folder}crm.db`;
const target = `${folder}crm-mirror.db`;
const startedMs = performance.now();

using interrupt = listenForInterrupts({
  clock: systemClock,
  onFirst: () => process.stderr.write('\nEnding.\n'),
  exit: (code) => process.exit(code),
});
const environment: Environment = {
  stdout: process.stdout,
  stderr: process.stderr,
  variables: process.env,
  clock: systemClock,
  version: '',
  signal: interrupt.signal,
  redact: (text) => text,
  readConfig: () => ({}),
};
const output = createOutput(environment, { json: false, quiet: false });
const say = (...lines: readonly string[]) => output.result(lines);
const heading = (text: string) => say('', output.paintResult('bold', text));

try {
  process.exitCode = await demonstrate();
} catch (error) {
  const report = errorReport(error);
  output.fail(report);
  process.exitCode = report.code === 'INTERRUPTED' ? EXIT_INTERRUPTED : 1;
}

async function demonstrate(): Promise<number> {
  makeDatabase();
  heading('2. Mirror it: the first copy');
  await run('once');
  heading(`3. People go on working for ${formatDuration(OFFICE_MS)}, and the mirror follows`);
  await followOffice();
  heading('4. Prove that the mirror equals its source');
  const report = await verify({ source, mirror: target, signal: interrupt.signal });
  say(...renderVerify(report, output.paintResult));
  sayWhatNext();
  return report.identical ? 0 : 1;
}

function makeDatabase(): void {
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder).filter((name) => /^crm(-mirror)?\.db/.test(name))) rmSync(folder + name);
  heading("1. Make a database: a small company's CRM in SQLite");
  const beganMs = performance.now();
  const made = createCrm(source, { seed: SEED, rows: ROWS });
  const spent = formatDuration(performance.now() - beganMs);
  say(`${made.tables} tables, ${formatCount(made.rows)} rows, made in ${spent}: ${shown(source)}`);
}

async function run(rhythm: Rhythm, options: Partial<MirrorOptions> = {}): Promise<void> {
  const reporter = reportMirror(output, environment, rhythm);
  const outcome = mirror({ source, mirror: target, signal: interrupt.signal, onEvent: reporter.onEvent, ...options });
  await outcome.finally(() => reporter.stop());
}

/** Follows while the office works, and a moment longer. */
async function followOffice(): Promise<void> {
  const closing = new AbortController();
  const signal = AbortSignal.any([closing.signal, interrupt.signal]);
  const following = run('follow', { follow: true, signal }).catch((error: unknown) => {
    if (!closing.signal.aborted || interrupt.signal.aborted) throw error;
  });
  const working = workInOffice(interrupt.signal).finally(() => closing.abort());
  const [transactions] = await Promise.all([working, following]);
  say(`${formatCount(transactions)} transactions were made in the source meanwhile.`);
}

async function workInOffice(signal: AbortSignal): Promise<number> {
  const workerData: OfficeHours = { path: source, seed: SEED, durationMs: OFFICE_MS };
  const worker = new Worker(new URL('./office-worker.ts', import.meta.url), { workerData });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  worker.once('message', resolve);
  worker.once('error', reject);
  signal.addEventListener('abort', () => void worker.terminate().then(() => reject(signal.reason)), { once: true });
  const transactions = await promise;
  await pause(SETTLE_MS, undefined, { signal });
  return transactions;
}

function sayWhatNext(): void {
  heading('What to type next');
  const [from, to] = [shown(source), shown(target)];
  say(
    `npx speil status ${to}`,
    `npx speil mirror ${from} ${to} --follow        then change ${from} with any program`,
    `npx speil verify ${from} ${to}`,
    `npx speil mirror postgres://you@your-server/your-database my-mirror.db --plan`,
    '',
    `The demo took ${formatDuration(performance.now() - startedMs)} and ${formatBytes(process.memoryUsage.rss())} of memory.`,
  );
}

function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}
