import type { ErrorReport } from '../core/error.ts';
import { type Environment, hasColor } from './environment.ts';
import { type Paint, paintWith, printable } from './text.ts';

export type OutputFlags = { readonly json: boolean; readonly quiet: boolean };

/** Where a command says things. Everything that passes through here is free of passwords. */
export interface Output extends OutputFlags {
  /** One line of `--json`; nothing without it. */
  event(event: object): void;
  /** Lines of the result, for people: standard output without `--json`. */
  result(lines: readonly string[]): void;
  /** A line about the work, for people: standard error, neither with `--json` nor `--quiet`. */
  say(line: string): void;
  /** What went wrong: standard error in any case. */
  complain(kind: 'error' | 'warning', text: string, hint: string | null): void;
  /** `complain` and, with `--json`, an event. */
  fail(error: ErrorReport): void;
  readonly paintResult: Paint;
  readonly paint: Paint;
}

/** A failure as the first line of what is said about it. */
export const inWords = (error: ErrorReport): string => `${error.message} (${error.code})`;

/** Values under these keys are names, not prose: a password that happens to be the same word must not garble them. */
const NAMES: ReadonlySet<string> = new Set(['event', 'table', 'tenant', 'state', 'code', 'kind']);

export function createOutput(environment: Environment, { json, quiet }: OutputFlags): Output {
  const { stdout, stderr, variables, redact } = environment;
  const paint = paintWith(hasColor(stderr, variables));
  const clean = (key: string, value: unknown) => (typeof value === 'string' && !NAMES.has(key) ? redact(value) : value);
  const complain: Output['complain'] = (kind, text, hint) => {
    stderr.write(`${paint(kind === 'error' ? 'red' : 'yellow', `${kind}:`)} ${printable(redact(text))}\n`);
    if (hint !== null) stderr.write(`  ${paint('cyan', 'hint:')} ${printable(redact(hint))}\n`);
  };
  const event: Output['event'] = (value) => {
    if (json) stdout.write(`${JSON.stringify(value, clean)}\n`);
  };
  return {
    json,
    quiet,
    paint,
    paintResult: paintWith(hasColor(stdout, variables)),
    event,
    complain,
    result: (lines) => {
      if (!json && lines.length > 0) stdout.write(redact(`${lines.join('\n')}\n`));
    },
    say: (line) => {
      if (!json && !quiet) stderr.write(`${redact(line)}\n`);
    },
    fail: (error) => {
      event({ event: 'error', ...error });
      complain('error', inWords(error), error.hint);
    },
  };
}
