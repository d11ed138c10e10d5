import { once } from 'node:events';
import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import { CONNECT_WAIT_MS } from '../../core/limits.ts';
import { isLoopback } from '../../service/listen-rule.ts';
import type { CallAnswer, CallRequest, Exchange } from '../exchange.ts';
import { ANSWER_BYTES_MAX } from '../remote-client.ts';
import { foreignAnswer, noConnection, silence, transitFailure } from './failures.ts';
import { INTERFACE_HEADER, pathOfCall, SILENCE_MS } from './paths.ts';
import { readBody } from './read-body.ts';

export type HttpExchangeOptions = {
  /** `https://host[:port][/path]` of a mirror client; `http:` on loopback only, unless `insecure`. */
  readonly url: string;
  /** PEM; trusted instead of the authorities that come with the platform. */
  readonly ca?: string | undefined;
  readonly clock: Clock;
  readonly insecure?: boolean | undefined;
};

/** Connections of one exchange: tasks make one call at a time for a mirror, so that more would be a mistake. */
const SOCKETS_MAX = 16;
/** The slowest line that is taken for one, in bytes a millisecond: silence counts only after a body had time to leave. */
const UPLOAD_BYTES_PER_MS = 20;

/** Calls a mirror client that listens; connections are kept between calls. Throws `USAGE` for an address that is none. */
export function httpExchange(options: HttpExchangeOptions): Exchange & AsyncDisposable {
  const base = parseUrl(options);
  const isTls = base.protocol === 'https:';
  const settings = { keepAlive: true, maxSockets: SOCKETS_MAX, scheduling: 'lifo' } as const;
  const agent = isTls ? new HttpsAgent({ ...settings, ca: options.ca }) : new HttpAgent(settings);
  const open = (request: CallRequest): ClientRequest =>
    (isTls ? httpsRequest : httpRequest)(new URL(`.${pathOfCall(request.call)}`, base), {
      agent,
      method: 'POST',
      headers: headersOf(request),
    });
  return {
    display: base.href,
    send: (request, signal) => send(open, request, { display: base.href, clock: options.clock, signal }),
    async [Symbol.asyncDispose]() {
      agent.destroy();
    },
  };
}

function parseUrl({ url, insecure = false }: HttpExchangeOptions): URL {
  const base = URL.parse(url);
  if (base === null || !/^https?:$/.test(base.protocol) || base.username !== '' || base.search !== '') {
    throw new SpeilError('USAGE', 'the address of a mirror client is https://host[:port][/path]');
  }
  if (base.protocol === 'http:' && !insecure && !isLoopback(base.hostname)) {
    throw new SpeilError('USAGE', `${base.href} is not encrypted`, {
      hint: 'Use https://; rows do not travel beyond this machine for everybody to read.',
    });
  }
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return base;
}

const headersOf = ({ token, encoding, body }: CallRequest): Record<string, string> => ({
  authorization: `Bearer ${token}`,
  'content-type': 'application/octet-stream',
  'content-length': String(body.byteLength),
  ...(encoding === 'identity' ? {} : { 'content-encoding': encoding }),
});

type Sending = { readonly display: string; readonly clock: Clock; readonly signal: AbortSignal };

async function send(
  open: (request: CallRequest) => ClientRequest,
  call: CallRequest,
  { display, clock, signal }: Sending,
): Promise<CallAnswer> {
  signal.throwIfAborted();
  const request = open(call);
  const stop = () => request.destroy();
  signal.addEventListener('abort', stop, { once: true });
  const watch = new Watch(request, call.body.byteLength);
  const watching = watch.run(clock, display);
  try {
    const response = await responseTo(request, call.body);
    return await readAnswer(response, `${display}${pathOfCall(call.call).slice(1)}`, () => watch.hear());
  } catch (error) {
    request.destroy();
    signal.throwIfAborted();
    throw watch.verdict ?? transitFailure(error, display);
  } finally {
    signal.removeEventListener('abort', stop);
    watch.end();
    await watching;
  }
}

function responseTo(request: ClientRequest, body: Uint8Array): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request.on('response', resolve).on('error', reject);
  request.on('close', () => reject(new Error('the connection was closed without an answer')));
  request.end(body);
  return promise;
}

async function readAnswer(response: IncomingMessage, url: string, hear: () => void): Promise<CallAnswer> {
  if (response.headers[INTERFACE_HEADER] === undefined) {
    throw foreignAnswer(response, url);
  }
  const body = await readBody(response, ANSWER_BYTES_MAX, hear);
  const encoding = response.headers['content-encoding'] === 'zstd' ? 'zstd' : 'identity';
  return { status: response.statusCode ?? 0, encoding, body };
}

/** Connections that are made. One that a request left behind may go to the next that waits without another word. */
const connectedSockets = new WeakSet<Socket>();

/** Ends a request that is not connected in time, or whose server falls silent. */
class Watch {
  /** Why the request was ended; null when it was not. */
  verdict: SpeilError | null = null;
  readonly #request: ClientRequest;
  readonly #silenceMs: number;
  readonly #over = new AbortController();
  #connected = false;
  #heard = false;

  constructor(request: ClientRequest, bodyBytes: number) {
    this.#request = request;
    this.#silenceMs = SILENCE_MS + bodyBytes / UPLOAD_BYTES_PER_MS;
    request.on('socket', (socket) => this.#follow(socket));
    request.on('information', () => this.hear());
    request.on('response', () => this.hear());
  }

  #follow(socket: Socket): void {
    this.#connected = connectedSockets.has(socket);
    if (this.#connected) return;
    socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => {
      connectedSockets.add(socket);
      this.#connected = true;
    });
  }

  hear(): void {
    this.#heard = true;
  }

  end(): void {
    this.#over.abort();
  }

  async run(clock: Clock, display: string): Promise<void> {
    try {
      await once(this.#request, 'socket', { signal: this.#over.signal });
      await clock.sleep(CONNECT_WAIT_MS, this.#over.signal);
      if (!this.#connected) this.#kill(noConnection(display, CONNECT_WAIT_MS));
      do {
        this.#heard = false;
        await clock.sleep(this.#silenceMs, this.#over.signal);
      } while (this.#heard);
      this.#kill(silence(display, this.#silenceMs));
    } catch {
      // The call is over.
    }
  }

  #kill(verdict: SpeilError): void {
    this.verdict = verdict;
    this.#over.abort();
    this.#request.destroy();
  }
}
