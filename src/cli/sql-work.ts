import type { Environment } from './environment.ts';
import { hasColor, isTerminal } from './environment.ts';
import { plural } from './format.ts';
import type { Output } from './output.ts';
import { type Mode, type RowWriter, rowWriter } from './sql-rows.ts';
import type { SqlEvent, SqlSession } from './sql-session.ts';
import { paintWith } from './text.ts';

/** What statements are run with. */
export type SqlWork = {
  readonly session: SqlSession;
  readonly environment: Environment;
  readonly output: Output;
};

/** What came of a run: how many of its statements went well, and whether it came to its end. */
export type RunOutcome = { readonly done: number; readonly failed: boolean };

/** Runs statements one after another up to the first that fails, and shows what comes of them as it comes. */
export async function runStatements(
  { session, environment, output }: SqlWork,
  statements: readonly string[],
  how: { readonly mode: Mode | 'text'; readonly signal?: AbortSignal },
): Promise<RunOutcome> {
  const view = new ResultView(environment, output, how.mode);
  for await (const event of session.run(statements, how.signal)) view.take(event);
  view.flush();
  return { done: view.done, failed: view.failed };
}

/** Text that is written at once: a line at a time would cost a system call each. */
const WRITE_CHARACTERS = 32_768;

class ResultView {
  readonly #output: Output;
  readonly #environment: Environment;
  readonly #rows: RowWriter;
  #pending = '';
  #count = 0;
  #hasColumns = false;
  done = 0;
  failed = false;

  constructor(environment: Environment, output: Output, mode: Mode | 'text') {
    const { stdout, variables } = environment;
    const paint = paintWith(hasColor(stdout, variables));
    this.#environment = environment;
    this.#output = output;
    this.#rows = rowWriter(mode, { write: (text) => this.#write(text), paint });
  }

  take(event: SqlEvent): void {
    if (event.kind === 'begin') {
      this.#count = 0;
      this.#hasColumns = event.columns.length > 0;
      this.#rows.begin(event.columns);
    } else if (event.kind === 'row') {
      this.#count += 1;
      this.#rows.row(event.row);
    } else if (event.kind === 'end') this.#end(event.changes);
    else this.#fail(event);
  }

  flush(): void {
    if (this.#pending !== '') this.#environment.stdout.write(this.#pending);
    this.#pending = '';
  }

  #end(changes: number): void {
    this.#rows.end();
    this.done += 1;
    if (!isTerminal(this.#environment.stderr, this.#environment.variables)) return;
    this.flush();
    if (this.#hasColumns) this.#output.say(this.#output.paint('dim', plural(this.#count, 'row')));
    else if (changes > 0) this.#output.say(this.#output.paint('dim', `${plural(changes, 'row')} changed`));
  }

  #fail({ code, message }: SqlEvent & { readonly kind: 'error' }): void {
    this.failed = true;
    this.flush();
    const hint = hintFor(code, message);
    this.#output.event({ event: 'error', code, message, hint });
    this.#output.complain('error', `${message} (${code})`, hint);
  }

  #write(text: string): void {
    this.#pending += text;
    if (this.#pending.length >= WRITE_CHARACTERS) this.flush();
  }
}

const HINTS: readonly (readonly [RegExp, string])[] = [
  [
    /no such table/,
    '.tables lists the tables and views there are; a name with capitals or blanks goes in double quotes.',
  ],
  [/no such column/, '.schema shows the columns; texts go in single quotes, names in double quotes.'],
  [/incomplete input|syntax error/, 'A statement ends with ; and texts go in single quotes.'],
  [/SQLITE_BUSY/, 'Another client is writing. Try again.'],
  [/SQLITE_READONLY|readonly database/, 'The token is for reading: --token-file names another.'],
  [/UNIQUE constraint/, 'INSERT … ON CONFLICT DO UPDATE, or DO NOTHING, says what to do with rows that are there.'],
  [/FOREIGN KEY constraint/, 'The row that it points to is missing, or rows still point to it.'],
  [/database disk image is malformed|SQLITE_CORRUPT/, 'Stop the server and type: speil journal check --data <folder>'],
];

export const hintFor = (code: string, message: string): string | null =>
  HINTS.find(([pattern]) => pattern.test(message) || pattern.test(code))?.[1] ?? null;
