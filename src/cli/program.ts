import { Command, CommanderError } from 'commander';
import { errorReport, SpeilError } from '../core/error.ts';
import { mirrorCommand } from './commands/mirror.ts';
import { resyncCommand } from './commands/resync.ts';
import { statusCommand } from './commands/status.ts';
import { untrackCommand } from './commands/untrack.ts';
import { verifyCommand } from './commands/verify.ts';
import type { Environment } from './environment.ts';
import { EXIT_DONE, EXIT_USAGE } from './exit-code.ts';
import { createOutput } from './output.ts';
import { examples, type Shell } from './shell.ts';

/** Wide enough for every line of help, narrow enough to read. */
const HELP_WIDTH = 110;

/** Runs one command line (without the program's own name) and answers the exit code. */
export async function runCommandLine(typed: readonly string[], environment: Environment): Promise<number> {
  let exitCode: number = EXIT_DONE;
  const program = buildProgram({
    environment,
    exit: (code) => {
      exitCode = code;
    },
  });
  if (typed.length === 0) program.outputHelp();
  else
    await program.parseAsync(helpAsTyped(typed), { from: 'user' }).catch((error: unknown) => {
      exitCode = refuse(error, typed, environment);
    });
  return exitCode;
}

function buildProgram(shell: Shell): Command {
  const { environment } = shell;
  const program = new Command('speil')
    .description('Speil keeps a live, provable copy of a PostgreSQL or SQLite database somewhere else.')
    .version(environment.version, '--version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command');
  for (const make of [mirrorCommand, verifyCommand, statusCommand, resyncCommand, untrackCommand]) {
    program.addCommand(make(shell));
  }
  for (const command of [program, ...program.commands]) quiet(command, environment);
  return examples(program, EXAMPLES, 'Type `speil help <command>` for its flags and more examples.');
}

const EXAMPLES: readonly (readonly [string, string])[] = [
  ['speil mirror crm.db crm-mirror.db', 'bring a mirror up to date'],
  ['speil mirror postgres://reader@db/crm crm.db --follow', 'and keep it so'],
  ['speil verify postgres://reader@db/crm crm.db', 'prove that both are equal'],
];

/** `help x` for an unknown `x` is taken for `x`, so that the user learns which command is meant. */
const helpAsTyped = ([first, second, ...rest]: readonly string[]): readonly string[] =>
  first === 'help' && second !== undefined && !COMMANDS.has(second)
    ? [second]
    : [first, second, ...rest].filter((word) => word !== undefined);

/** Commander neither ends the process nor writes errors; help goes to standard output. */
function quiet(command: Command, { stdout }: Environment): void {
  const width = () => Math.min(stdout.columns ?? HELP_WIDTH, HELP_WIDTH);
  command.exitOverride().configureOutput({
    writeOut: (text) => stdout.write(text),
    writeErr: () => {},
    getOutHelpWidth: width,
    getErrHelpWidth: width,
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  });
}

/** Help and version end parsing with an error of exit code 0; all others are the user's. */
function refuse(error: unknown, typed: readonly string[], environment: Environment): number {
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT_DONE;
  const output = createOutput(environment, { json: typed.includes('--json'), quiet: false });
  output.fail(errorReport(error instanceof CommanderError ? usageError(error, typed) : error));
  return EXIT_USAGE;
}

function usageError(error: CommanderError, typed: readonly string[]): SpeilError {
  const message = withoutArguments(error)
    .replace(/^error: /, '')
    .replaceAll('\n', ' ');
  const command = typed.find((word) => COMMANDS.has(word));
  const hint = `Type: speil help${command === undefined ? '' : ` ${command}`}`;
  return new SpeilError('USAGE', message.charAt(0).toUpperCase() + message.slice(1), { hint, cause: error });
}

/** A blank in a password that is not quoted makes an argument of its own: what was typed is not repeated. */
const withoutArguments = ({ code, message }: CommanderError): string =>
  code === 'commander.excessArguments' ? message.replace(/(but got \d+):.*$/s, '$1.') : message;

const COMMANDS: ReadonlySet<string> = new Set(['mirror', 'verify', 'status', 'resync', 'untrack']);
