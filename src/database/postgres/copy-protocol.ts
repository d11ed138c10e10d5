import type { Duplex } from 'node:stream';
import type pg from 'pg';

/** First bytes of the messages that matter here; all others are skipped over or left to `pg`. */
const COPY_DATA = 0x64;
const COPY_DONE = 0x63;
const ERROR = 0x45;
/** A message's first byte and its length, which counts itself. */
const HEADER_BYTES = 5;
const LENGTH_BYTES = 4;
/** A piece of rows begins with this much room, which is plenty for a round that finds a few changes. */
const PIECE_BYTES_MIN = 16 * 1024;
/** It grows to about this and is handed on: as large as a usual batch, so that few have to be joined. */
const PIECE_BYTES_MAX = 1024 * 1024;
/** Pieces that wait for whoever reads them; then the server is made to wait. */
const PIECES_WAITING_MAX = 2;

const EMPTY = Buffer.alloc(0);

type Connection = pg.Connection;
type Listener = (bytes: Buffer) => void;
type CommandComplete = { readonly text?: string };

/**
 * `COPY … FROM STDIN` of bytes that are there: statement, rows and end go out at once, in one round trip. A server that
 * refuses the statement throws the rest away, as the protocol says.
 */
export class CopyIn {
  readonly #sql: string;
  readonly #bytes: Uint8Array;
  readonly #done = Promise.withResolvers<number>();
  #rows = 0;

  constructor(sql: string, bytes: Uint8Array) {
    this.#sql = sql;
    this.#bytes = bytes;
  }

  /** The number of rows, once the server has them all. */
  get done(): Promise<number> {
    return this.#done.promise;
  }

  submit(connection: Connection): void {
    const { stream } = connection;
    stream.cork();
    connection.query(this.#sql);
    stream.write(header(COPY_DATA, this.#bytes.length));
    stream.write(this.#bytes);
    stream.write(header(COPY_DONE, 0));
    stream.uncork();
  }

  handleCopyInResponse(): void {}

  handleCommandComplete({ text }: CommandComplete): void {
    this.#rows = Number(/^COPY (\d+)/.exec(text ?? '')?.[1] ?? 0);
  }

  handleError(error: Error): void {
    this.#done.reject(error);
  }

  handleReadyForQuery(): void {
    this.#done.resolve(this.#rows);
  }
}

function header(code: number, contentBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES);
  bytes.writeUInt8(code, 0);
  bytes.writeUInt32BE(contentBytes + LENGTH_BYTES, 1);
  return bytes;
}

/**
 * `COPY … TO STDOUT`. The server sends each row as a message of its own; to make an object of each, as `pg` does, would
 * cost more than all the rest. So `pg` steps aside while rows arrive, and their bytes are gathered into pieces.
 */
export class CopyOut {
  readonly #sql: string;
  readonly #waiting: Buffer[] = [];
  readonly #gatherer = new PieceGatherer((piece) => this.#waiting.push(piece));
  #stream: Duplex | null = null;
  #listenerOfPg: Listener | null = null;
  #isOver = false;
  #error: Error | null = null;
  #wake = (): void => {};

  constructor(sql: string) {
    this.#sql = sql;
  }

  /** False as long as the session is of no use for anything else. */
  get isOver(): boolean {
    return this.#isOver;
  }

  submit(connection: Connection): void {
    const { stream } = connection;
    const [listener] = stream.listeners('data') as Listener[];
    if (listener === undefined) throw new Error('the session has no reader');
    this.#stream = stream;
    this.#listenerOfPg = listener;
    stream.off('data', listener);
    stream.on('data', this.#onBytes);
    connection.query(this.#sql);
  }

  readonly #onBytes = (bytes: Buffer): void => {
    const rest = this.#gatherer.read(bytes);
    if (rest !== null) {
      this.#stepBack(rest);
      return;
    }
    if (this.#waiting.length >= PIECES_WAITING_MAX) this.#stream?.pause();
    if (this.#waiting.length > 0) this.#wake();
  };

  /** The rows are over, or an error came: what follows is for `pg` again. */
  #stepBack(rest: Buffer): void {
    if (this.#listenerOfPg === null) return;
    this.#stream?.off('data', this.#onBytes);
    this.#stream?.on('data', this.#listenerOfPg);
    this.#listenerOfPg(rest);
  }

  handleCopyData(): void {}

  handleCommandComplete(): void {}

  handleError(error: Error): void {
    this.#error = error;
    this.#end();
  }

  handleReadyForQuery(): void {
    this.#end();
  }

  #end(): void {
    this.#isOver = true;
    this.#wake();
  }

  /** The rows' bytes, not cut at row ends. */
  async *pieces(): AsyncGenerator<Buffer> {
    for (;;) {
      const piece = this.#waiting.shift();
      if (piece !== undefined) yield piece;
      else if (this.#error !== null) throw this.#error;
      else if (this.#isOver) return;
      else await this.#more();
    }
  }

  async #more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    this.#stream?.resume();
    await promise;
  }
}

/** Takes messages apart, however they are cut into packets, and gathers the rows of COPY. */
class PieceGatherer {
  readonly #take: (piece: Buffer) => void;
  /** The beginning of a header that came in two packets. */
  #header: Buffer = EMPTY;
  /** Bytes of the present message that are still to come, and whether they are a row's. */
  #left = 0;
  #isRow = false;
  #piece: Buffer = EMPTY;
  #size = 0;

  constructor(take: (piece: Buffer) => void) {
    this.#take = take;
  }

  /** Null when all bytes were used; else those that begin with the message that ends the rows. */
  read(packet: Buffer): Buffer | null {
    const bytes = this.#header.length === 0 ? packet : Buffer.concat([this.#header, packet]);
    this.#header = EMPTY;
    let at = this.#content(bytes, 0);
    while (at + HEADER_BYTES <= bytes.length) {
      const code = bytes[at];
      if (code === COPY_DONE || code === ERROR) {
        this.#hand();
        return bytes.subarray(at);
      }
      this.#isRow = code === COPY_DATA;
      this.#left = bytes.readUInt32BE(at + 1) - LENGTH_BYTES;
      at = this.#content(bytes, at + HEADER_BYTES);
    }
    if (at < bytes.length) this.#header = bytes.subarray(at);
    return null;
  }

  /** Takes as much of the present message as is there; answers where it ends. */
  #content(bytes: Buffer, from: number): number {
    const to = Math.min(from + this.#left, bytes.length);
    this.#left -= to - from;
    if (this.#isRow && to > from) this.#append(bytes, from, to);
    return to;
  }

  #append(bytes: Buffer, from: number, to: number): void {
    if (this.#size + to - from > this.#piece.length) this.#makeRoom(to - from);
    bytes.copy(this.#piece, this.#size, from, to);
    this.#size += to - from;
  }

  /** The piece doubles until it is as large as it may be; then it is handed on. Only a longer row makes it larger. */
  #makeRoom(bytes: number): void {
    if (this.#size > 0 && this.#size + bytes > PIECE_BYTES_MAX) this.#hand();
    const size = Math.max(this.#size + bytes, Math.min(2 * this.#piece.length, PIECE_BYTES_MAX), PIECE_BYTES_MIN);
    const larger = Buffer.allocUnsafe(size);
    this.#piece.copy(larger, 0, 0, this.#size);
    this.#piece = larger;
  }

  #hand(): void {
    if (this.#size > 0) this.#take(this.#piece.subarray(0, this.#size));
    this.#piece = EMPTY;
    this.#size = 0;
  }
}
