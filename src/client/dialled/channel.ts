import { WebSocket } from 'ws';
import type { Clock } from '../../core/clock.ts';
import { errorReport, SpeilError } from '../../core/error.ts';
import { decodeFrame, type Frame, type FrameKind, protocolError } from './frames.ts';
import { BUFFERED_BYTES_MAX, CLOSE_WAIT_MS, PING_INTERVAL_MS, PINGS_MISSED_MAX } from './limits.ts';

/** Why a connection is closed, as WebSocket's close codes. */
export const CLOSE_CODES = {
  /** This side ends, or the connection is no longer needed. */
  leaving: 1001,
  protocol: 1002,
  /** Cannot just now. */
  later: 1013,
  refused: 4401,
} as const;

/** How a connection ended. */
export type Closed = { readonly code: number; readonly reason: string };

/** What a closing frame can hold, less what cutting a character in two may add. */
const REASON_BYTES_MAX = 120;
/** Frames that one read from the socket can bring before the other side is held back. */
const INBOX_MAX = 1_000;

export type ChannelOptions = {
  /** Messages take turns, frame by frame. Otherwise each is sent whole before the next. */
  readonly fair: boolean;
  /** What to do when the other side refuses this one, from its reason. */
  readonly onRefused?: ((reason: string) => string) | undefined;
};

type Taker = (frame: Frame) => void;
type Message = Iterator<Uint8Array, void>;

/**
 * A WebSocket that carries frames. Whoever sends gives its messages frame by frame, and they are pulled only as fast as
 * the other side takes them. Finds out when the other side is gone, also without a word.
 */
export class Channel {
  /** Resolves once, when nothing can be sent or received any more. Never rejects. */
  readonly closed: Promise<Closed>;
  readonly #socket: WebSocket;
  readonly #ended = new AbortController();
  readonly #clock: Clock;
  readonly #isFair: boolean;
  readonly #onRefused: ChannelOptions['onRefused'];
  readonly #urgent: Uint8Array[] = [];
  readonly #messages: Message[] = [];
  #inbox: Frame[] = [];
  #taker: Taker | null = null;
  #pingsMissed = 0;
  #cause: string | null = null;

