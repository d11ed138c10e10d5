import { readSync, writevSync } from 'node:fs';
import { decodeFrame, encodeFrame, FrameCutter } from './frames.ts';

/** Large enough for a group of programs in one read. */
const READ_BYTES = 256 * 1024;

/** How long to wait when the other end is slow and the descriptor does not block. */
const PAUSE_MS = 1;

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Frames over a descriptor, the thread waiting for them. */
export class BlockingChannel {
  readonly #descriptor: number;
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #cutter = new FrameCutter();

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** The values of the next frames, at least one, each decoded when it is asked for; null at the end. */
  *read(): Generator<unknown, void> {
    for (;;) {
      const length = retrying(() => readSync(this.#descriptor, this.#buffer, 0, READ_BYTES, null));
      if (length === 0) return;
      for (const frame of this.#cutter.push(this.#buffer.subarray(0, length))) yield decodeFrame(frame);
    }
  }

  write(value: unknown): void {
    let pieces = encodeFrame(value);
    while (pieces.length > 0) {
      const written = retrying(() => writevSync(this.#descriptor, pieces));
      pieces = afterBytes(pieces, written);
    }
  }
}

function retrying(operation: () => number): number {
  for (;;) {
    try {
      return operation();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EAGAIN' && code !== 'EINTR') throw error;
      Atomics.wait(pause, 0, 0, PAUSE_MS);
    }
  }
}

function afterBytes(pieces: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let left = bytes;
  const rest: Uint8Array[] = [];
  for (const piece of pieces) {
    if (piece.byteLength > left) rest.push(piece.subarray(left));
    left = Math.max(0, left - piece.byteLength);
  }
  return rest;
}
