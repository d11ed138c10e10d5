import { encodeFrame, type FrameKind, protocolError } from './frames.ts';
import { CHUNK_BYTES } from './limits.ts';

/** A body on its way: the first frame says what it is, each further one carries a piece. Ends early once not wanted. */
export function* framesOf(message: {
  readonly first: FrameKind;
  readonly further: FrameKind;
  readonly id: number;
  readonly json: unknown;
  readonly body: Uint8Array;
  readonly isWanted?: () => boolean;
}): Generator<Uint8Array, void> {
  const { first, further, id, json, body, isWanted = () => true } = message;
  yield encodeFrame({ kind: first, id, json, payload: body.subarray(0, CHUNK_BYTES) });
  for (let at = CHUNK_BYTES; at < body.length && isWanted(); at += CHUNK_BYTES) {
    yield encodeFrame({ kind: further, id, payload: body.subarray(at, at + CHUNK_BYTES) });
  }
}

/** A body as it comes in, piece by piece. Holds as many bytes as were announced, and no more. */
export class Assembly {
  readonly #body: Buffer;
  #filled = 0;

  constructor(bytes: number) {
    this.#body = Buffer.allocUnsafeSlow(bytes);
  }

  /** The body, once it is complete; null before. */
  add(piece: Uint8Array): Uint8Array | null {
    if (piece.length > this.#body.length - this.#filled) throw protocolError('a body is longer than announced');
    if (piece.length === 0 && this.#filled < this.#body.length) throw protocolError('an empty piece of a body');
    this.#body.set(piece, this.#filled);
    this.#filled += piece.length;
    return this.#filled === this.#body.length ? this.#body : null;
  }
}
