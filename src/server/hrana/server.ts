import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock, Random } from '../../core/clock.ts';
import { AnswerBudget } from './answer-budget.ts';
import type { BatonSecret } from './baton.ts';
import type { ConnectionContext } from './connection.ts';
import { Connections } from './connections.ts';
import { type HranaContext, HttpRequests } from './http-requests.ts';
import { KeptStreams } from './kept-streams.ts';
import { IDLE_MS, REQUEST_BYTES_MAX } from './limits.ts';

export type HranaOptions = {
  readonly clock: Clock;
  readonly random: Random;
  /** Signs batons. At least 32 random bytes; a new one makes all batons void. */
  readonly secret: BatonSecret;
  readonly limits?: Partial<HranaLimits> | undefined;
  /** Told of a failure that has no name: its client was answered `INTERNAL`. */
  readonly onDefect: (error: unknown) => void;
};

export type HranaLimits = {
  /** Of a request's body, or a message over WebSocket. */
  readonly requestBytes: number;
  /** How long a stream over HTTP waits for its client's next request. */
  readonly idleMs: number;
  /** Answers that clients have not taken yet, together. */
  readonly answersBytes: number;
};

/** Hrana, the protocol of libSQL's clients, over HTTP and WebSocket. */
export interface HranaServer {
  /** Answers a request. Never rejects. */
  handle(request: IncomingMessage, response: ServerResponse, context: HranaContext): Promise<void>;
  /** Takes over a connection that wants to be a WebSocket; the path is the database's own, `/<db>/`. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, context: ConnectionContext): void;
  /** Streams over HTTP that wait for their next request. */
  readonly keptStreams: number;
  /** WebSocket connections. */
  readonly connections: number;
  /** Ends every stream and connection, and what they are doing. */
  close(): Promise<void>;
}

export function createHranaServer(options: HranaOptions): HranaServer {
  const { clock, onDefect, limits } = options;
  const idleMs = limits?.idleMs ?? IDLE_MS;
  const streams = new KeptStreams({ ...options, idleMs });
  const requestBytesMax = limits?.requestBytes ?? REQUEST_BYTES_MAX;
  const answers = new AnswerBudget(limits?.answersBytes);
  const http = new HttpRequests({ clock, streams, requestBytesMax, idleMs, answers, onDefect });
  const connections = new Connections({ clock, messageBytesMax: requestBytesMax, answers, onDefect });
  return {
    handle: (request, response, context) => http.handle(request, response, context),
    accept: (request, socket, head, context) => connections.accept(request, socket, head, context),
    get keptStreams() {
      return streams.count;
    },
    get connections() {
      return connections.count;
    },
    async close() {
      http.close();
      await Promise.all([streams.close(), connections.close()]);
    },
  };
}
