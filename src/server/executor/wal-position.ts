import { openSync, readSync } from 'node:fs';

/** Two copies of the header of a WAL index (`WalIndexHdr` of SQLite's `wal.c`). */
const COPY_BYTES = 48;
const FRAMES_AT = 16;
const SALTS_AT = 32;

/** A writer changes both copies within microseconds; one that was killed in between leaves them different. */
const TRIES_MAX = 100;

/**
 * Reads where a WAL ends from its index, which is faster than asking SQLite. The descriptor stays open until the process
 * ends: closing it would drop the locks that SQLite holds on the file for this process.
 */
export class WalPositionReader {
  readonly #descriptor: number;
  readonly #bytes = Buffer.alloc(2 * COPY_BYTES);
  salt1 = 0;
  salt2 = 0;
  frames = 0;

  /** A connection to the database must be open. */
  constructor(databasePath: string) {
    this.#descriptor = openSync(`${databasePath}-shm`, 'r');
  }

  /** Reads it anew into the fields. The second copy is the one that is written first. */
  read(): void {
    const bytes = this.#bytes;
    for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
      readSync(this.#descriptor, bytes, 0, bytes.length, 0);
      if (bytes.compare(bytes, COPY_BYTES, 2 * COPY_BYTES, 0, COPY_BYTES) === 0) break;
    }
    this.frames = bytes.readUInt32LE(COPY_BYTES + FRAMES_AT);
    this.salt1 = bytes.readUInt32BE(COPY_BYTES + SALTS_AT);
    this.salt2 = bytes.readUInt32BE(COPY_BYTES + SALTS_AT + 4);
  }
}
