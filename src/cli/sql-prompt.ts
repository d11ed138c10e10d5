import { errorReport } from '../core/error.ts';
import type { LineReader } from '../runtime/line-reader.ts';
import { inWords } from './output.ts';
import { MODES, type Mode } from './sql-rows.ts';
import { runStatements, type SqlWork } from './sql-work.ts';
import { StatementSplitter } from './statement-splitter.ts';

export type PromptOptions = SqlWork & {
  readonly lines: LineReader;
  readonly database: string;
  readonly mode: Mode;
};

/** A transaction that writes may be left alone for five seconds; this comes in time, also over a slow line. */
const KEEP_MS = 2_000;
/** A prompt that is forgotten with a transaction open keeps the others from writing: no longer than this. */
const FORGOTTEN_MS = 2 * 60_000;

const OF_THE_USER = "name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

const HELP = `Statements end with ; and may go over several lines. Ctrl-C forgets what is typed, or cancels what runs.
.tables            tables and views
.schema [table]    the statements that made them
.mode ${MODES.join('|').padEnd(12)} how rows are shown: box cuts long values, plain and csv show all of them
.help              this
.quit              end; so does Ctrl-D. An open transaction is rolled back`;

/** Reads statements and commands until the end of the input. */
export async function runPrompt(options: PromptOptions): Promise<void> {
  await new Prompt(options).run();
}

class Prompt {
  readonly #options: PromptOptions;
  #mode: Mode;
  #splitter = new StatementSplitter();
  #ended = false;

  constructor(options: PromptOptions) {
    this.#options = options;
    this.#mode = options.mode;
  }

  async run(): Promise<void> {
    const { lines, environment } = this.#options;
    environment.signal.addEventListener('abort', () => lines[Symbol.dispose](), { once: true });
    environment.stderr.write('.help lists the commands, Ctrl-D ends.\n');
    while (!this.#ended) {
      const input = await this.#whileKeeping(() => lines.next(this.#promptText()));
      if (input.kind === 'end') break;
      if (input.kind === 'interrupt') this.#forgetTyped();
      else await this.#take(input.text);
    }
    environment.stderr.write('\n');
  }

  /** `shop> `; with a star while a transaction is open; indented dots within a statement. */
  #promptText(): string {
    const { database, session } = this.#options;
    const name = `${database}${session.inTransaction ? '*' : ''}`;
    return this.#splitter.isEmpty ? `${name}> ` : `${'...'.padStart(name.length)}> `;
  }

  #forgetTyped(): void {
    this.#splitter = new StatementSplitter();
    this.#options.environment.stderr.write('\n');
  }

  async #take(line: string): Promise<void> {
    if (this.#splitter.isEmpty && /^\s*\./.test(line)) return this.#command(line.trim());
    const statements = this.#splitter.push(`${line}\n`);
    if (statements.length > 0) await this.#runThem(statements);
  }

  async #command(line: string): Promise<void> {
    const [name = '', ...words] = line.replace(/;$/, '').split(/\s+/);
    const rest = words.join(' ');
    const { environment, output } = this.#options;
    if (name === '.quit' || name === '.exit') this.#ended = true;
    else if (name === '.help') environment.stderr.write(`${HELP}\n`);
    else if (name === '.tables') await this.#runThem([tablesSql()]);
    else if (name === '.schema') await this.#runThem([schemaSql(rest)], 'text');
    else if (name === '.mode') this.#setMode(rest);
    else output.complain('error', `There is no command ${name}.`, '.help lists those there are.');
  }

  #setMode(word: string): void {
    const mode = MODES.find((known) => known === word);
    if (mode !== undefined) this.#mode = mode;
    else {
      const wrong = word === '' ? '' : `There is no mode ${word}. `;
      this.#options.output.complain('error', `${wrong}The mode is ${this.#mode}.`, `Write .mode ${MODES.join('|')}`);
    }
  }

  /** Runs them; Ctrl-C cancels them. */
  async #runThem(statements: readonly string[], mode: Mode | 'text' = this.#mode): Promise<void> {
    const { lines, output, session, environment } = this.#options;
    const wasInTransaction = session.inTransaction;
    const cancelled = new AbortController();
    using _listening = lines.onInterrupt(() => cancelled.abort());
    const signal = AbortSignal.any([cancelled.signal, environment.signal]);
    try {
      await runStatements(this.#options, statements, { mode, signal });
    } catch (error) {
      const rolledBack = wasInTransaction ? ' The transaction was rolled back.' : '';
      if (cancelled.signal.aborted) output.complain('warning', `Cancelled.${rolledBack}`, null);
      else output.complain('error', `${inWords(errorReport(error))}${rolledBack}`, errorReport(error).hint);
    }
  }

  /** What the stream holds stays while somebody types, for a while. */
  async #whileKeeping<T>(work: () => Promise<T>): Promise<T> {
    const done = new AbortController();
    const keeping = this.#keep(done.signal);
    try {
      return await work();
    } finally {
      done.abort();
      await keeping;
    }
  }

  async #keep(signal: AbortSignal): Promise<void> {
    const { session, environment } = this.#options;
    for (let keptMs = 0; keptMs < FORGOTTEN_MS && !signal.aborted; keptMs += KEEP_MS) {
      await environment.clock.sleep(KEEP_MS, signal).catch(() => undefined);
      // The next statement says what is wrong.
      if (!signal.aborted) await session.keep().catch(() => undefined);
    }
  }
}

const tablesSql = (): string =>
  `SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view') AND ${OF_THE_USER} ORDER BY name`;

function schemaSql(table: string): string {
  const name = table.replace(/^"(.*)"$/, '$1').replaceAll("'", "''");
  const only = name === '' ? '' : ` AND tbl_name = '${name}' COLLATE NOCASE`;
  return `SELECT sql || ';' AS sql FROM sqlite_schema WHERE sql IS NOT NULL AND ${OF_THE_USER}${only} ORDER BY tbl_name, rowid`;
}
