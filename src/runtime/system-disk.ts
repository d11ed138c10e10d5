import fs, { promises as slow } from 'node:fs';
import type { Disk, DiskFile } from '../core/disk.ts';

/**
 * Up to here a read or write is done at once, on the calling thread: the page cache answers in microseconds, a hop to the
 * thread pool and back costs ten times that. What is larger, or may wait for the device (`sync`, names), goes to the pool.
 */
const READ_AT_ONCE_BYTES = 64 << 10;
const WRITE_AT_ONCE_BYTES = 1 << 20;

/** Only for who runs the server: a journal holds what the database holds. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

const FLAGS = {
  read: fs.constants.O_RDONLY,
  write: fs.constants.O_RDWR,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL,
} as const;

/** The files of this machine. */
export const systemDisk: Disk = {
  async open(path, mode) {
    return new SystemFile(path, await opened(path, FLAGS[mode]));
  },
  async list(folder) {
    return (await slow.readdir(folder)).sort();
  },
  async makeFolder(path) {
    await slow.mkdir(path, { recursive: true, mode: FOLDER_MODE });
  },
  rename: (from, to) => slow.rename(from, to),
  remove: (path) => slow.rm(path, { force: true }),
  async syncFolder(path) {
    const folder = await opened(path, fs.constants.O_RDONLY);
    try {
      await called((done) => fs.fsync(folder, done));
    } finally {
      fs.closeSync(folder);
    }
  },
};

class SystemFile implements DiskFile {
  readonly #path: string;
  readonly #descriptor: number;

  constructor(path: string, descriptor: number) {
    this.#path = path;
    this.#descriptor = descriptor;
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    let filled = 0;
    while (filled < into.length) {
      const bytes = await this.#readSome(into.subarray(filled), position + filled);
      if (bytes === 0) break;
      filled += bytes;
    }
    return filled;
  }

  #readSome(into: Uint8Array, position: number): number | Promise<number> {
    if (into.length <= READ_AT_ONCE_BYTES) return fs.readSync(this.#descriptor, into, 0, into.length, position);
    return called((done) => fs.read(this.#descriptor, into, 0, into.length, position, done));
  }

  async write(pieces: readonly Uint8Array[], position: number): Promise<void> {
    let left = pieces.reduce((sum, piece) => sum + piece.length, 0);
    let [rest, at] = [pieces, position];
    while (left > 0) {
      const bytes = await this.#writeSome(rest, left, at);
      if (bytes === 0) throw wroteNothing(this.#path);
      left -= bytes;
      at += bytes;
      if (left > 0) rest = without(rest, bytes);
    }
  }

  #writeSome(pieces: readonly Uint8Array[], bytes: number, position: number): number | Promise<number> {
    if (bytes <= WRITE_AT_ONCE_BYTES) return fs.writevSync(this.#descriptor, pieces, position);
    return called((done) => fs.writev(this.#descriptor, pieces, position, done));
  }

  sync(): Promise<void> {
    return called((done) => fs.fdatasync(this.#descriptor, done));
  }

  truncate(length: number): Promise<void> {
    return called((done) => fs.ftruncate(this.#descriptor, length, done));
  }

  async length(): Promise<number> {
    return fs.fstatSync(this.#descriptor).size;
  }

  close(): Promise<void> {
    return called((done) => fs.close(this.#descriptor, done));
  }
}

const opened = (path: string, flags: number): Promise<number> =>
  called((done) => fs.open(path, flags, FILE_MODE, done));

/** The pieces after their first `bytes`. */
function without(pieces: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skip = bytes;
  return pieces.flatMap((piece) => {
    const skipped = Math.min(skip, piece.length);
    skip -= skipped;
    return skipped === piece.length ? [] : [piece.subarray(skipped)];
  });
}

/** As a full disk: a system that takes nothing and gives no reason would be asked for ever. */
const wroteNothing = (path: string): Error =>
  Object.assign(new Error(`ENOSPC: the system wrote nothing, write '${path}'`), {
    code: 'ENOSPC',
    syscall: 'write',
    path,
  });

type Done<T> = (error: NodeJS.ErrnoException | null, result: T) => void;

function called<T = void>(call: (done: Done<T>) => void): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  call((error, result) => (error === null || error === undefined ? resolve(result) : reject(error)));
  return promise;
}
