import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { eventually } from './workload.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/speil.js', import.meta.url));

export type SpeilOptions = {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Default: nothing. */
  readonly stdin?: string;
  /** Another program than this checkout's `bin/speil.js`, such as an installed package's. */
  readonly program?: string;
};

export type SpeilExit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** A line of `--json`. */
export type JsonLine = { readonly event?: string } & Readonly<Record<string, unknown>>;

/** The command line as a real process of its own. Killed when it is disposed, or when the test process ends. */
export class SpeilProcess implements AsyncDisposable {
  /** Resolves when the process has ended and all of its output was read. */
  readonly exit: Promise<SpeilExit>;
  readonly #child: ChildProcess;
  readonly #output = { stdout: '', stderr: '' };
  #closed = false;
  readonly #endWithUs = (): void => void this.#child.kill('SIGKILL');

  constructor(args: readonly string[], { env = {}, cwd, stdin = '', program = PROGRAM }: SpeilOptions = {}) {
    this.#child = spawn(process.execPath, [program, ...args], { env: environment(env), cwd });
    this.#collect('stdout');
    this.#collect('stderr');
    this.#child.stdin?.on('error', () => undefined);
    this.#child.stdin?.end(stdin);
    process.once('exit', this.#endWithUs);
    this.exit = this.#ended();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get stdout(): string {
    return this.#output.stdout;
  }

  get stderr(): string {
    return this.#output.stderr;
  }

  /** Complete lines of stdout so far. */
  get lines(): readonly string[] {
    return this.stdout.split('\n').slice(0, -1);
  }

  /** The lines of stdout as JSON; throws when one is anything else. */
  get events(): readonly JsonLine[] {
    return this.lines.map((line) => JSON.parse(line));
  }

  /** The first event that fits, past or to come. Fails when the process ends without one or time is up. */
  async waitFor(fits: (event: JsonLine) => boolean, withinMs = 30_000): Promise<JsonLine> {
    const found = await this.#until(() => this.events.find(fits), withinMs);
    if (found === undefined) throw new Error(`no such event:\n${this.stdout}${this.stderr}`);
    return found;
  }

  /** The first match in what stdout and stderr said, past or to come. */
  async waitForText(pattern: RegExp, withinMs = 30_000): Promise<RegExpMatchArray> {
    const found = await this.#until(() => `${this.stdout}\n${this.stderr}`.match(pattern) ?? undefined, withinMs);
    if (found === undefined) throw new Error(`nothing like ${pattern} in:\n${this.stdout}${this.stderr}`);
    return found;
  }

  /** Ctrl-C. */
  interrupt(): void {
    this.#child.kill('SIGINT');
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** kill -9. Resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #ended(): Promise<SpeilExit> {
    const [code, signal] = await once(this.#child, 'close');
    process.removeListener('exit', this.#endWithUs);
    this.#closed = true;
    return { code, signal };
  }

  #until<T>(find: () => T | undefined, withinMs: number): Promise<T | undefined> {
    const look = () => {
      const result = find();
      if (result === undefined && !this.#closed) throw new Error(`still waiting:\n${this.stdout}${this.stderr}`);
      return result;
    };
    return eventually(look, { withinMs });
  }

  #collect(stream: 'stdout' | 'stderr'): void {
    const decoder = new TextDecoder();
    this.#child[stream]?.on('data', (chunk: Buffer) => {
      this.#output[stream] += decoder.decode(chunk, { stream: true });
    });
  }
}

/** What came of a command that ran to its end. */
export type SpeilResult = SpeilExit & {
  readonly stdout: string;
  readonly stderr: string;
  readonly events: readonly JsonLine[];
};

/** Runs `speil …args` to its end. `events` is empty unless stdout is JSON lines. Kills it after `withinMs`. */
export async function speil(
  args: readonly string[],
  options: SpeilOptions & { readonly withinMs?: number } = {},
): Promise<SpeilResult> {
  await using running = new SpeilProcess(args, options);
  const { withinMs = 60_000 } = options;
  const limit = setTimeout(() => running.signal('SIGKILL'), withinMs);
  const exit = await running.exit;
  clearTimeout(limit);
  if (exit.signal === 'SIGKILL')
    throw new Error(`speil ${args.join(' ')} did not end within ${withinMs} ms:\n${running.stderr}`);
  const events = args.includes('--json') ? running.events : [];
  return { ...exit, stdout: running.stdout, stderr: running.stderr, events };
}

/** Ours, without what changes how output looks or how Node behaves. */
function environment(extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const unwanted = ['FORCE_COLOR', 'NO_COLOR', 'NODE_OPTIONS', 'NODE_TEST_CONTEXT', 'NODE_V8_COVERAGE', 'COLUMNS'];
  const ours = Object.entries(process.env).filter(([name]) => !unwanted.includes(name) && !name.startsWith('PG'));
  return { ...Object.fromEntries(ours), ...extra };
}
