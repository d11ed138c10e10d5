import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import { refuseInsecureListen } from '../../service/listen-rule.ts';
import {
  closeIfEnding,
  closeListener,
  createListener,
  type Listen,
  listenAt,
  type Tls,
} from '../../service/listener.ts';
import { Strangers } from '../../service/strangers.ts';
import type { TrustingCallHandler } from '../call-handler.ts';
import type { CallHandler } from '../exchange.ts';
import { ByteBudget } from './byte-budget.ts';
import { callOfPath, SERVICE_HEADER } from './paths.ts';
import { BODY_WAIT_MS, takeCall } from './take-call.ts';

export type ServeOptions = {
  /** Port 0: any that is free. */
  readonly listen: Listen;
  readonly handler: CallHandler | TrustingCallHandler;
  /** Larger bodies are answered 413 before they are read. */
  readonly callBytesMax: number;
  readonly clock: Clock;
  /** PEM. Without it nothing listens beyond loopback, unless `insecure`. */
  readonly tls?: Tls | undefined;
  readonly insecure?: boolean | undefined;
  /**
   * Is asked first for what is neither a call nor /healthz; true when it answers the request itself. The connection is
   * kept only when it says, before it answers, that whoever asks is trusted.
   */
  readonly extra?: ((request: IncomingMessage, response: ServerResponse, trusted: () => void) => boolean) | undefined;
  /** 1,000. Half of them at most are of one address without a trusted call. */
  readonly connectionsMax?: number | undefined;
  /** How long a request's head, or a handshake, may take; 10 s. */
  readonly headWaitMs?: number | undefined;
};

/** Disposing lets calls that are under way end, for a while, and takes no new ones. */
export type CallServer = AsyncDisposable & { readonly url: string };

/** More than the tasks of a center have at once; each costs a few KB until its call is trusted. */
const CONNECTIONS_MAX = 1_000;
/** Whoever sends its head or its handshake slower than this does not mean it. */
const HEAD_WAIT_MS = 10_000;
/** An unused connection of somebody who is trusted is kept as long as a task may be busy with its source between two calls. */
const IDLE_WAIT_MS = 120_000;
/** Of all connections, for strangers from one address: generous, because all tasks may come through one proxy. */
const STRANGERS_SHARE = 1 / 2;
/** How long calls that are under way may take when the server ends. */
const CLOSE_WAIT_MS = 10_000;
/** Bodies that are in memory at once, in bodies of the largest size; those of ordinary batches are a hundredth of it. */
const BODIES_MAX = 2;

/**
 * Serves the five calls over HTTP/1.1: POST /v1/calls/<call>, the token as bearer, the body as it is or zstd. Throws
 * `INSECURE_LISTEN`, `USAGE` for a certificate or an address that cannot be used.
 */
export async function serveCalls(options: ServeOptions): Promise<CallServer> {
  const { listen, clock, tls, insecure = false, connectionsMax = CONNECTIONS_MAX } = options;
  refuseInsecureListen({ host: listen.host, tls: tls !== undefined, insecure });
  const budget = new ByteBudget(BODIES_MAX * options.callBytesMax);
  const strangers = new Strangers(Math.ceil(connectionsMax * STRANGERS_SHARE));
  const bounds = {
    headWaitMs: options.headWaitMs ?? HEAD_WAIT_MS,
    requestWaitMs: BODY_WAIT_MS,
    idleWaitMs: IDLE_WAIT_MS,
  };
  const server = createListener({ ...bounds, tls }, (request, response) =>
    route({ ...options, budget, strangers }, request, response),
  );
  server.on('connection', (socket: Socket) => strangers.meet(socket) || socket.destroy());
  server.on('request', (_request, response) => response.once('close', () => closeIfEnding(server)));
  // A request that is cut, or is none, gets no answer: one by the platform would look like another service's.
  server.on('clientError', (_error, socket) => socket.destroy());
  server.maxConnections = connectionsMax;
  server.timeout = IDLE_WAIT_MS;
  return {
    url: await listenAt(server, listen, tls !== undefined),
    [Symbol.asyncDispose]: () => closeListener(server, clock, CLOSE_WAIT_MS),
  };
}

type Desk = ServeOptions & { readonly budget: ByteBudget; readonly strangers: Strangers };

/** Connections of whoever has not shown to be trusted end with the answer: kept ones are few enough to be held by one. */
function route(desk: Desk, request: IncomingMessage, response: ServerResponse): void {
  const path = (request.url ?? '').split('?', 1)[0] ?? '';
  const call = callOfPath(path);
  const wantsMore = response.shouldKeepAlive;
  response.shouldKeepAlive = false;
  const trusted = () => {
    response.shouldKeepAlive = wantsMore;
    desk.strangers.know(request.socket);
  };
  if (call !== null && request.method === 'POST') void takeCall({ ...desk, trusted }, call, request, response);
  else if (call !== null) answerJson(response.setHeader('allow', 'POST'), 405, { error: 'calls are made by POST' });
  else if (path === '/healthz') answerJson(response, 200, { status: 'ok' });
  else if (desk.extra?.(request, response, trusted) !== true) answerJson(response, 404, { error: 'nothing is here' });
}

function answerJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', [SERVICE_HEADER]: 'mirror-client' });
  response.end(JSON.stringify(body));
}
