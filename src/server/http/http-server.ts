import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../core/clock.ts';
import { errorReport } from '../../core/error.ts';
import { isLoopback } from '../../service/listen-rule.ts';
import {
  closeIfEnding,
  closeListener,
  createListener,
  type Listen,
  listenAt,
  type Tls,
} from '../../service/listener.ts';
import type { Log } from '../../service/log.ts';
import { type Caller, demandAccess, demandAllDatabases, type Gate, noDatabase } from '../access.ts';
import { type AdminParts, type AdminRoute, findRoute } from '../admin/admin-api.ts';
import { databaseRoutes } from '../admin/database-routes.ts';
import { tokenRoutes } from '../admin/token-routes.ts';
import type { DatabaseName } from '../databases/database-name.ts';
import type { Databases } from '../databases/databases.ts';
import type { SqlDatabase } from '../sql.ts';
import { answerClientError, answerError, answerJson, noSuchPath, statusOf } from './answer.ts';
import type { AdmittedDatabase, ClientProtocol } from './client-protocol.ts';
import { CONNECTIONS_MAX, Connections } from './connections.ts';
import { noOnlyDatabase } from './only-database.ts';
import { isVersionCheck, type Route, routeOf } from './routes.ts';

export type HttpServerOptions = {
  readonly listen: Listen;
  readonly tls: Tls | undefined;
  readonly gate: Gate;
  readonly databases: Databases;
  readonly protocol: ClientProtocol;
  readonly admin: AdminParts;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  readonly clock: Clock;
  readonly log: Log;
  /** {@link CONNECTIONS_MAX}. */
  readonly connectionsMax?: number | undefined;
  /** How long a request's head, or a handshake, may take; 10 s. */
  readonly headWaitMs?: number | undefined;
};

/** Disposing takes no new requests, lets those under way end for a while, and closes every connection. */
export type HttpServer = AsyncDisposable & { readonly url: string };

const HEAD_WAIT_MS = 10_000;
/** The largest request of a client over a line of 10 Mbit/s. */
const REQUEST_WAIT_MS = 120_000;
/** Clients keep connections and come back; libSQL's do after seconds. */
const IDLE_WAIT_MS = 60_000;
/** How long requests that are under way may take when the server ends. */
const CLOSE_WAIT_MS = 10_000;

/** Everything a server says over its one port. Throws `USAGE` for an address or certificate that cannot be used. */
export async function serveHttp(options: HttpServerOptions): Promise<HttpServer> {
  const { listen, tls, clock, protocol, gate } = options;
  const headWaitMs = options.headWaitMs ?? HEAD_WAIT_MS;
  const bounds = { headWaitMs, requestWaitMs: REQUEST_WAIT_MS, idleWaitMs: IDLE_WAIT_MS };
  const server = createListener({ ...bounds, tls }, (request, response) => void desk.take(request, response));
  const { connectionsMax = CONNECTIONS_MAX } = options;
  const connections = new Connections(server, { connectionsMax, tokensDemanded: gate.tokensDemanded });
  const desk = new Desk(options, connections);
  server.on('request', (_request, response) => response.once('close', () => closeIfEnding(server)));
  server.on('upgrade', (request, socket, head) => void desk.upgrade(request, socket, head));
  const url = await listenAt(server, listen, tls !== undefined);
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      const closed = closeListener(server, clock, CLOSE_WAIT_MS);
      const idle = new AbortController();
      const patience = clock.sleep(CLOSE_WAIT_MS, idle.signal).catch(() => undefined);
      await Promise.race([desk.idle, patience]);
      idle.abort();
      await protocol[Symbol.asyncDispose]();
      await closed;
    },
  };
}

class Desk {
  readonly #options: HttpServerOptions;
  readonly #connections: Connections;
  #underWay = 0;
  #ended = Promise.withResolvers<void>();
  readonly #adminRoutes: readonly AdminRoute[] = [...databaseRoutes(), ...tokenRoutes()];

  constructor(options: HttpServerOptions, connections: Connections) {
    this.#options = options;
    this.#connections = connections;
  }

