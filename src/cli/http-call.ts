import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Method } from './service-call.ts';

export type HttpRequest = {
  readonly method: Method;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Readable | null;
  readonly signal: AbortSignal;
};

/**
 * One HTTP server, asked over connections that are kept. Unlike `fetch` it waits for an answer as long as it takes: a
 * statement may run for an hour, and a backup is made before it is sent.
 */
export class HttpCaller implements Disposable {
  readonly #url: URL;
  readonly #agent: HttpAgent | HttpsAgent;

  constructor(url: URL) {
    this.#url = url;
    this.#agent = url.protocol === 'https:' ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
  }

  /** Resolves with the head of the answer. Rejects with the error of the connection. */
  call(path: string, { method, headers, body, signal }: HttpRequest): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const send = this.#url.protocol === 'https:' ? requestHttps : requestHttp;
    const request = send(new URL(path, this.#url), { method, headers, signal, agent: this.#agent });
    request.once('response', resolve);
    request.once('error', reject);
    if (body === null || typeof body === 'string') request.end(body ?? '');
    else pipeline(body, request).catch(reject);
    return promise;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** More than any answer that is read whole is long. */
const TEXT_BYTES_MAX = 64_000_000;

export async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > TEXT_BYTES_MAX) throw new Error(`an answer of more than ${TEXT_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
