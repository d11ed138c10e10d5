import { type Command, Option } from 'commander';
import { SpeilError } from '../../core/error.ts';
import { type Environment, isTerminal } from '../environment.ts';
import { EXIT_DONE, EXIT_FAILED } from '../exit-code.ts';
import type { Output } from '../output.ts';
import type { ServerFlags } from '../server-client.ts';
import { serverCall, withServer } from '../server-shell.ts';
import { examples, type Shell } from '../shell.ts';
import { HISTORY_LINES_MAX, historyFile, readHistory, writeHistory } from '../sql-history.ts';
import { runPrompt } from '../sql-prompt.ts';
import { MODES, type Mode } from '../sql-rows.ts';
import { SqlSession } from '../sql-session.ts';
import { runStatements, type SqlWork } from '../sql-work.ts';
import { StatementSplitter } from '../statement-splitter.ts';

type SqlFlags = ServerFlags & { readonly mode?: Mode };

export function sqlCommand(shell: Shell): Command {
  const command = serverCall('sql', 'Run SQL in a database of a server; without a statement, ask for some.')
    .argument('<database>', 'its name')
    .argument('[statement]', 'one or several with ; between them (default: a prompt, or standard input)')
    .addOption(
      new Option('--mode <mode>', 'how rows are shown (default: box on a terminal, else plain)').choices(MODES),
    )
    .action((database: string, statement: string | undefined, flags: SqlFlags) =>
      withServer(shell, flags, async (server, output) => {
        await using session = new SqlSession(server, database);
        const work = { session, environment: shell.environment, output };
        const mode = modeOf(flags, shell.environment);
        if (statement !== undefined) return await runText(work, [statement], mode);
        if (shell.environment.readLines === undefined) return await runText(work, textOf(shell.environment), mode);
        return await prompt(work, database, mode);
      }),
    );
  return examples(
    command,
    [
      ['speil sql shop', 'a prompt: .help lists its commands'],
      ['speil sql shop "SELECT * FROM item WHERE price > 10"', 'one statement'],
      ['speil sql shop --mode csv "SELECT * FROM item" > item.csv', 'for a spreadsheet'],
      ['speil sql shop < schema.sql', 'a file, up to the first error'],
    ],
    'Statements stop at the first error, with exit code 1. A transaction that is still open at the end is rolled back.\nPlain rows have tabs between their fields; --json prints an object for each row.',
  );
}

function modeOf({ mode, json }: SqlFlags, { stdout, variables }: Environment): Mode {
  if (json === true) return 'json';
  return mode ?? (isTerminal(stdout, variables) ? 'box' : 'plain');
}

/** Statements that are sent together: a file of a million inserts is no million of round trips. */
const STATEMENTS_AT_ONCE = 100;

async function runText(work: SqlWork, pieces: Iterable<string> | AsyncIterable<string>, mode: Mode): Promise<number> {
  const splitter = new StatementSplitter();
  let waiting: readonly string[] = [];
  const { signal } = work.environment;
  const run = async (statements: readonly string[]): Promise<boolean> => {
    if (statements.length === 0) return true;
    const { failed } = await runStatements(work, statements, { mode, signal });
    return !failed;
  };
  for await (const piece of pieces) {
    waiting = [...waiting, ...splitter.push(piece)];
    for (; waiting.length >= STATEMENTS_AT_ONCE; waiting = waiting.slice(STATEMENTS_AT_ONCE)) {
      if (!(await run(waiting.slice(0, STATEMENTS_AT_ONCE)))) return EXIT_FAILED;
    }
  }
  const rest = splitter.end();
  if (!(await run(rest === null ? waiting : [...waiting, rest]))) return EXIT_FAILED;
  if (!work.session.inTransaction) return EXIT_DONE;
  work.output.complain('warning', 'A transaction was still open: it is rolled back.', 'End it with COMMIT;');
  return EXIT_FAILED;
}

async function* textOf({ stdin }: Environment): AsyncGenerator<string> {
  if (stdin === undefined) throw nothingToRun();
  const decoder = new TextDecoder();
  for await (const piece of stdin) yield typeof piece === 'string' ? piece : decoder.decode(piece, { stream: true });
}

const nothingToRun = (): SpeilError =>
  new SpeilError('USAGE', 'There is no statement.', { hint: 'Write one behind the name of the database.' });

async function prompt(work: SqlWork, database: string, mode: Mode): Promise<number> {
  const { environment, output } = work;
  await demandServed(work);
  const file = historyFile(environment);
  const history = readHistory(file);
  const lines = environment.readLines?.({ history, historyMax: HISTORY_LINES_MAX });
  if (lines === undefined) throw nothingToRun();
  using _open = lines;
  await runPrompt({ ...work, lines, database, mode });
  keepHistory(file, lines.history, output);
  return EXIT_DONE;
}

/** A wrong name or token is said before anything is typed. */
async function demandServed({ session, environment }: SqlWork): Promise<void> {
  const events = session.run(['SELECT 1'], environment.signal);
  while (!(await events.next()).done);
}

function keepHistory(file: string, history: readonly string[], output: Output): void {
  try {
    writeHistory(file, history);
  } catch (error) {
    output.complain('warning', `The history cannot be kept in ${file}: ${(error as Error).message}`, null);
  }
}
