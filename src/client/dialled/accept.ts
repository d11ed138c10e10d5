import type { KeyObject } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Clock } from '../../core/clock.ts';
import { type ErrorReport, errorReport, SpeilError } from '../../core/error.ts';
import type { Exchange } from '../exchange.ts';
import { keyId, readPublicKey } from '../trust/keys.ts';
import { CLIENTS_PATH, NONCE_HEADER, SUBPROTOCOL } from './address.ts';
import { CallsOut } from './calls-out.ts';
import { Channel, CLOSE_CODES } from './channel.ts';
import { withDeadline } from './deadline.ts';
import { encodeFrame } from './frames.ts';
import {
  claimedApplication,
  isNonce,
  newNonce,
  type Proof,
  readSigned,
  type Signed,
  signHello,
  signWelcome,
  verifyProof,
} from './handshake.ts';
import { CONNECTIONS_PER_KEY_MAX, FRAME_BYTES_MAX, UNPROVED_MAX } from './limits.ts';
import { closeRemovedKeys } from './removed-keys.ts';

/** A client that is there. */
export type ConnectedClient = {
  readonly application: string;
  /** Of the application's key. */
  readonly keyId: string;
  /** The client's build. */
  readonly version: string;
  readonly remoteAddress: string;
  /** UTC, ISO 8601. */
  readonly since: string;
  readonly callsOpen: number;
  readonly callsWaiting: number;
};

export type ClientsEvent =
  | { readonly event: 'client-connected'; readonly client: ConnectedClient }
  | { readonly event: 'client-disconnected'; readonly client: ConnectedClient; readonly reason: string }
  /** Somebody could not prove to be a client. `application` as claimed, if it came so far. */
  | {
      readonly event: 'client-refused';
      readonly remoteAddress: string;
      readonly application: string | null;
      readonly error: ErrorReport;
    };

export type DialledClientsOptions = {
  /** The center's private key (Ed25519); what clients have as --trust is its public half. */
  readonly key: KeyObject;
  /**
   * PEM of the keys that are registered for the mirrors of an application; empty for an unknown one. Asked again every
   * minute for those who are there: whose key is gone has to go.
   */
  readonly publicKeysOf: (application: string) => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly onEvent?: ((event: ClientsEvent) => void) | undefined;
};

/** The clients that have dialled in to this center. */
export interface DialledClients extends AsyncDisposable {
  /** For the `upgrade` event of a node http or https server. Answers 404 for other paths than {@link CLIENTS_PATH}. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /**
   * Reaches whoever proved to hold the key (PEM) for the application; the oldest connection if there are several.
   * `send` throws `CLIENT_NOT_CONNECTED` while nobody is there.
   */
  exchange(application: string, publicKey: string): Exchange;
  isConnected(application: string, publicKey: string): boolean;
  /** Oldest first. */
  connected(): readonly ConnectedClient[];
}

/** A connection whose client has proved itself. */
type Connection = {
  readonly channel: Channel;
  readonly calls: CallsOut;
  readonly proof: Proof;
  readonly keyId: string;
  readonly remoteAddress: string;
  readonly since: string;
};

export function createDialledClients(options: DialledClientsOptions): DialledClients {
  return new Reception(options);
}

