import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Clock } from '../../core/clock.ts';
import { type ErrorCode, type Recovery, SpeilError } from '../../core/error.ts';
import { CONNECT_WAIT_MS } from '../../core/limits.ts';
import { isLoopback } from '../../service/listen-rule.ts';
import { noConnection, silence, transitFailure } from '../http/failures.ts';
import { readBody } from '../http/read-body.ts';
import { type Operation, type Requests, type Responses, readResponse, soapAction, writeRequest } from './messages.ts';

export type SoapPostOptions = {
  /** The registered address of the mirror client; `http:` on loopback only, unless `insecure`. */
  readonly url: string;
  /** PEM; trusted instead of the authorities that come with the platform. */
  readonly ca?: string | undefined;
  readonly insecure?: boolean | undefined;
  readonly clock: Clock;
};

/** Makes one call of the contract. */
export type SoapPost = AsyncDisposable & {
  send<O extends Operation>(
    operation: O,
    request: Requests[O],
    token: string,
    signal: AbortSignal,
  ): Promise<Responses[O]>;
};

/** The contract has no sign of life during a call, and the client may load, build indexes or create a database in it. */
const ANSWER_WAIT_MS = 600_000;
/** Larger than the answer for 100,000 tables. */
const ANSWER_BYTES_MAX = 32_000_000;
/** A task makes one call at a time. */
const SOCKETS_MAX = 4;

/** Posts SOAP 1.1 over HTTP(S). Throws `USAGE` for an address that is none. */
export function soapPost({ url, ca, insecure = false, clock }: SoapPostOptions): SoapPost {
  const address = parseUrl(url, insecure);
  const isTls = address.protocol === 'https:';
  const settings = { keepAlive: true, maxSockets: SOCKETS_MAX };
  const agent = isTls ? new HttpsAgent({ ...settings, ca }) : new HttpAgent(settings);
  const open = (operation: Operation, body: Buffer): ClientRequest =>
    (isTls ? httpsRequest : httpRequest)(address, { agent, method: 'POST', headers: headersOf(operation, body) });
  return {
    async send(operation, request, token, signal) {
      const body = Buffer.from(writeRequest(operation, request, token));
      const { status, answer } = await post(() => open(operation, body), body, {
        display: address.href,
        clock,
        signal,
      });
      return readAnswer(operation, { status, answer, display: address.href });
    },
    async [Symbol.asyncDispose]() {
      agent.destroy();
    },
  };
}

function parseUrl(url: string, insecure: boolean): URL {
  const parsed = URL.parse(url);
  if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.username !== '') {
    throw new SpeilError('USAGE', 'the address of a mirror client is https://host[:port]/path');
  }
  if (parsed.protocol === 'https:' || insecure || isLoopback(parsed.hostname)) return parsed;
  throw new SpeilError('USAGE', `${parsed.href} is not encrypted`, {
    hint: 'Use https://; rows do not travel beyond this machine for everybody to read.',
  });
}

const headersOf = (operation: Operation, body: Buffer): Record<string, string> => ({
  'content-type': 'text/xml; charset=utf-8',
  'content-length': String(body.byteLength),
  soapaction: `"${soapAction(operation)}"`,
});

type Posting = { readonly display: string; readonly clock: Clock; readonly signal: AbortSignal };
type Posted = { readonly status: number; readonly answer: Uint8Array };

async function post(open: () => ClientRequest, body: Buffer, { display, clock, signal }: Posting): Promise<Posted> {
  signal.throwIfAborted();
  const request = open();
  const over = new AbortController();
  const stop = () => request.destroy();
  signal.addEventListener('abort', stop, { once: true });
  const waits = waitsOf(request, { display, clock, signal: over.signal });
  try {
    const response = await responseTo(request, body);
    return { status: response.statusCode ?? 0, answer: await readBody(response, ANSWER_BYTES_MAX) };
  } catch (error) {
    signal.throwIfAborted();
    throw waits.verdict() ?? transitFailure(error, display);
  } finally {
    signal.removeEventListener('abort', stop);
    over.abort();
    await waits.done;
  }
}

function responseTo(request: ClientRequest, body: Buffer): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request.on('response', resolve).on('error', reject);
  request.on('close', () => reject(new Error('the connection was closed without an answer')));
  request.end(body);
  return promise;
}

/** Ends a request that is not connected, or not answered, in time; says why it did. */
function waitsOf(request: ClientRequest, { display, clock, signal }: Posting) {
  let connected = false;
  let verdict: SpeilError | null = null;
  request.on('socket', (socket) => {
    connected = request.reusedSocket;
    if (!connected) socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => (connected = true));
  });
  const end = (why: SpeilError) => {
    verdict = why;
    request.destroy();
  };
  const wait = async () => {
    await clock.sleep(CONNECT_WAIT_MS, signal);
    if (!connected) return end(noConnection(display, CONNECT_WAIT_MS));
    await clock.sleep(ANSWER_WAIT_MS, signal);
    end(silence(display, ANSWER_WAIT_MS));
  };
  return { verdict: () => verdict, done: wait().catch(() => undefined) };
}

type Answer = Posted & { readonly display: string };

/** SOAP 1.1 answers 200, and 500 for a fault; whatever else answers is not the mirror client. */
function readAnswer<O extends Operation>(operation: O, { status, answer, display }: Answer): Responses[O] {
  const refusal = STATUS_RULES.find(({ statuses }) => statuses.includes(status));
  if (refusal !== undefined) {
    const { code, what, hint, recovery } = refusal;
    throw new SpeilError(code, `${display} answers ${status}: ${what}`, { hint, recovery });
  }
  try {
    return readResponse(operation, answer);
  } catch (error) {
    if (status === 200 || isFault(answer)) throw error;
    throw new SpeilError('CONTRACT_BROKEN', `${display} answers ${status}, and no SOAP`, {
      hint: 'Look at the log of the mirror client. That a page opens there in a browser says nothing about POST.',
      recovery: status >= 500 ? 'retry' : 'operator',
    });
  }
}

const isFault = (answer: Uint8Array): boolean => Buffer.from(answer).includes('Fault');

type StatusRule = {
  readonly statuses: readonly number[];
  readonly code: ErrorCode;
  readonly what: string;
  readonly hint: string;
  readonly recovery?: Recovery;
};

const STATUS_RULES: readonly StatusRule[] = [
  {
    statuses: [401, 403, 407],
    code: 'AUTHENTICATION_REFUSED',
    what: 'something before the mirror client wants a login',
    hint: 'Calls of the contract carry their own token; a proxy or gateway must let them through.',
  },
  {
    statuses: [301, 302, 303, 307, 308, 404, 405, 501],
    code: 'NOT_FOUND',
    what: 'no mirror client takes POST there',
    hint: 'Check host, port and path: the address of the service itself, MirroringClientService.svc as a rule.',
  },
  {
    statuses: [413],
    code: 'CALL_TOO_LARGE',
    what: 'it takes no call of this size',
    hint: 'Raise the limits of the service (maxReceivedMessageSize, maxAllowedContentLength), or lower BatchSize.',
  },
  {
    statuses: [408, 429, 502, 503, 504],
    code: 'UNREACHABLE',
    what: 'the service is not available now',
    hint: 'Is the mirror client running? The next cycle tries again.',
    recovery: 'retry',
  },
];
