import type { Clock } from '../core/clock.ts';
import type { SettingKind, SettingValue } from '../runtime/config.ts';
import type { LineReader, LineReaderOptions } from '../runtime/line-reader.ts';

/** What a command needs of standard output and standard error. */
export interface TextStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/** What a command reads when it is told to (`-`), and where it asks whether it should. */
export interface InputStream extends AsyncIterable<string | Uint8Array> {
  readonly isTTY?: boolean | undefined;
}

/** The world around the command line, handed in by `main.ts`. */
export type Environment = {
  readonly stdout: TextStream;
  readonly stderr: TextStream;
  /** Absent: there is nobody to ask. */
  readonly stdin?: InputStream | undefined;
  /** Reads what is typed on the terminal, line by line. Absent: there is nobody who types. */
  readonly readLines?: ((options: Omit<LineReaderOptions, 'input' | 'output'>) => LineReader) | undefined;
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly version: string;
  /** Aborted with `INTERRUPTED` when the user wants to stop. */
  readonly signal: AbortSignal;
  /** Takes passwords out of text. */
  readonly redact: (text: string) => string;
  readonly readConfig: (
    path: string,
    known: Readonly<Record<string, SettingKind>>,
  ) => Readonly<Record<string, SettingValue>>;
};

/** True where lines can be rewritten in place. */
export const isTerminal = (stream: TextStream, { TERM }: Environment['variables']): boolean =>
  stream.isTTY === true && TERM !== 'dumb';

/** True where colours are welcome (https://no-color.org). */
export const hasColor = (stream: TextStream, variables: Environment['variables']): boolean => {
  const { NO_COLOR = '' } = variables;
  return isTerminal(stream, variables) && NO_COLOR === '';
};