class Reception implements DialledClients {
  readonly #options: DialledClientsOptions;
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: FRAME_BYTES_MAX,
  });
  readonly #channels = new Set<Channel>();
  /** By application and key, oldest first. */
  readonly #connections = new Map<string, readonly Connection[]>();
  readonly #ended = new AbortController();
  #unproved = 0;

  constructor(options: DialledClientsOptions) {
    this.#options = options;
    const admitted = () => this.#all().map((one) => ({ ...one, application: one.proof.application }));
    void closeRemovedKeys({ ...options, admitted, signal: this.#ended.signal });
  }

  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const clientNonce = request.headers[NONCE_HEADER];
    const status = this.#refusalOf(request);
    if (status !== null || !isNonce(clientNonce)) {
      refuseUpgrade(socket, status ?? '400 Bad Request');
      return;
    }
    const remoteAddress = request.socket.remoteAddress ?? 'unknown';
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      void this.#receive(webSocket, clientNonce, remoteAddress);
    });
  }

  #refusalOf({ url, headers }: IncomingMessage): string | null {
    if (url?.split('?', 1)[0] !== CLIENTS_PATH) return '404 Not Found';
    if (this.#ended.signal.aborted || this.#unproved >= UNPROVED_MAX) return '503 Service Unavailable';
    const protocols = headers['sec-websocket-protocol']?.split(/, */) ?? [];
    return protocols.includes(SUBPROTOCOL) ? null : '400 Bad Request';
  }

  async #receive(webSocket: WebSocket, clientNonce: string, remoteAddress: string): Promise<void> {
    const channel = new Channel(webSocket, this.#options.clock, { fair: true, onRefused: () => NOT_TRUSTED });
    this.#channels.add(channel);
    this.#unproved++;
    void channel.closed.then(() => this.#channels.delete(channel));
    const claim: Claim = { application: null };
    try {
      this.#admit(await this.#prove(channel, clientNonce, claim), channel, remoteAddress);
    } catch (error) {
      this.#refuse(channel, { remoteAddress, claim, error });
    } finally {
      this.#unproved--;
    }
  }

  /** The handshake. What is learned of the client on the way stands in `claim`. */
  async #prove(channel: Channel, clientNonce: string, claim: Claim): Promise<Proved> {
    const { key, clock, publicKeysOf } = this.#options;
    const nonces = { nonce: newNonce(), clientNonce };
    using deadline = withDeadline(clock);
    channel.sendFirst(encodeFrame({ kind: 'hello', json: await signHello(key, nonces, clock) }));
    const signed = readSigned((await channel.next('proof', deadline.signal)).json);
    const application = claimedApplication(signed);
    claim.application = application;
    const keys = (await publicKeysOf(application)).map((pem) => readPublicKey(pem));
    const proof = await verifyProof(signed, { ...nonces, application, keys }, clock);
    return { proof, keyId: signed.keyId, welcome: await signWelcome(key, nonces) };
  }

  /** From here on the connection carries calls. */
  #admit({ proof, keyId: id, welcome }: Proved, channel: Channel, remoteAddress: string): void {
    this.#refuseTooMany(placeOf(proof.application, id), proof);
    channel.sendFirst(encodeFrame({ kind: 'welcome', json: welcome }));
    const calls = new CallsOut(channel, proof.callBytesMax);
    const since = new Date(this.#options.clock.now()).toISOString();
    this.#take({ channel, calls, proof, keyId: id, remoteAddress, since });
  }

  #refuseTooMany(place: string, { instance }: Proof): void {
    const others = this.#at(place).filter((other) => other.proof.instance !== instance);
    if (others.length < CONNECTIONS_PER_KEY_MAX) return;
    throw new SpeilError('CONFLICT', `${others.length} clients with this key are connected already`, {
      hint: 'Clients that share a key stand by for each other; more than a few are a mistake.',
    });
  }

  #refuse(channel: Channel, refused: { remoteAddress: string; claim: Claim; error: unknown }): void {
    const error = errorReport(refused.error);
    const { remoteAddress, claim } = refused;
    const isRefusal = error.code === 'TRUST_REFUSED' || error.code === 'CONFLICT';
    const reason = isRefusal ? error.message : 'the center cannot take clients just now';
    if (error.code === 'CONTRACT_BROKEN') channel.close(CLOSE_CODES.protocol, error.message);
    else channel.close(isRefusal ? CLOSE_CODES.refused : CLOSE_CODES.later, reason);
    this.#tell({ event: 'client-refused', remoteAddress, application: claim.application, error });
  }

  #take(connection: Connection): void {
    const { proof, channel } = connection;
    const place = placeOf(proof.application, connection.keyId);
    const before = this.#at(place);
    for (const older of before) {
      if (older.proof.instance === proof.instance) older.channel.cut('the client connected again');
      else older.channel.probe();
    }
    this.#connections.set(place, [...before, connection]);
    this.#tell({ event: 'client-connected', client: described(connection) });
    void channel.closed.then(({ reason }) => this.#forget(place, connection, reason));
  }

  #forget(place: string, connection: Connection, reason: string): void {
    const left = this.#at(place).filter((other) => other !== connection);
    if (left.length === 0) this.#connections.delete(place);
    else this.#connections.set(place, left);
    this.#tell({ event: 'client-disconnected', client: described(connection), reason });
  }

  #at(place: string): readonly Connection[] {
    return this.#connections.get(place) ?? [];
  }

  #all(): readonly Connection[] {
    return [...this.#connections.values()].flat();
  }

  #tell(event: ClientsEvent): void {
    this.#options.onEvent?.(event);
  }

  /** The oldest that lives. One that was asked and has not answered yet is the last resort. */
  #pick(place: string): Connection | null {
    const there = this.#at(place).filter(({ calls }) => calls.takesCalls);
    return there.find(({ channel }) => !channel.isSilent) ?? there[0] ?? null;
  }

  exchange(application: string, publicKey: string): Exchange {
    const place = placeOf(application, keyId(readPublicKey(publicKey)));
    return {
      display: `the client of ${application} that dialled in`,
      send: async (request, signal) => {
        const connection = this.#pick(place);
        if (connection === null) throw notConnected(application);
        return await connection.calls.send(request, signal);
      },
    };
  }

  isConnected(application: string, publicKey: string): boolean {
    return this.#pick(placeOf(application, keyId(readPublicKey(publicKey)))) !== null;
  }

  connected(): readonly ConnectedClient[] {
    return this.#all()
      .map(described)
      .sort((a, b) => (a.since < b.since ? -1 : 1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    const channels = [...this.#channels];
    for (const channel of channels) channel.close(CLOSE_CODES.leaving, 'the center ends');
    await Promise.all(channels.map((channel) => channel.closed));
  }
}

const NOT_TRUSTED = 'Its --trust is not the center.pub of this center, or the clocks differ; its log says which.';

type Claim = { application: string | null };
type Proved = { readonly proof: Proof; readonly keyId: string; readonly welcome: Signed };

const placeOf = (application: string, id: string): string => `${id} ${application}`;

const described = ({ proof, calls, keyId: id, remoteAddress, since }: Connection): ConnectedClient => ({
  application: proof.application,
  keyId: id,
  version: proof.version,
  remoteAddress,
  since,
  callsOpen: calls.open,
  callsWaiting: calls.waiting,
});

const notConnected = (application: string): SpeilError =>
  new SpeilError('CLIENT_NOT_CONNECTED', `the client of ${application} has not dialled in`, {
    hint: `Start it where the mirror is: speil client connect --center <this center> --application ${application} …`,
    recovery: 'retry',
  });

function refuseUpgrade(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
}
