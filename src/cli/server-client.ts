import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { SpeilError } from '../core/error.ts';
import type { Environment } from './environment.ts';
import { HttpCaller, textOf } from './http-call.ts';
import { failureOf, type Method, readTokenFile, type ServiceWords, serviceUrl, unreachable } from './service-call.ts';

export const SERVER_DEFAULT = 'http://127.0.0.1:7101';

export type ServerFlags = {
  readonly json?: boolean;
  readonly at?: string;
  readonly tokenFile?: string;
  readonly insecure?: boolean;
};

const WORDS: ServiceWords = {
  service: 'the server',
  kind: 'a server of Speil does',
  start: 'speil server --data <folder>',
  flag: '--at',
  variable: 'SPEIL_SERVER',
  example: 'https://server.example:7101',
};

/** A file on its way to the server. */
export type Upload = { readonly type: string; readonly body: Readable };

/** What commands ask of a server. Every failure is a `SpeilError`, the server's own included. */
export class ServerClient implements Disposable {
  readonly #url: URL;
  readonly #token: string | null;
  readonly #signal: AbortSignal;
  readonly #caller: HttpCaller;

  constructor(url: URL, token: string | null, signal: AbortSignal) {
    this.#url = url;
    this.#token = token;
    this.#signal = signal;
    this.#caller = new HttpCaller(url);
  }

  /** Throws `USAGE` for an address that is none, or is not safe for a token. */
  static of(flags: ServerFlags, { variables, signal }: Environment): ServerClient {
    const url = serviceUrl(flags.at ?? variables['SPEIL_SERVER'] ?? SERVER_DEFAULT, flags.insecure === true, WORDS);
    const tokenFile = flags.tokenFile ?? variables['SPEIL_TOKEN_FILE'];
    return new ServerClient(url, tokenFile === undefined ? null : readTokenFile(tokenFile), signal);
  }

  /** `http://host:port`, as for messages. */
  get origin(): string {
    return this.#url.origin;
  }

  /** An answer that is read whole, as JSON. */
  async json<T>(method: Method, path: string, body?: object | Upload, signal = this.#signal): Promise<T> {
    const text = await this.#read(await this.open(method, path, body, signal), signal);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** An answer whose body the caller reads. */
  async open(method: Method, path: string, body?: object | Upload, signal = this.#signal): Promise<IncomingMessage> {
    const answer = await this.#call(method, path, body, signal);
    const { statusCode = 0 } = answer;
    if (statusCode >= 200 && statusCode < 300) return answer;
    throw failureOf(statusCode, await this.#read(answer, signal), this.#url, WORDS);
  }

  [Symbol.dispose](): void {
    this.#caller[Symbol.dispose]();
  }

  async #call(method: Method, path: string, body: object | Upload | undefined, signal: AbortSignal) {
    const headers = this.#token === null ? {} : { authorization: `Bearer ${this.#token}` };
    try {
      if (body === undefined) return await this.#caller.call(path, { method, headers, body: null, signal });
      if (isUpload(body)) {
        const typed = { ...headers, 'content-type': body.type };
        return await this.#caller.call(path, { method, headers: typed, body: body.body, signal });
      }
      const typed = { ...headers, 'content-type': 'application/json' };
      return await this.#caller.call(path, { method, headers: typed, body: JSON.stringify(body), signal });
    } catch (cause) {
      throw this.broken(cause, signal);
    }
  }

  async #read(answer: IncomingMessage, signal: AbortSignal): Promise<string> {
    try {
      return await textOf(answer);
    } catch (cause) {
      throw this.broken(cause, signal);
    }
  }

  /** Why a connection to the server ended. */
  broken(cause: unknown, signal = this.#signal): unknown {
    if (cause instanceof SpeilError) return cause;
    return signal.aborted ? interrupted(cause) : unreachable(this.#url, cause, WORDS);
  }
}

const isUpload = (body: object | Upload): body is Upload => 'body' in body && 'type' in body;

const interrupted = (cause: unknown): SpeilError =>
  new SpeilError('INTERRUPTED', 'Interrupted.', { cause, recovery: 'retry' });
