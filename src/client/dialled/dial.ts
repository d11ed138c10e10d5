import type { KeyObject } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import type { Clock, Random } from '../../core/clock.ts';
import { type ErrorReport, errorReport, SpeilError } from '../../core/error.ts';
import type { CallHandler } from '../exchange.ts';
import { SERVICE_HEADER } from '../http/paths.ts';
import { type CenterAddress, NONCE_HEADER, readCenterAddress, SUBPROTOCOL } from './address.ts';
import { CallsIn } from './calls-in.ts';
import { Channel, CLOSE_CODES, closedError } from './channel.ts';
import { withDeadline } from './deadline.ts';
import { dialSocket } from './dial-socket.ts';
import { encodeFrame } from './frames.ts';
import { newNonce, readSigned, signProof, verifyHello, verifyWelcome } from './handshake.ts';
import {
  CALL_BYTES_MAX_DEFAULT,
  FRAME_BYTES_MAX,
  LEAVE_WAIT_MS,
  REDIAL_DELAY_MS_MAX,
  REDIAL_DELAY_MS_MIN,
  REFUSED_DELAY_MS,
  STABLE_MS,
} from './limits.ts';
import { type ProxySettings, proxyFor } from './proxy.ts';

/** What becomes of the connection. */
export type DialEvent =
  | { readonly event: 'connecting'; readonly center: string; readonly attempt: number }
  /** The center proved itself and took the client's proof. `keyId` is the center's. */
  | { readonly event: 'connected'; readonly center: string; readonly keyId: string }
  /** There was no connection, or it is lost; the next attempt follows in `retryInMs`. */
  | { readonly event: 'disconnected'; readonly center: string; readonly error: ErrorReport; readonly retryInMs: number }
  /** One side does not trust the other, or a proxy wants a login. Tried again, slowly. */
  | { readonly event: 'refused'; readonly center: string; readonly error: ErrorReport; readonly retryInMs: number };

export type DialOptions = {
  /** `https://host[:port]` or `wss:`; `http:` and `ws:` on loopback only, unless `insecure`. */
  readonly centerUrl: string;
  readonly application: string;
  /** The application's private key. */
  readonly key: KeyObject;
  /** The public keys of centers that may call. */
  readonly trusted: readonly KeyObject[];
  readonly handler: CallHandler;
  readonly clock: Clock;
  readonly random: Random;
  /** Ends it: calls that run are answered, within ten seconds, then the connection is closed. */
  readonly signal: AbortSignal;
  readonly onEvent?: ((event: DialEvent) => void) | undefined;
  /** PEM; trusted beside the authorities that come with the platform. */
  readonly ca?: string | undefined;
  /** The client's build, told to the center. */
  readonly version: string;
  /** Larger bodies are not sent by the center; 128 MB. */
  readonly callBytesMax?: number | undefined;
  readonly proxy?: ProxySettings | undefined;
  readonly insecure?: boolean | undefined;
};

/**
 * Connects to a center and serves the calls that come through the connection, until the signal is aborted; then the
 * promise resolves. Connects again whenever the connection is lost, for ever. Throws `USAGE` for an address or a proxy
 * that cannot be dialled, and nothing else.
 */
export async function dialCenter(options: DialOptions): Promise<void> {
  const { clock, random, signal, onEvent = () => undefined } = options;
  const dialled = prepare(options);
  const center = dialled.address.display;
  for (let attempt = 1; !signal.aborted; attempt++) {
    onEvent({ event: 'connecting', center, attempt });
    const end = await connectOnce(dialled).catch((error: unknown): End => ({ livedMs: 0, error }));
    if (signal.aborted) return;
    if (end.livedMs >= STABLE_MS) attempt = 0;
    const event = isRefusal(end.error) ? 'refused' : 'disconnected';
    const retryInMs = event === 'refused' ? refusedDelayMs(random.unit()) : redialDelayMs(attempt, random.unit());
    onEvent({ event, center, error: errorReport(end.error), retryInMs });
    await clock.sleep(retryInMs, signal).catch(() => undefined);
  }
}

/** The reason begins with what the center did not trust. */
const refusedHint =
  ({ application }: DialOptions) =>
  (reason: string): string => {
    if (reason.startsWith('time:')) return 'Set both clocks by NTP: both sides prove themselves with the time.';
    if (!/^(?:signature|key):/.test(reason)) return 'The center’s log says more.';
    const mirror = `speil center mirror add <tenant> --application ${application} --public-key app.pub --dialled`;
    return `Has the center this application’s name and public key? There: ${mirror}`;
  };

type Dialled = DialOptions & {
  readonly address: CenterAddress;
  readonly proxyUrl: URL | null;
  /** Of this process, as long as it dials. */
  readonly instance: string;
  readonly callBytesMax: number;
};

function prepare(options: DialOptions): Dialled {
  const address = readCenterAddress(options.centerUrl, options.insecure ?? false);
  const proxyUrl = proxyFor(address.host, address.port, options.proxy);
  const { callBytesMax = CALL_BYTES_MAX_DEFAULT } = options;
  return { ...options, address, proxyUrl, instance: newNonce(), callBytesMax };
}

/** After a connection that lasted: at once. Then from half a second to half a minute, shortened by up to half by chance. */
export const redialDelayMs = (attempt: number, chance: number): number =>
  attempt === 0 ? 0 : Math.min(REDIAL_DELAY_MS_MIN * 2 ** (attempt - 1), REDIAL_DELAY_MS_MAX) * (1 - chance / 2);

