import type { WebSocket } from 'ws';
import { SpeilError } from '../../core/error.ts';
import type { Access, SqlDatabase } from '../sql.ts';
import { type AnswerBudget, AnswerShare } from './answer-budget.ts';
import { fitting } from './answer-size.ts';
import { REQUESTS_OPEN_MAX, UNSENT_BYTES_MAX } from './limits.ts';
import type { Answer, ClientMessage, Codec, ConnectionRequest, ServerMessage } from './messages.ts';
import { OpenStreams } from './open-streams.ts';
import { asStatementError } from './protocol-error.ts';

/** What a token allows, and whose it is. */
export type Authorized = { readonly access: Access; readonly identity: string };

export type ConnectionContext = {
  readonly database: SqlDatabase;
  /** Null: the token is not good for the database. A client that has none is asked about with null. */
  readonly authorize: (token: string | null) => Authorized | null;
};

/** What connections share. */
export type ConnectionParts = {
  readonly answers: AnswerBudget;
  readonly onDefect: (error: unknown) => void;
};

/** Why a connection is closed, as RFC 6455 numbers it. */
const CLOSE_CODES = { leaving: 1001, wrongFrame: 1003, malformed: 1007, refused: 1008 } as const;

/** A close frame holds no more. */
const REASON_BYTES_MAX = 123;

/** Beats without a sign of life from a client that has everything it was sent. */
const SILENT_BEATS_MAX = 3;
/** And from one that has not: a large answer over a slow line takes its time, and pongs wait behind it. */
const STALLED_BEATS_MAX = 30;

/**
 * Hrana over one WebSocket. A client says hello first; then its requests are begun as they arrive and answered as they
 * are done. While too many of them are open, or too many answers unread, nothing more is read.
 */
export class Connection {
  /** Resolves when the socket is closed and all that it had open has ended. */
  readonly closed: Promise<void>;
  readonly #socket: WebSocket;
  readonly #codec: Codec;
  readonly #context: ConnectionContext;
  readonly #answers: AnswerBudget;
  readonly #onDefect: (error: unknown) => void;
  readonly #streams: OpenStreams;
  readonly #gone = new AbortController();
  #authorized: Authorized | null = null;
  #isEnding = false;
  #requestsOpen = 0;
  #unsentBytes = 0;
  /** Wakes those who wait for room. */
  #room: PromiseWithResolvers<void> | null = null;
  #beats = 0;
  /** Since the last sign of life. */
  #silentBeats = 0;

  constructor(socket: WebSocket, codec: Codec, context: ConnectionContext, { answers, onDefect }: ConnectionParts) {
    this.#socket = socket;
    this.#codec = codec;
    this.#context = context;
    this.#answers = answers;
    this.#onDefect = onDefect;
    this.#streams = new OpenStreams({
      database: context.database,
      signal: this.#gone.signal,
      room: () => this.#whenRoom(),
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise.then(() => this.#streams.close());
    socket.on('close', () => {
      this.#gone.abort(CLIENT_GONE);
      this.#room?.resolve();
      resolve();
    });
    socket.on('error', () => socket.terminate());
    socket.on('pong', () => this.#hear());
    socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
  }

  /** The client has said who it is. */
  get isGreeted(): boolean {
    return this.#authorized !== null;
  }

  get openStreams(): number {
    return this.#streams.count;
  }

  /** From time to time: asks for a sign of life, and cuts off a client that gives none, or says no hello. */
  beat(): void {
    this.#beats++;
    this.#silentBeats++;
    const isStalled = this.#unsentBytes > 0;
    const isOurs = this.#socket.isPaused && !isStalled;
    if (!isOurs && this.#silentBeats > (isStalled ? STALLED_BEATS_MAX : SILENT_BEATS_MAX)) this.#socket.terminate();
    else if (!this.isGreeted && this.#beats > 1) this.#close(CLOSE_CODES.refused, 'no hello came');
    else if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
  }

  #hear(): void {
    this.#silentBeats = 0;
  }

  /** Says goodbye; what is running is cancelled when the client has answered that. */
  leave(): void {
    this.#close(CLOSE_CODES.leaving, 'the server is stopping');
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#isEnding) return;
    this.#hear();
    if (isBinary !== this.#codec.isBinary) {
      this.#close(CLOSE_CODES.wrongFrame, isBinary ? 'JSON comes in text frames' : 'protobuf comes in binary frames');
      return;
    }
    const message = this.#read(data);
    if (message?.kind === 'hello') this.#greet(message.jwt);
    else if (message?.kind === 'request') this.#request(message.requestId, message.request);
  }

  #read(data: Buffer): ClientMessage | null {
    try {
      return this.#codec.readClientMessage(data);
    } catch (error) {
      this.#close(CLOSE_CODES.malformed, asStatementError(error).message);
      return null;
    }
  }

  #greet(token: string | null): void {
    const authorized = this.#authorize(token);
    if (authorized === null) {
      this.#send({ kind: 'hello_error', error: asStatementError(NOT_AUTHORIZED) });
      this.#close(CLOSE_CODES.refused, NOT_AUTHORIZED.message);
      return;
    }
    this.#authorized = authorized;
    this.#send({ kind: 'hello_ok' });
  }

  #authorize(token: string | null): Authorized | null {
    try {
      return this.#context.authorize(token);
    } catch (error) {
      this.#onDefect(error);
      return null;
    }
  }

