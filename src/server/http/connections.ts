import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { Strangers } from '../../service/strangers.ts';

/** More than the clients of a server; an idle connection costs some 20 KB. */
export const CONNECTIONS_MAX = 4_096;
/** Of all connections, for those from one address that have shown no good token yet. */
const STRANGERS_SHARE = 1 / 2;
/** A connection on which nothing moves for so long, though the client is to send or to take something. */
const STALLED_MS = 60_000;

export type ConnectionRules = {
  readonly connectionsMax: number;
  /** False where no token is demanded: then nobody is a stranger. */
  readonly tokensDemanded: boolean;
};

/** Bounds what connections cost. Handshakes, heads and whole requests are bounded by the listener. */
export class Connections {
  readonly #strangers: Strangers | null;
  /** The request that is under way on a connection. */
  readonly #requests = new WeakMap<Socket, IncomingMessage>();
  /** Connections whose request may take longer than any other. */
  readonly #patient = new WeakSet<Socket>();

  constructor(server: Server, { connectionsMax, tokensDemanded }: ConnectionRules) {
    this.#strangers = tokensDemanded ? new Strangers(Math.ceil(connectionsMax * STRANGERS_SHARE)) : null;
    server.maxConnections = connectionsMax;
    server.timeout = STALLED_MS;
    server.on('connection', (socket: Socket) => this.#strangers?.meet(socket) === false && socket.destroy());
    server.on('timeout', (socket: Socket) => this.#stalled(socket));
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => this.#broken(error, socket));
  }

  began(request: IncomingMessage): void {
    this.#requests.set(request.socket, request);
  }

  /** Its request is a file: it may take as long as its bytes come. */
  isFile(request: IncomingMessage): void {
    this.#patient.add(request.socket);
    request.once('close', () => this.#patient.delete(request.socket));
  }

  /** A good token came over it. */
  trusted({ socket }: IncomingMessage): void {
    this.#strangers?.know(socket);
  }

  /** Nothing has moved: a statement that runs long is waited for, a client that neither sends nor takes is not. */
  #stalled(socket: Socket): void {
    const request = this.#requests.get(socket);
    const isServersTurn = request?.complete === true && socket.writableLength === 0;
    if (!isServersTurn) socket.destroy();
  }

  /** A request that is cut, or is none, gets no answer; one that is too slow does not either, unless it is a file. */
  #broken({ code }: NodeJS.ErrnoException, socket: Socket): void {
    if (code === 'ERR_HTTP_REQUEST_TIMEOUT' && this.#patient.has(socket)) return;
    socket.destroy();
  }
}
