import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { SpeilError } from '../core/error.ts';
import { CENTER_DEFAULT, CenterClient, type CenterFlags, TOKEN_FILE_DEFAULT } from './center-client.ts';
import type { Environment } from './environment.ts';
import { isTerminal } from './environment.ts';
import { EXIT_DONE } from './exit-code.ts';
import type { Output } from './output.ts';
import { attempt, newCommand, type Shell, withJson } from './shell.ts';
import { alignColumns, printable } from './text.ts';

/** More than any address or key is long; what is longer is another file than was meant. */
const INPUT_CHARACTERS_MAX = 100_000;

/** A command that talks to a center. */
export const centerCall = (name: string, description: string): Command =>
  withJson(newCommand(name, description))
    .option('--center <url>', `address of the center (default: SPEIL_CENTER, or ${CENTER_DEFAULT})`)
    .option('--token-file <file>', `API token (default: SPEIL_TOKEN_FILE, or ${TOKEN_FILE_DEFAULT} when it is there)`)
    .option('--insecure', 'the way to a center without TLS is safe, though it leaves this machine');

/** A command's own name with further commands below it. */
export function groupOf(name: string, description: string, commands: readonly Command[]): Command {
  const group = newCommand(name, description);
  for (const command of commands) group.addCommand(command);
  return group;
}

/** Runs a command's work with a client of the center that its flags name. */
export const withCenter = (
  shell: Shell,
  flags: CenterFlags,
  work: (center: CenterClient, output: Output) => Promise<number | undefined>,
): Promise<void> =>
  attempt(shell, flags, async (output) => (await work(CenterClient.of(flags, shell.environment), output)) ?? EXIT_DONE);

/** Rows of a list: aligned under a heading on a terminal; in a pipe with a tab between fields, for other programs. */
export function showTable(
  output: Output,
  environment: Environment,
  table: { readonly heading: readonly string[]; readonly rows: readonly (readonly string[])[]; readonly none: string },
): void {
  const rows = table.rows.map((row) => row.map(printable));
  if (!isTerminal(environment.stdout, environment.variables)) output.result(rows.map((row) => row.join('\t')));
  else if (rows.length === 0) output.result([table.none]);
  else {
    const [heading = '', ...lines] = alignColumns([table.heading, ...rows]);
    output.result([output.paintResult('bold', heading), ...lines]);
  }
}

/** The text of an option that may name a file instead, or `-` for standard input: secrets need not be typed. */
export async function readSecret(
  environment: Environment,
  given: { readonly typed: string | undefined; readonly file: string | undefined; readonly option: string },
): Promise<string> {
  const { typed, file, option } = given;
  if ((typed === undefined) === (file === undefined)) {
    throw new SpeilError('USAGE', `Say either --${option} or --${option}-file.`, {
      hint: `--${option}-file - reads standard input, so that a password is not seen among the processes.`,
    });
  }
  const text = typed ?? (file === '-' || file === undefined ? await readInput(environment) : readText(file));
  return text.trim();
}

async function readInput({ stdin }: Environment): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const piece of stdin ?? []) {
    text += typeof piece === 'string' ? piece : decoder.decode(piece, { stream: true });
    if (text.length > INPUT_CHARACTERS_MAX) throw new SpeilError('USAGE', 'Standard input is too long.');
  }
  return text;
}

export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new SpeilError('FILE_MISSING', `${file} cannot be read.`, { hint: 'Check the path.', cause });
  }
}

/** Asks on a terminal; elsewhere `--yes` must have been said. Throws `USAGE` when the answer is not yes. */
export async function demandYes(
  environment: Environment,
  question: { readonly what: string; readonly yes: boolean | undefined },
): Promise<void> {
  const { stdin, stderr } = environment;
  stderr.write(`${printable(question.what)}\n`);
  if (question.yes === true) return;
  if (stdin?.isTTY !== true) throw new SpeilError('USAGE', 'Nothing was done.', { hint: 'Add --yes to do it.' });
  stderr.write('Type yes to do it: ');
  if ((await firstLine(environment)) !== 'yes') throw new SpeilError('USAGE', 'Nothing was done.');
}

async function firstLine({ stdin }: Environment): Promise<string> {
  let text = '';
  for await (const piece of stdin ?? []) {
    text += typeof piece === 'string' ? piece : new TextDecoder().decode(piece);
    if (text.includes('\n') || text.length > INPUT_CHARACTERS_MAX) break;
  }
  return text.split('\n')[0]?.trim() ?? '';
}

export function parseWhole(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('Write a whole number above 0.');
}