  async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#connections.began(request);
    if (this.#underWay === 0) this.#ended = Promise.withResolvers();
    this.#underWay += 1;
    await this.#answer(request, response);
    this.#underWay -= 1;
    if (this.#underWay === 0) this.#ended.resolve();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const route = routeOf(request.url ?? '');
    try {
      if (route.kind === 'client') await this.#takeClient(route, request, response);
      else await this.#takeOther(route, request, response);
    } catch (error) {
      this.#refuse(route, request, response, error);
    }
    if (!request.complete) drain(request);
  }

  /** Resolves when no request is under way. */
  get idle(): Promise<void> {
    return this.#underWay === 0 ? Promise.resolve() : this.#ended.promise;
  }

  /** A name that there is none of is not told from one that a token is not good for. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy());
    const route = routeOf(request.url ?? '');
    try {
      if (route.kind !== 'client' || route.path !== '/') throw noSuchPath();
      const { databases, gate, protocol } = this.#options;
      const name = route.database ?? databases.only;
      if (name === null) throw noOnlyDatabase(databases.names.length);
      const isHidden = gate.tokensDemanded && databases.viewOf(name) === null;
      const database = isHidden ? nowhere(name) : (await databases.get(name)).sql;
      const authorize = (secret: string | null) =>
        isHidden ? null : this.#authorize(request, secret ?? secretOf(request), name);
      protocol.upgrade({ request, socket, head, database, authorize });
    } catch (error) {
      refuseUpgrade(socket, error);
    }
  }

  #authorize(request: IncomingMessage, secret: string | null, name: DatabaseName) {
    try {
      const caller = this.#admit(request, secret);
      const access = demandAccess(caller, name);
      const watched = this.#options.gate.whenRevoked(caller, () => request.socket.destroy());
      request.socket.once('close', () => watched[Symbol.dispose]());
      return { access, identity: caller.tokenId ?? '' };
    } catch {
      // The protocol says that it was refused; why is said to those who ask over HTTP.
      return null;
    }
  }

  async #takeClient(
    { database, path }: Route & { readonly kind: 'client' },
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { protocol } = this.#options;
    if (isVersionCheck(request.method, path)) {
      protocol.answerVersionCheck(request, response, path);
      return;
    }
    const admitted = await this.#databaseFor(this.#admit(request, secretOf(request)), database);
    await protocol.answer({ ...admitted, request, response, path });
  }

  async #databaseFor(caller: Caller, named: DatabaseName | null): Promise<AdmittedDatabase> {
    const { databases } = this.#options;
    const name = named ?? caller.database ?? databases.only;
    if (name === null) throw noOnlyDatabase(databases.names.length);
    const access = demandAccess(caller, name);
    const { sql } = await databases.get(name);
    return { database: sql, access, identity: caller.tokenId ?? '' };
  }

  async #takeOther(route: Route, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (route.kind === 'none') throw noSuchPath();
    if (route.kind === 'health') return answerJson(response, 200, { status: 'ok' });
    if (route.kind === 'ready') return this.#answerReady(response);
    const caller = this.#admit(request, secretOf(request));
    if (route.kind === 'metrics') await this.#answerMetrics(caller, response);
    else if (route.kind === 'admin') await this.#administer(route.parts, caller, request, response);
  }

  /** Says of no database more than its name and state: nobody needs a token to ask. */
  #answerReady(response: ServerResponse): void {
    const waiting = this.#options.databases.views.filter(({ state }) => state !== 'running');
    const ready = waiting.every(({ state }) => state === 'disk-full');
    const databases = Object.fromEntries(waiting.map(({ name, state }) => [name, state]));
    answerJson(response, ready ? 200 : 503, { status: ready ? 'ready' : 'not ready', databases });
  }

  async #answerMetrics(caller: Caller, response: ServerResponse): Promise<void> {
    demandAllDatabases(caller);
    const { metrics } = this.#options;
    const text = await metrics.text();
    response.writeHead(200, { 'content-type': metrics.contentType });
    response.end(text);
  }

  async #administer(
    path: readonly string[],
    caller: Caller,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { route, parameter } = findRoute(this.#adminRoutes, request.method, path);
    if (route.method === 'PUT' && caller.access === 'admin') this.#connections.isFile(request);
    const body = await route.handler({ parts: this.#options.admin, caller, request, response, parameter });
    if (body === null) response.writeHead(204).end();
    else if (body !== undefined) answerJson(response, response.statusCode, body);
    if (route.method === 'GET') return;
    const { log } = this.#options;
    log.info({ method: route.method, path: `/admin/${path.join('/')}`, token: caller.tokenId }, 'administration');
  }

  #admit(request: IncomingMessage, secret: string | null): Caller {
    const address = request.socket.remoteAddress ?? '';
    const caller = this.#options.gate.admit({ secret, address, maybeWebPage: maybeWebPage(request) });
    this.#connections.trusted(request);
    return caller;
  }

  #refuse(route: Route, request: IncomingMessage, response: ServerResponse, error: unknown): void {
    const { code } = route.kind === 'client' ? answerClientError(response, error) : answerError(response, error);
    const isOurs = code === 'INTERNAL' && !request.destroyed;
    if (isOurs)
      this.#options.log.error({ error, path: request.url ?? '' }, `a request failed: ${errorReport(error).message}`);
  }
}

/** A database of which nobody learns that it is none. */
const nowhere = (name: DatabaseName): SqlDatabase => ({
  name,
  openStream: () => {
    throw noDatabase(name);
  },
});

function refuseUpgrade(socket: Duplex, error: unknown): void {
  const report = errorReport(error);
  const body = JSON.stringify(report);
  const head = `HTTP/1.1 ${statusOf(report)} Refused\r\nconnection: close\r\ncontent-type: application/json`;
  socket.end(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

/** What a client may still be sending while it reads that it is refused. */
const DRAINED_BYTES_MAX = 1_000_000;

/** A client that is still sending would not see its answer if the connection ended now. */
function drain(request: IncomingMessage): void {
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.byteLength;
    if (bytes > DRAINED_BYTES_MAX) request.socket.destroy();
  });
}

/** Null: no token was shown. What is there and is no bearer token is one that nobody knows. */
const secretOf = ({ headers: { authorization } }: IncomingMessage): string | null =>
  authorization === undefined ? null : (/^bearer +(\S+) *$/i.exec(authorization)?.[1] ?? '');

function maybeWebPage({ headers }: IncomingMessage): boolean {
  if (headers.origin !== undefined) return true;
  const host = (headers.host ?? '').replace(/:\d+$/, '');
  return !isLoopback(host) && isIP(host.replace(/^\[(.*)\]$/, '$1')) === 0;
}
