import { existsSync, readFileSync } from 'node:fs';
import { ERROR_CODES, type ErrorCode, SpeilError } from '../core/error.ts';
import type { FailureAnswer } from '../operation-center/api/schemas.ts';
import { isLoopback } from '../service/listen-rule.ts';
import type { Environment } from './environment.ts';
import type { Output } from './output.ts';
import { printable } from './text.ts';

export const CENTER_DEFAULT = 'http://127.0.0.1:8500';
/** Where `speil center serve --data center/` puts it. */
export const TOKEN_FILE_DEFAULT = 'center/operator.token';

/** How often a center that is away is asked again by whoever waits for something. */
const ASK_AGAIN_MS = 2_000;

export type CenterFlags = {
  readonly json?: boolean;
  readonly center?: string;
  readonly tokenFile?: string;
  readonly insecure?: boolean;
};

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
type Query = Readonly<Record<string, string | number | undefined>>;

/** The API of an operation center. Every failure is a `SpeilError`, the center's own included. */
export class CenterClient {
  readonly #url: URL;
  readonly #token: string;
  readonly #signal: AbortSignal;

  constructor(url: URL, token: string, signal: AbortSignal) {
    this.#url = url;
    this.#token = token;
    this.#signal = signal;
  }

  /** Throws `USAGE` when it is not known which center, or there is no token for it. */
  static of(flags: CenterFlags, environment: Environment): CenterClient {
    const { variables, signal } = environment;
    const url = centerUrl(flags.center ?? variables['SPEIL_CENTER'] ?? CENTER_DEFAULT, flags.insecure === true);
    return new CenterClient(url, readToken(flags.tokenFile ?? variables['SPEIL_TOKEN_FILE']), signal);
  }

  get<T>(path: string, query: Query = {}): Promise<T> {
    const given = Object.entries(query).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)]],
    );
    return this.#send('GET', given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`, undefined);
  }

  send<T>(method: Exclude<Method, 'GET'>, path: string, body?: object): Promise<T> {
    return this.#send(method, path, body);
  }

  async #send<T>(method: Method, path: string, body: object | undefined): Promise<T> {
    const response = await this.#fetch(method, path, body);
    const text = await response.text();
    if (!response.ok) throw failureOf(response.status, text, this.#url);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  async #fetch(method: Method, path: string, body: object | undefined): Promise<Response> {
    const url = new URL(path, this.#url);
    const headers = { authorization: `Bearer ${this.#token}`, ...(body && { 'content-type': 'application/json' }) };
    try {
      return await fetch(url, {
        method,
        headers,
        signal: this.#signal,
        redirect: 'error',
        ...(body && { body: JSON.stringify(body) }),
      });
    } catch (cause) {
      if (this.#signal.aborted) throw interrupted(cause);
      throw unreachable(this.#url, cause);
    }
  }
}

/** Waits for what `ask` answers, also while the center is away for a while: what was asked for goes on there. */
export async function patiently<T>(
  ask: () => Promise<T>,
  { environment, output }: { readonly environment: Environment; readonly output: Output },
): Promise<T> {
  for (let told = false; ; told = true) {
    try {
      return await ask();
    } catch (error) {
      if (!isPassing(error)) throw error;
      if (!told) output.say(`${printable(error.message)}; asking again until it is back`);
      await environment.clock.sleep(ASK_AGAIN_MS, environment.signal);
    }
  }
}

const isPassing = (error: unknown): error is SpeilError =>
  error instanceof SpeilError && (error.code === 'UNREACHABLE' || error.code === 'CENTER_DATABASE_FAILED');

/** A path with names in it. */
export const path = (parts: TemplateStringsArray, ...names: readonly string[]): string =>
  parts.reduce((text, part, index) => `${text}${encodeURIComponent(names[index - 1] ?? '')}${part}`);

function centerUrl(text: string, insecure: boolean): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw new SpeilError('USAGE', 'The address of the center is not a URL.', {
      hint: 'Write --center https://center.example:8500, or set SPEIL_CENTER.',
    });
  }
  if (url.protocol === 'https:' || insecure || isLoopback(url.hostname)) return url;
  throw new SpeilError('USAGE', `${url.origin} is not encrypted: the token could be read on the way.`, {
    hint: 'Write https://…, or add --insecure when the way is safe.',
  });
}

function readToken(file: string | undefined): string {
  if (file === undefined && !existsSync(TOKEN_FILE_DEFAULT)) throw noToken();
  try {
    return readFileSync(file ?? TOKEN_FILE_DEFAULT, 'utf8').trim();
  } catch (cause) {
    throw new SpeilError('FILE_MISSING', `The token file ${file ?? TOKEN_FILE_DEFAULT} cannot be read.`, {
      hint: 'Name another with --token-file or SPEIL_TOKEN_FILE.',
      cause,
    });
  }
}

const noToken = (): SpeilError =>
  new SpeilError('USAGE', 'There is no API token to show to the center.', {
    hint: `Add --token-file <file> or set SPEIL_TOKEN_FILE; \`speil center serve\` writes operator.token into its data folder, and ${TOKEN_FILE_DEFAULT} is found by itself.`,
  });

const interrupted = (cause: unknown): SpeilError =>
  new SpeilError('INTERRUPTED', 'interrupted; what was asked for goes on at the center', { cause, recovery: 'retry' });

function unreachable(url: URL, cause: unknown): SpeilError {
  const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const { code = '', message = '' } = reason as { readonly code?: string; readonly message?: string };
  const tls = /CERT|TLS|SSL|SIGNED|ISSUER/.test(code);
  return new SpeilError(
    tls ? 'TLS_FAILED' : 'UNREACHABLE',
    `the center at ${url.origin} does not answer: ${message || code}`,
    {
      hint: tls
        ? 'For a certificate of your own authority set NODE_EXTRA_CA_CERTS to its file.'
        : 'Is it started (`speil center serve`)? Name another with --center or SPEIL_CENTER.',
      recovery: 'retry',
      cause,
    },
  );
}

function failureOf(status: number, text: string, url: URL): SpeilError {
  const said = parsed(text);
  const code = ERROR_CODES.find((known) => known === said.code) satisfies ErrorCode | undefined;
  if (code === undefined || typeof said.message !== 'string') {
    return new SpeilError('CONTRACT_BROKEN', `${url.origin} answered ${status}, and not as an operation center does`, {
      hint: 'Check --center and SPEIL_CENTER.',
    });
  }
  return new SpeilError(code, said.message, { hint: said.hint ?? undefined });
}

function parsed(text: string): Partial<FailureAnswer> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
