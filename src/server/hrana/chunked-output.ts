import type { ServerResponse } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import { CURSOR_CHUNK_BYTES, STALLED_MS } from './limits.ts';
import type { Encoded } from './messages.ts';

/** Many small pieces of a response, sent together: when they are enough, or nothing follows at once. */
export class ChunkedOutput {
  readonly #response: ServerResponse;
  readonly #clock: Clock;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #hasRoom = true;
  #flushing: NodeJS.Immediate | null = null;

  constructor(response: ServerResponse, clock: Clock) {
    this.#response = response;
    this.#clock = clock;
  }

  /** When it answers a promise, nothing may be pushed before that resolves; it may be destroyed by then. */
  push(piece: Encoded): Promise<void> | null {
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece;
    this.#pieces.push(bytes);
    this.#bytes += bytes.byteLength;
    if (this.#bytes >= CURSOR_CHUNK_BYTES) this.#flush();
    else this.#flushing ??= setImmediate(() => this.#flush());
    return this.#hasRoom ? null : this.#drained();
  }

  end(): void {
    this.#flush();
    this.#response.end();
  }

  #flush(): void {
    if (this.#flushing !== null) clearImmediate(this.#flushing);
    this.#flushing = null;
    if (this.#bytes === 0 || this.#response.destroyed) return;
    this.#hasRoom = this.#response.write(Buffer.concat(this.#pieces, this.#bytes));
    this.#pieces = [];
    this.#bytes = 0;
  }

  /** A reader that takes nothing for long is cut off. */
  async #drained(): Promise<void> {
    if (this.#response.destroyed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const moved = new AbortController();
    this.#response.once('drain', resolve).once('close', resolve);
    const stalled = this.#clock.sleep(STALLED_MS, moved.signal).then(
      () => this.#response.destroy(),
      () => {},
    );
    await Promise.race([promise, stalled]);
    moved.abort();
    this.#response.off('drain', resolve).off('close', resolve);
    this.#hasRoom = true;
  }
}
