import { createInterface, type Interface } from 'node:readline';

export type LineInput =
  | { readonly kind: 'line'; readonly text: string }
  | { readonly kind: 'interrupt' }
  | { readonly kind: 'end' };

/** Lines that somebody types on a terminal, with editing and a history. */
export interface LineReader extends Disposable {
  /** Resolves with what is typed; `interrupt` for Ctrl-C, which forgets the line, and `end` for Ctrl-D. One call at a time. */
  next(prompt: string): Promise<LineInput>;
  /** Ctrl-C while no line is awaited: until it is disposed. */
  onInterrupt(told: () => void): Disposable;
  /** Newest first. */
  readonly history: readonly string[];
}

export type LineReaderOptions = {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  /** Newest first. */
  readonly history: readonly string[];
  readonly historyMax: number;
};

export function openLineReader({ input, output, history, historyMax }: LineReaderOptions): LineReader {
  const lines = createInterface({
    ...{ input, output, terminal: true, historySize: historyMax, removeHistoryDuplicates: true },
    history: [...history],
  });
  return new TerminalReader(lines, history);
}

class TerminalReader implements LineReader {
  readonly #lines: Interface;
  readonly #interrupted = new Set<() => void>();
  #history: readonly string[];
  /** What came faster than it was asked for: pasted text. */
  readonly #waiting: LineInput[] = [];
  #asking: ((input: LineInput) => void) | null = null;
  #ended = false;

  constructor(lines: Interface, history: readonly string[]) {
    this.#lines = lines;
    this.#history = history;
    lines.on('line', (text) => this.#answer({ kind: 'line', text }));
    lines.on('history', (kept: readonly string[]) => {
      this.#history = [...kept];
    });
    lines.on('close', () => {
      this.#ended = true;
      this.#answer({ kind: 'end' });
    });
    lines.on('SIGINT', () => this.#interrupt());
  }

  get history(): readonly string[] {
    return this.#history;
  }

  next(prompt: string): Promise<LineInput> {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) return Promise.resolve(waiting);
    if (this.#ended) return Promise.resolve({ kind: 'end' });
    const { promise, resolve } = Promise.withResolvers<LineInput>();
    this.#asking = resolve;
    this.#lines.setPrompt(prompt);
    this.#lines.prompt();
    return promise;
  }

  onInterrupt(told: () => void): Disposable {
    this.#interrupted.add(told);
    return { [Symbol.dispose]: () => void this.#interrupted.delete(told) };
  }

  [Symbol.dispose](): void {
    this.#lines.close();
  }

  #answer(input: LineInput): void {
    const asking = this.#asking;
    this.#asking = null;
    if (asking !== null) asking(input);
    else if (input.kind !== 'end') this.#waiting.push(input);
  }

  #interrupt(): void {
    if (this.#asking === null && this.#interrupted.size > 0) {
      for (const told of this.#interrupted) told();
      return;
    }
    this.#lines.write(null, { ctrl: true, name: 'e' });
    this.#lines.write(null, { ctrl: true, name: 'u' });
    this.#answer({ kind: 'interrupt' });
  }
}
