import type { Clock, Random } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import type { SqlStream } from '../sql.ts';
import { type BatonSecret, readBaton, writeBaton } from './baton.ts';
import { StoredTexts } from './stored-texts.ts';

/** A stream of a client over HTTP, from its opening to its end. */
export class HttpStream {
  readonly sql: SqlStream;
  readonly texts = new StoredTexts();
  /** Null until a baton is made: most streams end with the request that opened them. */
  id: string | null = null;
  /** The baton that is good next. */
  turn = 0;
  /** Requests that are using it: no more than one, or a cursor that is still being read and one that waits for its end. */
  users = 1;
  /** When it ends unless somebody uses it; on the monotonic clock. */
  expiresAtMs = 0;

  constructor(sql: SqlStream) {
    this.sql = sql;
  }
}

export type KeptStreamsOptions = {
  readonly clock: Clock;
  readonly random: Random;
  readonly secret: BatonSecret;
  readonly idleMs: number;
};

/**
 * The streams that wait for their client's next request. A baton is good for one request, of the holder that it was made
 * for; a stream that nobody asks for is closed, and its transaction with it.
 */
export class KeptStreams {
  readonly #options: KeptStreamsOptions;
  readonly #streams = new Map<string, HttpStream>();
  /** Those that nobody uses, the one that expires first in front: all have the same time. */
  readonly #idle = new Set<HttpStream>();
  readonly #ended = new AbortController();
  #isSweeping = false;

  constructor(options: KeptStreamsOptions) {
    this.#options = options;
  }

  /** How many are open. */
  get count(): number {
    return this.#streams.size;
  }

  /** The stream of a baton, which is spent by it. Throws `BATON_REFUSED` and `STREAM_EXPIRED`. */
  take(text: string, holder: string): HttpStream {
    const baton = readBaton(this.#options.secret, holder, text);
    if (baton === null) throw refused('it was not made by this server for this token and database');
    const stream = this.#streams.get(baton.streamId);
    if (stream === undefined) throw expired(this.#options.idleMs);
    if (stream.turn !== baton.turn) throw refused('it was used before');
    stream.turn++;
    stream.users++;
    this.#idle.delete(stream);
    return stream;
  }

  /** The baton for the next request. */
  batonOf(stream: HttpStream, holder: string): string {
    stream.id ??= this.#options.random.uuid();
    this.#streams.set(stream.id, stream);
    return writeBaton(this.#options.secret, holder, { streamId: stream.id, turn: stream.turn });
  }

  /** A request is done with it. */
  release(stream: HttpStream): void {
    stream.users--;
    if (stream.users > 0 || stream.id === null || !this.#streams.has(stream.id)) return;
    stream.expiresAtMs = this.#options.clock.monotonicMs() + this.#options.idleMs;
    this.#idle.add(stream);
    if (!this.#isSweeping) void this.#sweep();
  }

  /** It has ended. */
  forget(stream: HttpStream): void {
    if (stream.id !== null) this.#streams.delete(stream.id);
    this.#idle.delete(stream);
  }

  async end(stream: HttpStream): Promise<void> {
    this.forget(stream);
    await stream.sql[Symbol.asyncDispose]();
  }

  async #sweep(): Promise<void> {
    this.#isSweeping = true;
    const { clock } = this.#options;
    const first = () => this.#idle.values().next().value;
    for (let stream = first(); stream !== undefined && !this.#ended.signal.aborted; stream = first()) {
      const leftMs = stream.expiresAtMs - clock.monotonicMs();
      if (leftMs <= 0) void this.end(stream).catch(() => {});
      else await clock.sleep(Math.ceil(leftMs), this.#ended.signal).catch(() => {});
    }
    this.#isSweeping = false;
  }

  async close(): Promise<void> {
    this.#ended.abort();
    await Promise.allSettled([...this.#streams.values()].map((stream) => this.end(stream)));
  }
}

const refused = (why: string): SpeilError =>
  new SpeilError('BATON_REFUSED', `the baton is not accepted: ${why}`, {
    hint: 'Use the baton of the latest answer, once, with the same token.',
  });

const expired = (idleMs: number): SpeilError =>
  new SpeilError('STREAM_EXPIRED', `the stream has ended: nobody asked for it for ${idleMs / 1000} s`, {
    hint: 'What was not committed is rolled back: begin the transaction again.',
    recovery: 'retry',
  });
