import { Command, CommanderError } from 'commander';
import { errorReport, SpeilError } from '../core/error.ts';
import { backupCommand } from './commands/backup.ts';
import { centerCommand } from './commands/center.ts';
import { clientCommand } from './commands/client.ts';
import { databaseCommand } from './commands/database.ts';
import { journalCommand } from './commands/journal.ts';
import { keysCommand } from './commands/keys.ts';
import { mirrorCommand } from './commands/mirror.ts';
import { restoreCommand } from './commands/restore.ts';
import { resyncCommand } from './commands/resync.ts';
import { serverCommand } from './commands/server.ts';
import { sqlCommand } from './commands/sql.ts';
import { statusCommand } from './commands/status.ts';
import { untrackCommand } from './commands/untrack.ts';
import { verifyCommand } from './commands/verify.ts';
import type { Environment, TextStream } from './environment.ts';
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
    await program.parseAsync(helpAsTyped(typed, program), { from: 'user' }).catch((error: unknown) => {
      exitCode = refuse(error, typed, { program, environment });
    });
  return exitCode;
}

function buildProgram(shell: Shell): Command {
  const { environment } = shell;
  const program = new Command('speil')
    .description('Speil keeps a live, provable copy of a PostgreSQL or SQLite database somewhere else.')
    .version(environment.version, '--version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .enablePositionalOptions()
    .helpCommand('help [command]', 'show the help of a command');
  for (const make of [
    mirrorCommand,
    verifyCommand,
    statusCommand,
    resyncCommand,
    untrackCommand,
    centerCommand,
    clientCommand,
    keysCommand,
    serverCommand,
    databaseCommand,
    sqlCommand,
    backupCommand,
    restoreCommand,
    journalCommand,
  ]) {
    program.addCommand(make(shell));
  }
  quiet(program, environment.stdout);
  return examples(program, EXAMPLES, 'Type `speil help <command>` for its flags and more examples.');
}

const EXAMPLES: readonly (readonly [string, string])[] = [
  ['speil mirror crm.db crm-mirror.db', 'bring a mirror up to date'],
  ['speil mirror postgres://reader@db/crm crm.db --follow', 'and keep it so'],
  ['speil verify postgres://reader@db/crm crm.db', 'prove that both are equal'],
];

/** `help x y` is `x y --help`; for an unknown `x` it is taken for `x`, so that the user learns which command is meant. */
function helpAsTyped(typed: readonly string[], program: Command): readonly string[] {
  const [first, second, ...rest] = typed;
  if (first !== 'help' || second === undefined) return typed;
  return commandOf(program, second) === undefined ? [second] : [second, ...rest, '--help'];
}

const commandOf = (parent: Command, name: string): Command | undefined =>
  parent.commands.find((command) => command.name() === name);

/** Commander neither ends the process nor writes errors; help goes to standard output, that of a group alone too. */
function quiet(command: Command, stdout: TextStream): void {
  const width = () => Math.min(stdout.columns ?? HELP_WIDTH, HELP_WIDTH);
  command.exitOverride().configureOutput({
    writeOut: (text) => stdout.write(text),
    writeErr: (text) => stdout.write(text),
    outputError: () => {},
    getOutHelpWidth: width,
    getErrHelpWidth: width,
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  });
  for (const below of command.commands) quiet(below, stdout);
}

/** Help and version end parsing with an error of exit code 0; all others are the user's. */
function refuse(
  error: unknown,
  typed: readonly string[],
  { program, environment }: { readonly program: Command; readonly environment: Environment },
): number {
  if (error instanceof CommanderError && (error.exitCode === 0 || error.code === 'commander.help')) return EXIT_DONE;
  const output = createOutput(environment, { json: typed.includes('--json'), quiet: false });
  output.fail(errorReport(error instanceof CommanderError ? usageError(error, typed, program) : error));
  return EXIT_USAGE;
}

function usageError(error: CommanderError, typed: readonly string[], program: Command): SpeilError {
  const message = withoutArguments(error)
    .replace(/^error: /, '')
    .replaceAll('\n', ' ');
  const hint = `Type: ${['speil', 'help', ...namesOf(program, typed)].join(' ')}`;
  return new SpeilError('USAGE', message.charAt(0).toUpperCase() + message.slice(1), { hint, cause: error });
}

/** A blank in a password that is not quoted makes an argument of its own: what was typed is not repeated. */
const withoutArguments = ({ code, message }: CommanderError): string =>
  code === 'commander.excessArguments' ? message.replace(/(but got \d+):.*$/s, '$1.') : message;

/** The names of the command that was meant, from the outermost in. */
function namesOf(program: Command, typed: readonly string[]): readonly string[] {
  let command = program;
  return typed.filter((word) => {
    const below = commandOf(command, word);
    command = below ?? command;
    return below !== undefined;
  });
}
