import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Clock, Random } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import type { CenterMetrics } from '../metrics.ts';
import type { ApiToken, Mirror } from '../model.ts';
import type { CenterLog, Runner } from '../runner-port.ts';
import type { Store } from '../store.ts';
import type { Access } from './access.ts';

/** What the API stands on. */
export type ApiParts = {
  readonly store: Store;
  readonly runner: Runner;
  readonly metrics: CenterMetrics;
  readonly log: CenterLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly version: string;
  /** True when a client that dials out is connected to this center; false also when it is connected to another. */
  readonly isConnected: (mirror: Mirror) => boolean;
  /** Clients may be called without TLS beyond loopback. */
  readonly insecure: boolean;
  /** PEM; null: plain HTTP. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  /** Aborted when the center ends: whoever waits for events or runs is answered at once. */
  readonly ending: AbortSignal;
};

/** A Fastify instance whose handlers get what their zod schemas say. */
export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** One resource: adds its routes. */
export type Resource = (api: Api, parts: ApiParts) => void;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route. A route without it is refused at start. */
    access?: Access;
  }
  interface FastifyRequest {
    /** Whose token came with the request; null only on open routes. */
    caller: ApiToken | null;
  }
}

/** The same without keys whose value is undefined, so that spreading it overrides nothing. */
export const withoutUndefined = <T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };

/** Aborted when whoever asked is gone. */
export function closedSignal(response: ServerResponse): AbortSignal {
  const closed = new AbortController();
  response.once('close', () => closed.abort());
  return closed.signal;
}

/** For whoever waits for something that this center will not see any more. */
export function demandGoingOn({ ending }: ApiParts): void {
  if (!ending.aborted) return;
  throw new SpeilError('UNREACHABLE', 'the operation center is ending', {
    hint: 'Ask again once it is back.',
    recovery: 'retry',
  });
}