  #request(requestId: number, request: ConnectionRequest): void {
    if (this.#authorized === null) {
      this.#close(CLOSE_CODES.refused, 'a request came before hello');
      return;
    }
    this.#requestsOpen++;
    void this.#answer(requestId, this.#begin(request, this.#authorized.access));
    this.#regulate();
  }

  #begin(request: ConnectionRequest, access: Access): Promise<Answer> {
    try {
      return this.#streams.handle(request, access);
    } catch (error) {
      if (error instanceof SpeilError && error.code === 'PROTOCOL_BROKEN')
        this.#close(CLOSE_CODES.refused, asStatementError(error).message);
      return Promise.reject(error);
    }
  }

  async #answer(requestId: number, pending: Promise<Answer>): Promise<void> {
    const answer = await pending.catch((error: unknown) => this.#failure(error));
    this.#requestsOpen--;
    this.#sendAnswer(requestId, answer, new AnswerShare(this.#answers));
    this.#regulate();
  }

  #sendAnswer(requestId: number, answer: Answer, share: AnswerShare): void {
    try {
      this.#send({ kind: 'answer', requestId, answer: share.fit(answer) }, share);
    } catch (error) {
      this.#send({ kind: 'answer', requestId, answer: this.#failure(error) }, share);
    }
  }

  #failure(error: unknown): Answer {
    if (!(error instanceof SpeilError)) this.#onDefect(error);
    return { kind: 'error', error: asStatementError(error) };
  }

  #send(message: ServerMessage, share: Disposable | null = null): void {
    if (this.#socket.readyState !== this.#socket.OPEN) {
      share?.[Symbol.dispose]();
      return;
    }
    const encoded = fitting(() => this.#codec.writeServerMessage(message));
    const bytes = typeof encoded === 'string' ? Buffer.from(encoded) : encoded;
    this.#unsentBytes += bytes.byteLength;
    this.#socket.send(bytes, { binary: this.#codec.isBinary }, () => {
      share?.[Symbol.dispose]();
      this.#sent(bytes.byteLength);
    });
  }

  #sent(bytes: number): void {
    this.#unsentBytes -= bytes;
    this.#hear();
    this.#regulate();
  }

  #regulate(): void {
    const isFull = this.#unsentBytes > UNSENT_BYTES_MAX;
    if (!isFull) {
      this.#room?.resolve();
      this.#room = null;
    }
    const isTooMuch = isFull || this.#requestsOpen >= REQUESTS_OPEN_MAX;
    if (isTooMuch === this.#socket.isPaused || this.#isEnding) return;
    if (isTooMuch) this.#socket.pause();
    else this.#socket.resume();
  }

  async #whenRoom(): Promise<void> {
    while (this.#unsentBytes > UNSENT_BYTES_MAX && !this.#gone.signal.aborted) {
      this.#room ??= Promise.withResolvers<void>();
      await this.#room.promise;
    }
    this.#gone.signal.throwIfAborted();
  }

  #close(code: number, reason: string): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    if (this.#socket.isPaused) this.#socket.resume();
    this.#socket.close(code, cut(reason));
  }
}

/** As much of a text as a close frame holds. */
function cut(text: string): string {
  let end = Math.min(text.length, REASON_BYTES_MAX);
  while (Buffer.byteLength(text.slice(0, end)) > REASON_BYTES_MAX) end--;
  return text.slice(0, end);
}

const CLIENT_GONE = new SpeilError('STREAM_CLOSED', 'the client has gone away');
const NOT_AUTHORIZED = new SpeilError('AUTHENTICATION_REFUSED', 'the token is not good for this database', {
  hint: 'Give the client a token that the server knows for it.',
});
