import { createWriteStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Random } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';

/** Files on their way in or out at the same time: each takes room on the disk, and the disk's time from the databases. */
const TRANSFERS_MAX = 4;

/** Files on their way into a server or out of it, in a folder that is emptied at every start. */
export class Transfers {
  readonly #folder: string;
  readonly #random: Random;
  #count = 0;

  constructor(folder: string, random: Random) {
    this.#folder = folder;
    this.#random = random;
  }

  /** Does work that needs a file of its own, which is not there yet and removed at the end. Throws `SERVER_BUSY`. */
  async withFile<T>(work: (path: string) => Promise<T>): Promise<T> {
    if (this.#count >= TRANSFERS_MAX) throw tooMany();
    this.#count += 1;
    const path = join(this.#folder, this.#random.uuid());
    try {
      return await work(path);
    } finally {
      this.#count -= 1;
      await rm(path, { force: true });
    }
  }
}

/** What every SQLite file begins with. */
const MAGIC = Buffer.from('SQLite format 3\0');

/**
 * Writes the SQLite file that a client sends. Throws `NOT_A_DATABASE` for what is none, `DISK_FULL`, and `INTERRUPTED` when
 * the client is gone.
 */
export async function receiveFile(request: IncomingMessage, path: string): Promise<void> {
  try {
    await pipeline(request, createWriteStream(path, { flags: 'wx', mode: 0o600 }));
  } catch (error) {
    throw transferError(error, 'the file did not arrive whole');
  }
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(MAGIC.length), 0, MAGIC.length, 0);
  if (bytesRead < MAGIC.length || !buffer.equals(MAGIC)) {
    throw new SpeilError('NOT_A_DATABASE', 'what was sent is no SQLite file', { hint: 'Send a whole SQLite file.' });
  }
}

function transferError(error: unknown, message: string): SpeilError {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new SpeilError('DISK_FULL', "there is no room for the file on the server's disk", {
      hint: 'Make room; the databases are as they were.',
      cause: error,
    });
  }
  return new SpeilError('INTERRUPTED', message, { cause: error, recovery: 'retry' });
}

const tooMany = (): SpeilError =>
  new SpeilError('SERVER_BUSY', `${TRANSFERS_MAX} files are on their way into the server or out of it already`, {
    hint: 'Try again when one of them has ended.',
    recovery: 'retry',
  });