const refusedDelayMs = (chance: number): number => REFUSED_DELAY_MS * (1 - chance / 2);

const REFUSALS: readonly string[] = ['TRUST_REFUSED', 'FORBIDDEN'];

const isRefusal = (error: unknown): boolean => error instanceof SpeilError && REFUSALS.includes(error.code);

/** How long a connection lived once it was welcomed, and what ended it. */
type End = { readonly livedMs: number; readonly error: unknown };

async function connectOnce(options: Dialled): Promise<End> {
  const clientNonce = newNonce();
  const channel = await openChannel(options, clientNonce);
  try {
    const centerKeyId = await prove(channel, options, clientNonce);
    return await serve(channel, options, centerKeyId);
  } catch (error) {
    const isRefused = error instanceof SpeilError && error.code === 'TRUST_REFUSED';
    channel.close(isRefused ? CLOSE_CODES.refused : CLOSE_CODES.leaving, 'the client does not go on');
    throw error;
  }
}

async function openChannel(options: Dialled, clientNonce: string): Promise<Channel> {
  const { address, clock, signal, ca, proxyUrl } = options;
  using deadline = withDeadline(clock, signal);
  const socket = await dialSocket({ ...address, ca, proxy: proxyUrl }, deadline.signal);
  const webSocket = new WebSocket(address.url, [SUBPROTOCOL], {
    createConnection: () => socket,
    headers: { [NONCE_HEADER]: clientNonce },
    perMessageDeflate: false,
    maxPayload: FRAME_BYTES_MAX,
  });
  const channel = new Channel(webSocket, clock, { fair: false, onRefused: refusedHint(options) });
  await upgraded(webSocket, address, deadline.signal);
  return channel;
}

function upgraded(webSocket: WebSocket, { display }: CenterAddress, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const giveUp = () => reject(signal.reason);
  signal.addEventListener('abort', giveUp, { once: true });
  webSocket.once('open', resolve);
  webSocket.once('error', (cause) => reject(noCenter(display, cause.message)));
  webSocket.once('unexpected-response', (_request, response) => reject(notUpgraded(display, response)));
  return promise
    .catch((error: unknown) => {
      webSocket.terminate();
      throw error;
    })
    .finally(() => signal.removeEventListener('abort', giveUp));
}

/** The handshake. Answers the id of the center's key. */
async function prove(channel: Channel, options: Dialled, clientNonce: string): Promise<string> {
  const { trusted, clock, key, application, version, instance, callBytesMax } = options;
  using deadline = withDeadline(clock, options.signal);
  const hello = readSigned((await channel.next('hello', deadline.signal)).json);
  const { nonce, keyId } = await verifyHello(hello, { trusted, clientNonce }, clock);
  const proof = { application, nonce, clientNonce, version, instance, callBytesMax };
  channel.sendFirst(encodeFrame({ kind: 'proof', json: await signProof(key, proof, clock) }));
  const welcome = readSigned((await channel.next('welcome', deadline.signal)).json);
  await verifyWelcome(welcome, trusted, { nonce, clientNonce });
  return keyId;
}

async function serve(channel: Channel, options: Dialled, keyId: string): Promise<End> {
  const { clock, signal, handler, callBytesMax, onEvent } = options;
  const calls = new CallsIn(channel, handler, callBytesMax);
  const startedMs = clock.monotonicMs();
  onEvent?.({ event: 'connected', center: options.address.display, keyId });
  const leave = () => void leaveWhenIdle(channel, calls, clock);
  if (signal.aborted) leave();
  signal.addEventListener('abort', leave, { once: true });
  const closed = await channel.closed;
  signal.removeEventListener('abort', leave);
  return { livedMs: clock.monotonicMs() - startedMs, error: closedError(closed, refusedHint(options)) };
}

async function leaveWhenIdle(channel: Channel, calls: CallsIn, clock: Clock): Promise<void> {
  calls.leave();
  const done = new AbortController();
  const late = clock.sleep(LEAVE_WAIT_MS, done.signal).catch(() => undefined);
  await Promise.race([calls.idle(), channel.closed, late]);
  done.abort();
  channel.close(CLOSE_CODES.leaving, 'the client ends');
}

function notUpgraded(center: string, { statusCode: status = 0, headers }: IncomingMessage): SpeilError {
  if (headers[SERVICE_HEADER] === 'mirror-client') return clientInstead(center);
  if (status === 401 || status === 403 || status === 407) {
    return new SpeilError('FORBIDDEN', `${center} does not let this client in: ${status}`, {
      hint: 'The center itself never asks for a login; something in front of it does.',
      recovery: 'retry',
    });
  }
  return noCenter(center, status === 404 ? 'no center answers there (404)' : `it answered ${status}`);
}

const clientInstead = (center: string): SpeilError =>
  new SpeilError('UNREACHABLE', `${center} is a mirror client of Speil, not an operation center`, {
    hint: '--center takes the address of the center: where `speil center serve` listens, by default at port 8500.',
    recovery: 'retry',
  });

const noCenter = (center: string, why: string): SpeilError =>
  new SpeilError('UNREACHABLE', `cannot connect to ${center}: ${why}`, {
    hint: 'Is this the address of the center, and does something in front of it let WebSockets through?',
    recovery: 'retry',
  });
