import { Command } from 'commander';
import { errorReport } from '../core/error.ts';
import type { Environment } from './environment.ts';
import { EXIT_INTERRUPTED, exitCodeOf } from './exit-code.ts';
import { createOutput, type Output, type OutputFlags } from './output.ts';
import { parseTenant } from './settings.ts';

// Commands import the library when they run: help and version need none of it, and answer at once.

/** What the commands share: the world, and where their exit code goes. */
export type Shell = { readonly environment: Environment; readonly exit: (code: number) => void };

export type CommonFlags = { readonly json?: boolean; readonly quiet?: boolean; readonly tenant?: string };

export const newCommand = (name: string, description: string): Command =>
  new Command(name).description(description).helpOption('-h, --help', 'show this help').allowExcessArguments(false);

export const withTenant = (command: Command): Command =>
  command.option('--tenant <name>', 'name of the metadata table: <name>_mirroring (default: speil)', parseTenant);

export const withQuiet = (command: Command): Command =>
  command.option('--quiet', 'say only how it ended and what went wrong');

export const withJson = (command: Command): Command =>
  command.option('--json', 'print one JSON object a line on standard output, and nothing else there');

/** Runs a command's work; an error is said, with what to type, and becomes the exit code. */
export async function attempt(
  shell: Shell,
  flags: CommonFlags,
  work: (output: Output) => Promise<number>,
): Promise<void> {
  const output = createOutput(shell.environment, outputFlags(flags));
  shell.exit(await work(output).catch((error: unknown) => failWith(output, shell, error)));
}

export const outputFlags = (flags: CommonFlags): OutputFlags => ({
  json: flags.json === true,
  quiet: flags.quiet === true,
});

function failWith(output: Output, { environment }: Shell, error: unknown): number {
  const report = errorReport(error);
  output.fail(report);
  return environment.signal.aborted ? EXIT_INTERRUPTED : exitCodeOf(report.code);
}

export const ARGUMENT_SOURCE =
  'database to read: postgres://…, sqlite:<path>, or a path ending in .db, .sqlite, .sqlite3';
export const ARGUMENT_MIRROR = 'database to write, in the same forms; a SQLite file is made when it is missing';
export const ARGUMENT_HELD_MIRROR = 'a database that `speil mirror` writes';

/** The end of a command's help: what to type for what. */
export function examples(command: Command, lines: readonly (readonly [string, string])[], more = ''): Command {
  const width = Math.max(...lines.map(([typed]) => typed.length));
  const body = lines.map(([typed, meaning]) =>
    width > 60 ? `  ${typed}\n      ${meaning}` : `  ${typed.padEnd(width)}  ${meaning}`,
  );
  return command.addHelpText('after', `\nExamples:\n${body.join('\n')}${more === '' ? '' : `\n\n${more}`}`);
}
