import { type DestinationStream, pino } from 'pino';
import type { Clock } from '../core/clock.ts';

/** Structured logging without a logger. `fields` hold `tenant`, `application` and `run` where they are known. Never secrets. */
export interface Log {
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

export type LogFields = Readonly<Record<string, unknown>>;

export type LogOptions = {
  readonly write: (text: string) => void;
  readonly clock: Clock;
  /** Takes passwords out of text; every text that is logged passes through it. */
  readonly redact: (text: string) => string;
  /** `json`: one object a line, for programs. `words`: a line to read, for a terminal. */
  readonly form: 'json' | 'words';
};

/** Below this depth nothing that is logged has a meaning of its own. */
const DEPTH_MAX = 6;

/** The log of a service. What it is given is redacted text by text, whatever object it stands in. */
export function createLog(options: LogOptions): Log {
  return options.form === 'json' ? jsonLog(options) : wordsLog(options);
}

function jsonLog({ write, clock, redact }: LogOptions): Log {
  const logger = pino(
    {
      base: null,
      timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (level) => ({ level }) },
    },
    { write } satisfies DestinationStream,
  );
  const clean = (fields: LogFields) => cleaned(fields, redact, 0) as LogFields;
  return {
    info: (fields, message) => logger.info(clean(fields), redact(message)),
    warn: (fields, message) => logger.warn(clean(fields), redact(message)),
    error: (fields, message) => logger.error(clean(fields), redact(message)),
  };
}

function wordsLog({ write, clock, redact }: LogOptions): Log {
  const line = (level: string) => (fields: LogFields, message: string) => {
    const { tenant, application, run, ...rest } = cleaned(fields, redact, 0) as LogFields;
    const time = new Date(clock.now()).toISOString().slice(11, 19);
    const who = [tenant, application].filter((part) => typeof part === 'string').join('/');
    const more = Object.entries(run === undefined ? rest : { ...rest, run }).map(([name, value]) => word(name, value));
    write(`${onePiece([time, level, who, redact(message), ...more].filter((part) => part !== '').join(' '))}\n`);
  };
  return { info: line(''), warn: line('warning:'), error: line('error:') };
}

const word = (name: string, value: unknown): string =>
  `${name}=${typeof value === 'string' ? oneLine(value) : JSON.stringify(value)}`;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;

/** What others named themselves neither begins a line of its own nor says anything to the terminal. */
const onePiece = (text: string): string =>
  text.replace(CONTROL, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);

const oneLine = (text: string): string => (/[\s"]/.test(text) ? JSON.stringify(text) : text);

function cleaned(value: unknown, redact: (text: string) => string, depth: number): unknown {
  if (typeof value === 'string') return redact(value);
  if (typeof value === 'bigint') return value.toString();
  if (value === null || typeof value !== 'object') return value;
  if (depth === DEPTH_MAX) return '…';
  if (Array.isArray(value)) return value.map((item) => cleaned(item, redact, depth + 1));
  if (value instanceof Error) return redact(value.message);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, cleaned(item, redact, depth + 1)]));
}