  constructor(socket: WebSocket, clock: Clock, { fair, onRefused }: ChannelOptions) {
    this.#socket = socket;
    this.#clock = clock;
    this.#isFair = fair;
    this.#onRefused = onRefused;
    const { promise, resolve } = Promise.withResolvers<Closed>();
    this.closed = promise;
    socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
    socket.on('ping', () => this.#isAlive());
    socket.on('pong', () => this.#isAlive());
    socket.on('error', (error) => {
      this.#cause ??= error.message;
    });
    socket.once('close', (code, reason) => {
      this.#ended.abort();
      resolve({ code, reason: reason.toString() || this.#cause || 'the connection was cut' });
    });
    void this.#watch();
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** The other side was asked whether it is there, and has not answered yet. */
  get isSilent(): boolean {
    return this.#pingsMissed > 0;
  }

  /** Asks the other side whether it is there. */
  probe(): void {
    if (!this.isOpen) return;
    this.#pingsMissed++;
    this.#socket.ping();
  }

  /** The next frame, before {@link serve} takes them all. Rejects when it is of another kind, or none comes. */
  async next(kind: FrameKind, signal: AbortSignal): Promise<Frame> {
    const frame = this.#inbox.shift() ?? (await this.#arrival(signal));
    if (frame.kind !== kind) throw protocolError(`${frame.kind} where ${kind} was due`);
    return frame;
  }

  #arrival(signal: AbortSignal): Promise<Frame> {
    const { promise, resolve, reject } = Promise.withResolvers<Frame>();
    const refuse = () => reject(signal.reason);
    if (signal.aborted) refuse();
    signal.addEventListener('abort', refuse, { once: true });
    void this.closed.then((closed) => reject(closedError(closed, this.#onRefused)));
    this.#taker = (frame) => {
      this.#taker = null;
      resolve(frame);
    };
    this.#socket.resume();
    return promise.finally(() => signal.removeEventListener('abort', refuse));
  }

  /** From now on each frame goes to `take`; what it throws ends the connection. */
  serve(take: Taker): void {
    this.#taker = take;
    const waiting = this.#inbox;
    this.#inbox = [];
    for (const frame of waiting) this.#hand(frame);
    if (this.isOpen) this.#socket.resume();
  }

  /** One frame that goes before all that waits. */
  sendFirst(frame: Uint8Array): void {
    this.#urgent.push(frame);
    this.#pump();
  }

  /** Frames that are made when their turn comes. */
  send(message: Message): void {
    this.#messages.push(message);
    this.#pump();
  }

  /** Says why, and waits a moment for the other side to have heard. */
  close(code: number, reason: string): void {
    this.#cause ??= reason;
    this.#socket.resume();
    this.#socket.close(code, shortened(reason));
    this.#clock.sleep(CLOSE_WAIT_MS, this.#ended.signal).then(
      () => this.#socket.terminate(),
      () => undefined,
    );
  }

  /** Without a word: for a connection whose other side is gone. */
  cut(reason: string): void {
    this.#cause ??= reason;
    this.#socket.terminate();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#isAlive();
    try {
      if (!isBinary) throw protocolError('a message of text');
      const frame = decodeFrame(data);
      if (this.#taker !== null) this.#hand(frame);
      else this.#keep(frame);
    } catch (error) {
      this.#breakOff(error);
    }
  }

  /** The other side is held back until somebody asks for its frames. */
  #keep(frame: Frame): void {
    if (this.#inbox.push(frame) > INBOX_MAX) throw protocolError('messages before they were due');
    this.#socket.pause();
  }

  #hand(frame: Frame): void {
    if (!this.isOpen) return;
    try {
      this.#taker?.(frame);
    } catch (error) {
      this.#breakOff(error);
    }
  }

  #breakOff(error: unknown): void {
    this.close(CLOSE_CODES.protocol, errorReport(error).message);
  }

  #isAlive(): void {
    this.#pingsMissed = 0;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await this.#clock.sleep(PING_INTERVAL_MS, signal).catch(() => undefined);
      if (signal.aborted) return;
      if (this.#pingsMissed >= PINGS_MISSED_MAX) this.cut(`no answer to ${this.#pingsMissed} pings`);
      else this.probe();
    }
  }

  #pump(): void {
    while (this.isOpen && this.#socket.bufferedAmount < BUFFERED_BYTES_MAX) {
      const frame = this.#urgent.shift() ?? this.#takeFrame();
      if (frame === null) return;
      this.#socket.send(frame, () => this.#pump());
    }
  }

  #takeFrame(): Uint8Array | null {
    for (;;) {
      const [message] = this.#messages;
      if (message === undefined) return null;
      const { done, value } = message.next();
      if (done) this.#messages.shift();
      else {
        if (this.#isFair) this.#messages.push(...this.#messages.splice(0, 1));
        return value;
      }
    }
  }
}

const shortened = (reason: string): string => {
  const bytes = Buffer.from(reason);
  return bytes.length <= REASON_BYTES_MAX
    ? reason
    : bytes.toString('utf8', 0, REASON_BYTES_MAX - 3).replace(/\uFFFD$/, '');
};

/** What calls and handshakes that were under way end with. */
export function closedError({ code, reason }: Closed, onRefused?: ChannelOptions['onRefused']): SpeilError {
  if (code === CLOSE_CODES.refused) {
    return new SpeilError('TRUST_REFUSED', `the other side refused this one: ${reason}`, {
      hint: onRefused?.(reason) ?? 'The other side’s log says more.',
      recovery: 'retry',
    });
  }
  return new SpeilError('CONNECTION_LOST', `the connection ended: ${reason}`, {
    hint: 'It is made again by itself, and the call is repeated.',
    recovery: 'retry',
  });
}
