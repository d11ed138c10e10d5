import { SpeilError } from '../../core/error.ts';
import type { Access, BatchStep, SqlDatabase, SqlStream } from '../sql.ts';
import { OpenCursor } from './cursor.ts';
import { STREAMS_PER_CONNECTION_MAX } from './limits.ts';
import type { Answer, ConnectionRequest, SqlRequest } from './messages.ts';
import { carryOut, resolve, resolveSteps } from './operations.ts';
import { asStatementError, broken } from './protocol-error.ts';
import { StoredTexts } from './stored-texts.ts';

/** A stream of a connection. What is asked of it is done in that order. */
class OpenStream {
  readonly sql: SqlStream;
  cursor: OpenCursor | null = null;
  #isClosing = false;
  /** Asked for and not begun. */
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(sql: SqlStream) {
    this.sql = sql;
  }

  /** What has begun is the last that it has to do. */
  get isLast(): boolean {
    return this.#isClosing && this.#waiting === 0;
  }

  next<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const done = this.#last.then(() => {
      this.#waiting--;
      return work();
    });
    this.#last = done.catch(() => {});
    return done;
  }

  async end(): Promise<void> {
    this.#isClosing = true;
    await this.#last;
    await this.cursor?.close();
    await this.sql[Symbol.asyncDispose]();
  }
}

export type OpenStreamsOptions = {
  readonly database: SqlDatabase;
  /** Aborted when the connection is gone: what is running is cancelled. */
  readonly signal: AbortSignal;
  /** Answers are large, their reader may be slow: nothing is begun before there is room. */
  readonly room: () => Promise<void>;
};

/** What a client has open over a WebSocket connection: streams, cursors and SQL texts, each under an id of its choice. */
export class OpenStreams {
  readonly #options: OpenStreamsOptions;
  readonly #streams = new Map<number, OpenStream>();
  readonly #cursors = new Map<number, OpenStream>();
  readonly #texts = new StoredTexts();

  constructor(options: OpenStreamsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#streams.size;
  }

  /**
   * The answer to a request. Requests have to be handed in as they arrive: each begins before this returns. Throws
   * at once: `PROTOCOL_BROKEN` for an id that is in use, or a text that is not stored, with which the connection cannot
   * go on; and what opening a stream throws. Rejects when a stream does.
   */
  handle(request: ConnectionRequest, access: Access): Promise<Answer> {
    switch (request.kind) {
      case 'open_stream':
        return Promise.resolve(this.#open(request.streamId, access));
      case 'close_stream':
        return this.#close(request.streamId);
      case 'sql':
        return this.#sql(request.streamId, request.request);
      case 'open_cursor':
        return this.#openCursor(request.streamId, request.cursorId, resolveSteps(request.steps, this.#texts));
      case 'fetch_cursor':
        return this.#fetch(request.cursorId, request.countMax);
      case 'close_cursor':
        return this.#closeCursor(request.cursorId);
      default:
        return Promise.resolve(this.#texts.carryOut(request));
    }
  }

  #open(id: number, access: Access): Answer {
    if (this.#streams.has(id)) throw broken(`stream ${id} is open already`);
    if (this.#streams.size >= STREAMS_PER_CONNECTION_MAX) return { kind: 'error', error: asStatementError(tooMany()) };
    this.#streams.set(id, new OpenStream(this.#options.database.openStream(access)));
    return { kind: 'open_stream' };
  }

  /** One that could not be opened has to be closed, too: so every id is taken. */
  async #close(id: number): Promise<Answer> {
    const stream = this.#streams.get(id);
    this.#streams.delete(id);
    if (stream?.cursor) this.#cursors.delete(stream.cursor.id);
    await stream?.end();
    return { kind: 'close_stream' };
  }

  #sql(id: number, request: SqlRequest): Promise<Answer> {
    const operation = resolve(request, this.#texts);
    const { signal, room } = this.#options;
    const stream = this.#streams.get(id);
    if (stream === undefined) return refused(`stream ${id} is not open`);
    if (stream.cursor !== null) return refused(`stream ${id} has a cursor that is not closed`);
    return stream.next(async () => {
      await room();
      return carryOut(stream.sql, operation, { signal, last: stream.isLast });
    });
  }

  #openCursor(streamId: number, cursorId: number, steps: readonly BatchStep[]): Promise<Answer> {
    if (this.#cursors.has(cursorId)) throw broken(`cursor ${cursorId} is open already`);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return refused(`stream ${streamId} is not open`);
    if (stream.cursor !== null) throw broken(`stream ${streamId} has a cursor already`);
    const { signal } = this.#options;
    stream.cursor = new OpenCursor(cursorId, () => stream.sql.cursor(steps, { signal }));
    this.#cursors.set(cursorId, stream);
    return stream.next(async () => ({ kind: 'open_cursor' }));
  }

  #fetch(id: number, countMax: number): Promise<Answer> {
    const stream = this.#cursors.get(id);
    const cursor = stream?.cursor ?? null;
    if (stream === undefined || cursor === null) return refused(`cursor ${id} is not open`);
    return stream.next(async () => {
      await this.#options.room();
      return { kind: 'fetch_cursor', ...(await cursor.fetch(countMax)) };
    });
  }

  async #closeCursor(id: number): Promise<Answer> {
    const stream = this.#cursors.get(id);
    const cursor = stream?.cursor ?? null;
    this.#cursors.delete(id);
    if (stream !== undefined && cursor !== null) {
      stream.cursor = null;
      await stream.next(() => cursor.close());
    }
    return { kind: 'close_cursor' };
  }

  /** Ends all of them. What is running has to be cancelled by the signal. */
  async close(): Promise<void> {
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    this.#cursors.clear();
    await Promise.allSettled(streams.map((stream) => stream.end()));
  }
}

const refused = (why: string): Promise<Answer> =>
  Promise.resolve({ kind: 'error', error: asStatementError(new SpeilError('STREAM_CLOSED', why)) });

const tooMany = (): SpeilError =>
  new SpeilError('TOO_MANY_STREAMS', `the connection has ${STREAMS_PER_CONNECTION_MAX} streams open`, {
    hint: 'Close what is not needed.',
    recovery: 'retry',
  });
