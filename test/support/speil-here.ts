import { runCommandLine } from '../../src/cli/program.ts';
import { readConfig } from '../../src/runtime/config.ts';
import { createRedact } from '../../src/runtime/redact.ts';
import { systemClock } from '../../src/runtime/system-clock.ts';
import type { JsonLine } from './speil-process.ts';

export type SpeilHere = {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly events: readonly JsonLine[];
};

export type Around = {
  readonly variables?: Readonly<Record<string, string>>;
  /** What is typed or piped in; nobody is there without it. */
  readonly stdin?: string;
  /** Whether all streams are a terminal. */
  readonly isTTY?: boolean;
};

/** Runs `speil …typed` in this process, where paths are taken from: faster than a process, for what needs none of its own. */
export async function speilHere(
  typed: readonly string[],
  { variables = {}, stdin, isTTY = false }: Around = {},
): Promise<SpeilHere> {
  const said = { stdout: '', stderr: '' };
  const code = await runCommandLine(typed, {
    stdout: { write: (text) => (said.stdout += text), isTTY },
    stderr: { write: (text) => (said.stderr += text), isTTY },
    ...(stdin === undefined ? {} : { stdin: Object.assign(pieces(stdin), { isTTY }) }),
    variables,
    clock: systemClock,
    version: '0.0.0',
    signal: new AbortController().signal,
    redact: createRedact(typed),
    readConfig,
  });
  const lines = said.stdout.split('\n').slice(0, -1);
  const events = typed.includes('--json') ? lines.map((line): JsonLine => JSON.parse(line)) : [];
  return { code, ...said, events };
}

async function* pieces(text: string): AsyncGenerator<string> {
  yield text;
}
