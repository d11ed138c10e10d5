import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Clock } from '../../core/clock.ts';
import type { AnswerBudget } from './answer-budget.ts';
import { Connection, type ConnectionContext } from './connection.ts';
import { jsonCodec } from './json-codec.ts';
import { BEAT_MS, HELLO_BYTES_MAX } from './limits.ts';
import type { Codec } from './messages.ts';
import { protobufCodec } from './protobuf-codec.ts';

/** By the name of the subprotocol; the one we like best in front. */
const SUBPROTOCOLS: ReadonlyMap<string, Codec> = new Map([
  ['hrana3-protobuf', protobufCodec],
  ['hrana3', jsonCodec],
  ['hrana2', jsonCodec],
  ['hrana1', jsonCodec],
]);

/** How long a client may take to answer our goodbye. */
const GOODBYE_MS = 1_000;

export type ConnectionsOptions = {
  readonly clock: Clock;
  readonly messageBytesMax: number;
  readonly answers: AnswerBudget;
  readonly onDefect: (error: unknown) => void;
};

/** Hrana over WebSocket: all connections of a server. */
export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #server: WebSocketServer;
  readonly #connections = new Set<Connection>();
  readonly #ended = new AbortController();
  #isBeating = false;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: options.messageBytesMax,
      handleProtocols: (offered) => chosen(offered) ?? false,
    });
  }

  get count(): number {
    return this.#connections.size;
  }

  /** For the `upgrade` event of a server. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, context: ConnectionContext): void {
    socket.on('error', () => socket.destroy());
    const name = chosen(offeredBy(request));
    const codec = name === null ? undefined : SUBPROTOCOLS.get(name);
    if (this.#ended.signal.aborted) refuse(socket, '503 Service Unavailable', 'the server is stopping');
    else if (codec === undefined)
      refuse(socket, '400 Bad Request', `offer one of ${[...SUBPROTOCOLS.keys()].join(', ')}`);
    else this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#add(webSocket, codec, context, socket));
  }

  #add(webSocket: WebSocket, codec: Codec, context: ConnectionContext, socket: Duplex): void {
    const connection = new Connection(webSocket, codec, context, this.#options);
    this.#connections.add(connection);
    boundStranger(connection, socket);
    void connection.closed.then(() => this.#connections.delete(connection));
    if (!this.#isBeating) void this.#beat();
  }

  /** As long as there are any. */
  async #beat(): Promise<void> {
    this.#isBeating = true;
    while (this.#connections.size > 0 && !this.#ended.signal.aborted) {
      await this.#options.clock.sleep(BEAT_MS, this.#ended.signal).catch(() => {});
      for (const connection of this.#connections) connection.beat();
    }
    this.#isBeating = false;
  }

  async close(): Promise<void> {
    this.#ended.abort();
    const connections = [...this.#connections];
    for (const connection of connections) connection.leave();
    const all = Promise.all(connections.map(({ closed }) => closed));
    const waited = new AbortController();
    const late = this.#options.clock.sleep(GOODBYE_MS, waited.signal).then(
      () => connections.map((connection) => connection.terminate()),
      () => {},
    );
    await all;
    waited.abort();
    await late;
  }
}

const offeredBy = ({ headers }: IncomingMessage): ReadonlySet<string> =>
  new Set(headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()));

function chosen(offered: ReadonlySet<string>): string | null {
  for (const name of SUBPROTOCOLS.keys()) if (offered.has(name)) return name;
  return null;
}

/** Who has not said hello may not make us hold much. */
function boundStranger(connection: Connection, socket: Duplex): void {
  let bytes = 0;
  const count = (chunk: Buffer) => {
    bytes += chunk.length;
    if (connection.isGreeted) socket.off('data', count);
    else if (bytes > HELLO_BYTES_MAX) connection.terminate();
  };
  socket.on('data', count);
}

function refuse(socket: Duplex, status: string, why: string): void {
  const head = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${why.length}`;
  socket.end(`${head}\r\n\r\n${why}`, () => socket.destroy());
}
