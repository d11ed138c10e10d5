import { readSync } from 'node:fs';

/** Reads until `length` bytes are there or the file ends; answers how many there were. */
export function readUpTo(descriptor: number, into: Uint8Array, at: number, length: number, position: number): number {
  let done = 0;
  while (done < length) {
    const count = readSync(descriptor, into, at + done, length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}
