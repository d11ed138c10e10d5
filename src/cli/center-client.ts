import { existsSync } from 'node:fs';
import { SpeilError } from '../core/error.ts';
import type { Environment } from './environment.ts';
import type { Output } from './output.ts';
import { failureOf, type Method, readTokenFile, type ServiceWords, serviceUrl, unreachable } from './service-call.ts';
import { printable } from './text.ts';

export { path } from './service-call.ts';

export const CENTER_DEFAULT = 'http://127.0.0.1:8500';
/** Where `speil center serve --data center/` puts it. */
export const TOKEN_FILE_DEFAULT = 'center/operator.token';

const WORDS: ServiceWords = {
  service: 'the center',
  kind: 'an operation center does',
  start: 'speil center serve',
  flag: '--center',
  variable: 'SPEIL_CENTER',
  example: 'https://center.example:8500',
};

/** How often a center that is away is asked again by whoever waits for something. */
const ASK_AGAIN_MS = 2_000;

export type CenterFlags = {
  readonly json?: boolean;
  readonly center?: string;
  readonly tokenFile?: string;
  readonly insecure?: boolean;
};

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
    const url = serviceUrl(flags.center ?? variables['SPEIL_CENTER'] ?? CENTER_DEFAULT, flags.insecure === true, WORDS);
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
    if (!response.ok) throw failureOf(response.status, text, this.#url, WORDS);
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
      throw unreachable(this.#url, cause, WORDS);
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

function readToken(file: string | undefined): string {
  if (file === undefined && !existsSync(TOKEN_FILE_DEFAULT)) throw noToken();
  return readTokenFile(file ?? TOKEN_FILE_DEFAULT);
}

const noToken = (): SpeilError =>
  new SpeilError('USAGE', 'There is no API token to show to the center.', {
    hint: `Add --token-file <file> or set SPEIL_TOKEN_FILE; \`speil center serve\` writes operator.token into its data folder, and ${TOKEN_FILE_DEFAULT} is found by itself.`,
  });

const interrupted = (cause: unknown): SpeilError =>
  new SpeilError('INTERRUPTED', 'interrupted; what was asked for goes on at the center', { cause, recovery: 'retry' });
