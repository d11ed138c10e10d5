import { readSync } from 'node:fs';
import { SpeilError } from '../../core/error.ts';
import { allocatePageBuffer } from './page-buffer.ts';

/**
 * How far a database's WAL is written: `frames` of the WAL that began with these salts. `generation` counts the restarts
 * of the WAL that one `Capture` has seen, so positions of the same one can be ordered.
 */
export type WalPosition = {
  readonly generation: number;
  readonly salt1: number;
  readonly salt2: number;
  readonly frames: number;
};

export const samePosition = (a: WalPosition, b: WalPosition): boolean =>
  a.frames === b.frames && a.salt1 === b.salt1 && a.salt2 === b.salt2;

/**
 * True when everything that was committed at `position` is hardened, `hardened` being the position of the last hardened
 * piece. A WAL is restarted only after all that was in it was hardened, so at its beginning there is nothing to wait for.
 */
export const isReached = (position: WalPosition, hardened: WalPosition): boolean =>
  position.frames === 0 ||
  position.generation < hardened.generation ||
  (position.generation === hardened.generation && position.frames <= hardened.frames);

/** What SQLite's WalIndexHdr says of the commits so far. */
export type WalIndexHeader = {
  /** As the WAL's own header and every frame of it have them. */
  readonly salt1: number;
  readonly salt2: number;
  /** Frames up to the last commit (mxFrame). */
  readonly frames: number;
  /** 0 while nothing was ever written to the WAL. */
  readonly pageSize: number;
  readonly pageCount: number;
  /** Counts commits, modulo 2^32, since the -shm file was made or recovered (iChange). */
  readonly changes: number;
};

/** A header is twelve words in the order of the processor, but for the salts, which are big-endian. There are two copies. */
const HEADER_WORDS = 12;
const CHANGES_WORD = 2;
const INITIALIZED_BYTE = 12;
const PAGE_SIZE_AT = 14;
const FRAMES_WORD = 4;
const PAGE_COUNT_WORD = 5;
const SALTS_AT = 32;
const CHECKSUM_WORD = 10;

/** A writer changes a copy in nanoseconds; reading both of them torn this often in a row does not happen by chance. */
const ATTEMPTS_MAX = 1000;

/**
 * Reads the header of the -shm file, which says what is committed, without a lock. A writer changes the second copy first,
 * after all of a commit's frames are written. So the second copy is taken when it is whole, even while the first is still
 * the one before: nobody can have read that commit yet, and nobody can undo it any more.
 */
export class WalIndex {
  readonly #descriptor: number;
  readonly #buffer = allocatePageBuffer(2 * 4 * HEADER_WORDS);
  readonly #seen = new Int32Array(2 * HEADER_WORDS);
  #header: WalIndexHeader | null = null;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /**
   * The same object as long as nothing was committed. Throws `WAL_UNREADABLE` when there is no header: a process that was
   * killed while it wrote it leaves it so until a connection begins to read.
   */
  read(): WalIndexHeader {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const { bytes } = this.#buffer;
      if (readSync(this.#descriptor, bytes, 0, bytes.length, 0) !== bytes.length) break;
      if (this.#header !== null && this.#isUnchanged()) return this.#header;
      const copy = this.#newestCopy();
      if (copy === null) continue;
      this.#seen.set(this.#buffer.words);
      this.#header = this.#parse(copy);
      return this.#header;
    }
    throw new SpeilError('WAL_UNREADABLE', 'The header of the -shm file is not whole.', {
      recovery: 'retry',
      hint: 'Nothing to do: the next connection that reads the database mends it.',
    });
  }

  #isUnchanged(): boolean {
    const { words } = this.#buffer;
    for (let n = 0; n < words.length; n++) if (words[n] !== this.#seen[n]) return false;
    return true;
  }

  #newestCopy(): 0 | 1 | null {
    const [first, second] = [this.#isWhole(0), this.#isWhole(1)];
    if (first && second) return this.#ordered() ? 1 : 0;
    if (second) return 1;
    return first ? 0 : null;
  }

  /** False when the second copy was read before, and the first after a commit. */
  #ordered(): boolean {
    const { words } = this.#buffer;
    const [first, second] = [words[CHANGES_WORD] as number, words[HEADER_WORDS + CHANGES_WORD] as number];
    return ((second - first) | 0) >= 0;
  }

  #isWhole(copy: 0 | 1): boolean {
    const { bytes, words } = this.#buffer;
    const start = copy * HEADER_WORDS;
    if (bytes[4 * start + INITIALIZED_BYTE] !== 1) return false;
    let [a, b] = [0, 0];
    for (let n = start; n < start + CHECKSUM_WORD; n += 2) {
      a = (a + (words[n] as number) + b) | 0;
      b = (b + (words[n + 1] as number) + a) | 0;
    }
    return a === words[start + CHECKSUM_WORD] && b === words[start + CHECKSUM_WORD + 1];
  }

  #parse(copy: 0 | 1): WalIndexHeader {
    const { bytes, words } = this.#buffer;
    const start = copy * HEADER_WORDS;
    const size = bytes.readUInt16LE(4 * start + PAGE_SIZE_AT);
    return {
      salt1: bytes.readUInt32BE(4 * start + SALTS_AT),
      salt2: bytes.readUInt32BE(4 * start + SALTS_AT + 4),
      frames: (words[start + FRAMES_WORD] as number) >>> 0,
      pageSize: size === 1 ? 65536 : size,
      pageCount: (words[start + PAGE_COUNT_WORD] as number) >>> 0,
      changes: (words[start + CHANGES_WORD] as number) >>> 0,
    };
  }
}
