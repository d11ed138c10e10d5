import { readFileSync } from 'node:fs';
import { readConfig } from '../runtime/config.ts';
import { type Interrupt, listenForInterrupts } from '../runtime/interrupt.ts';
import { openLineReader } from '../runtime/line-reader.ts';
import { createRedact } from '../runtime/redact.ts';
import { systemClock } from '../runtime/system-clock.ts';
import type { Environment } from './environment.ts';
import { runCommandLine } from './program.ts';

/** The program: reads the command line of this process and sets its exit code. */
export async function main(): Promise<void> {
  const typed = process.argv.slice(2);
  using interrupt = listenForInterrupts({
    clock: systemClock,
    onFirst: () => process.stderr.write('\nEnding after the batch under way. Once more ends at once.\n'),
    exit: (code) => process.exit(code),
  });
  endWithReader(interrupt);
  process.exitCode = await runCommandLine(typed, environmentOf(typed, interrupt.signal));
}

const environmentOf = (typed: readonly string[], signal: AbortSignal): Environment => ({
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  readLines:
    process.stdin.isTTY && process.stdout.isTTY
      ? (options) => openLineReader({ ...options, input: process.stdin, output: process.stdout })
      : undefined,
  variables: process.env,
  clock: systemClock,
  version: packageVersion(),
  signal,
  redact: createRedact(typed, process.env),
  readConfig,
});

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return String((JSON.parse(text) as { readonly version: unknown }).version);
}

/** When nobody reads our output any more (`speil … | head`), the work ends as if interrupted. */
function endWithReader(interrupt: Interrupt): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      interrupt.trip();
    });
  }
}
