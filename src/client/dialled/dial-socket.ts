import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { isIP, connect as netConnect, type Socket } from 'node:net';
import { getCACertificates, connect as tlsConnect } from 'node:tls';
import { SpeilError } from '../../core/error.ts';
import { transitFailure } from '../http/failures.ts';
import { proxyCredentials, proxyDisplay } from './proxy.ts';

export type DialTarget = {
  readonly host: string;
  readonly port: number;
  readonly isSecure: boolean;
  /** PEM; trusted beside the authorities that come with the platform. */
  readonly ca: string | undefined;
  readonly proxy: URL | null;
};

/**
 * A connection to the center, through the proxy if there is one, with TLS if it is secure. Throws `UNREACHABLE`,
 * `TLS_FAILED`, or `FORBIDDEN` when the proxy refuses.
 */
export async function dialSocket(target: DialTarget, signal: AbortSignal): Promise<Socket> {
  const { proxy, host, port } = target;
  const plain = proxy === null ? await openTcp(host, port, signal) : await openTunnel(target, proxy, signal);
  return target.isSecure ? await openTls(plain, target, signal) : plain;
}

async function openTcp(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  const socket = netConnect({ host, port, noDelay: true });
  return await opened(socket, 'connect', signal, (cause) => unreachable(`${host}:${port}`, cause));
}

/** Waits for the event that says the socket is ready; a socket that does not get there is destroyed. */
async function opened<S extends Socket>(
  socket: S,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
  failure: (cause: NodeJS.ErrnoException) => SpeilError,
): Promise<S> {
  try {
    await once(socket, event, { signal });
    return socket;
  } catch (error) {
    socket.on('error', () => undefined).destroy();
    signal.throwIfAborted();
    throw failure(error as NodeJS.ErrnoException);
  }
}

const isName = (host: string): boolean => isIP(host) === 0;

function openTls(plain: Socket, { host, ca }: Pick<DialTarget, 'host' | 'ca'>, signal: AbortSignal): Promise<Socket> {
  const socket = tlsConnect({
    socket: plain,
    host,
    ALPNProtocols: ['http/1.1'],
    ...(isName(host) ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] }),
  });
  return opened(socket, 'secureConnect', signal, (cause) => transitFailure(cause, host));
}

/** Asks the proxy to connect to the center (CONNECT). */
async function openTunnel({ host, port, ca }: DialTarget, proxy: URL, signal: AbortSignal): Promise<Socket> {
  const isSecure = proxy.protocol === 'https:';
  const proxyHost = proxy.hostname.replace(/^\[|\]$/g, '');
  const toProxy = await openTcp(proxyHost, Number(proxy.port) || (isSecure ? 443 : 80), signal);
  const socket = isSecure ? await openTls(toProxy, { host: proxyHost, ca }, signal) : toProxy;
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const credentials = proxyCredentials(proxy);
  const request = httpRequest({
    method: 'CONNECT',
    path: authority,
    headers: { host: authority, ...(credentials === null ? {} : { 'proxy-authorization': credentials }) },
    createConnection: () => socket,
    signal,
  });
  return await tunnelled(request, socket, proxy);
}

function tunnelled(request: ReturnType<typeof httpRequest>, socket: Socket, proxy: URL): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const refuse = (error: unknown) => {
    socket.destroy();
    reject(error);
  };
  request.once('error', (error) =>
    refuse(request.destroyed && error.name === 'AbortError' ? error : unreachable(proxyDisplay(proxy), error)),
  );
  request.once('response', ({ statusCode = 0 }) => refuse(proxyRefused(proxy, statusCode)));
  request.once('connect', ({ statusCode = 0 }, _socket, head) => {
    if (statusCode !== 200) return refuse(proxyRefused(proxy, statusCode));
    if (head.length > 0) socket.unshift(head);
    resolve(socket);
  });
  request.end();
  return promise;
}

const unreachable = (where: string, cause: NodeJS.ErrnoException): SpeilError =>
  new SpeilError('UNREACHABLE', `cannot connect to ${where}: ${reasonOf(cause)}`, {
    hint: 'Is the address right, and does a firewall let this machine out?',
    recovery: 'retry',
    cause,
  });

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the name is not known to DNS';
  if (code === 'ECONNREFUSED') return 'nobody listens there';
  return message || code || 'no connection';
}

function proxyRefused(proxy: URL, status: number): SpeilError {
  const refused = status === 401 || status === 403 || status === 407;
  const code = refused ? 'FORBIDDEN' : 'UNREACHABLE';
  return new SpeilError(code, `the proxy ${proxyDisplay(proxy)} answered ${status}`, {
    hint: refused
      ? 'It wants a login (HTTPS_PROXY=http://user:password@host:port) or does not let anybody to the center.'
      : 'Can the proxy reach the center?',
    recovery: 'retry',
  });
}
