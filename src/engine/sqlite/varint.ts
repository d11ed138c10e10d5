/** Bytes of the longest one: 32 bits, seven a byte. */
export const VARINT_BYTES_MAX = 5;

/**
 * Unsigned integers of 32 bits, seven bits a byte, the lowest first; the high bit says that another byte follows (LEB128).
 * Answers the place after it.
 */
export function putVarint(bytes: Uint8Array, at: number, value: number): number {
  let [rest, place] = [value, at];
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes[place++] = (rest & 0x7f) | 0x80;
  bytes[place++] = rest;
  return place;
}

/** Reads integers from bytes that nobody vouches for. */
export class VarintReader {
  readonly bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  /** -1 when there is none, it is longer than it needs to be, or it has more than 32 bits. */
  next(): number {
    const first = this.bytes[this.at];
    if (first === undefined) return -1;
    this.at++;
    return first < 0x80 ? first : this.#rest(first & 0x7f);
  }

  #rest(lowest: number): number {
    let [value, scale] = [lowest, 0x80];
    for (let n = 1; n < VARINT_BYTES_MAX; n++, scale *= 0x80) {
      const byte = this.bytes[this.at++];
      if (byte === undefined || byte === 0) return -1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value <= 0xffffffff ? value : -1;
    }
    return -1;
  }
}
