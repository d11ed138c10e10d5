import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { SpeilError } from '../core/error.ts';

/** Port 0: any that is free. */
export type Listen = { readonly host: string; readonly port: number };

/** PEM. */
export type Tls = { readonly cert: string; readonly key: string };

export type ListenerBounds = {
  /** How long a request's head, or a handshake, may take. */
  readonly headWaitMs: number;
  /** How long a request may take to arrive as a whole. */
  readonly requestWaitMs: number;
  /** How long a connection between two requests is kept. */
  readonly idleWaitMs: number;
};

export type RequestListener = (request: IncomingMessage, response: ServerResponse) => void;

/** How often the bounds are looked at. */
const CHECK_MS = 2_000;
const HEAD_BYTES_MAX = 16_384;

/** An HTTP server that does not listen yet. Throws `USAGE` for a certificate that cannot be used. */
export function createListener(
  { tls, headWaitMs, requestWaitMs, idleWaitMs }: ListenerBounds & { readonly tls: Tls | undefined },
  listener: RequestListener,
): Server {
  const settings = {
    headersTimeout: headWaitMs,
    requestTimeout: requestWaitMs,
    keepAliveTimeout: idleWaitMs,
    connectionsCheckingInterval: Math.min(CHECK_MS, headWaitMs),
    maxHeaderSize: HEAD_BYTES_MAX,
    noDelay: true,
    keepAlive: true,
  };
  if (tls === undefined) return createHttpServer(settings, listener);
  try {
    const { cert, key } = tls;
    return createHttpsServer({ ...settings, cert, key, handshakeTimeout: headWaitMs, minVersion: 'TLSv1.2' }, listener);
  } catch (cause) {
    throw new SpeilError('USAGE', `the TLS certificate and its key cannot be used: ${messageOf(cause)}`, {
      hint: 'Both as PEM, the certificate with those between it and its authority behind it, the key without a passphrase.',
      cause,
    });
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const LISTEN_HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'Is it running already? Choose another port or address.',
  EACCES: 'This account may not use the port: below 1024 an administrator has to allow it. Choose a higher one.',
  EADDRNOTAVAIL: 'This machine does not have the address. 127.0.0.1 is for this machine only, 0.0.0.0 for all.',
  ENOTFOUND: 'The host name is not known. Give an address of this machine, as 127.0.0.1 or 0.0.0.0.',
};

export function listenFailure({ host, port }: Listen, cause: NodeJS.ErrnoException): SpeilError {
  const hint = LISTEN_HINTS[cause.code ?? ''] ?? 'Choose another port or address.';
  return new SpeilError('USAGE', `cannot listen on ${host}:${port}: ${cause.message}`, { hint, cause });
}

/** Resolves with its URL when it listens. Rejects with `USAGE`. */
export function listenAt(server: Server, listen: Listen, tls: boolean): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  server.once('error', (cause) => reject(listenFailure(listen, cause)));
  server.listen({ ...listen }, () => resolve(urlOf(server, listen.host, tls)));
  return promise;
}

function urlOf(server: Server, host: string, tls: boolean): string {
  const { port } = server.address() as AddressInfo;
  return `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** A connection that was busy when the server began to end is kept for nobody. */
export function closeIfEnding(server: Server): void {
  if (!server.listening) setImmediate(() => server.closeIdleConnections());
}

/** Takes no more requests; those under way may end, for `waitMs`. Resolves when no connection is left. */
export async function closeListener(server: Server, clock: Clock, waitMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  const closed = new AbortController();
  const patience = clock.sleep(waitMs, closed.signal).then(
    () => server.closeAllConnections(),
    () => undefined,
  );
  await promise;
  closed.abort();
  await patience;
}
