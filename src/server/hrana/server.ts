import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock, Random } from '../../core/clock.ts';
import type { BatonSecret } from './baton.ts';
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
};

/** Hrana, the protocol of libSQL's clients, over HTTP and WebSocket. */
export interface HranaServer {
  /** Answers a request. Never rejects. */
  handle(request: IncomingMessage, response: ServerResponse, context: HranaContext): Promise<void>;
  /** Streams over HTTP that wait for their next request. */
  readonly keptStreams: number;
  /** Ends every stream and connection, and what they are doing. */
  close(): Promise<void>;
}

export function createHranaServer(options: HranaOptions): HranaServer {
  const { clock, onDefect, limits } = options;
  const streams = new KeptStreams({ ...options, idleMs: limits?.idleMs ?? IDLE_MS });
  const requestBytesMax = limits?.requestBytes ?? REQUEST_BYTES_MAX;
  const http = new HttpRequests({ clock, streams, requestBytesMax, onDefect });
  return {
    handle: (request, response, context) => http.handle(request, response, context),
    get keptStreams() {
      return streams.count;
    },
    async close() {
      http.close();
      await streams.close();
    },
  };
}
