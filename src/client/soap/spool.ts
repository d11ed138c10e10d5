import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SpeilError } from '../../core/error.ts';
import { BATCH_BYTES_DEFAULT } from '../../core/limits.ts';
import { type Fields, RowEncoder } from '../../database/row-text.ts';

/** Rows that all calls together keep in memory; the others wait in files. A call is about 1 MB by default. */
export const SPOOL_BYTES_MAX = 32 * 1024 * 1024;

/** Memory that calls share. */
export class SpoolMemory {
  #free: number;

  constructor(bytes: number = SPOOL_BYTES_MAX) {
    this.#free = bytes;
  }

  take(bytes: number): boolean {
    if (bytes > this.#free) return false;
    this.#free -= bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#free += bytes;
  }
}

type Chunk = { readonly rowCount: number; readonly bytes: number; place: Uint8Array | { readonly offset: number } };

/** Rows that wait in a spool. */
export interface SpooledRows {
  readonly rowCount: number;
  /** Row text, in pieces of whole rows. */
  chunks(): AsyncIterable<Uint8Array>;
}

/**
 * Keeps the rows of a call until the call is complete: in the contract the types of a batch come after its rows, and a
 * call that breaks off must not have changed anything.
 */
export class RowSpool implements AsyncDisposable {
  readonly #memory: SpoolMemory;
  #encoder = new RowEncoder(BATCH_BYTES_DEFAULT);
  #chunks: Chunk[] = [];
  #unplaced: Chunk[] = [];
  #inMemory = 0;
  #file: SpoolFile | null = null;

  constructor(memory: SpoolMemory) {
    this.#memory = memory;
  }

  add(row: Fields): void {
    this.#encoder.add(row);
    if (this.#encoder.isFull) this.#cut();
  }

  /** The rows since the last batch. */
  takeBatch(): SpooledRows {
    if (this.#encoder.rowCount > 0) this.#cut();
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#encoder = new RowEncoder(BATCH_BYTES_DEFAULT);
    return {
      rowCount: chunks.reduce((sum, chunk) => sum + chunk.rowCount, 0),
      chunks: () => this.#read(chunks),
    };
  }

  /** Brings to disk what has no room in memory. To be awaited after every piece of a call. */
  async settle(): Promise<void> {
    const unplaced = this.#unplaced;
    this.#unplaced = [];
    for (const chunk of unplaced) {
      if (!(chunk.place instanceof Uint8Array) || this.#keep(chunk.bytes)) continue;
      this.#file ??= await SpoolFile.create();
      chunk.place = { offset: await this.#file.append(chunk.place) };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#memory.giveBack(this.#inMemory);
    this.#inMemory = 0;
    await this.#file?.[Symbol.asyncDispose]();
  }

  #cut(): void {
    const { rows, rowCount } = this.#encoder.take();
    const chunk = { rowCount, bytes: rows.length, place: rows };
    this.#chunks.push(chunk);
    this.#unplaced.push(chunk);
  }

  #keep(bytes: number): boolean {
    if (!this.#memory.take(bytes)) return false;
    this.#inMemory += bytes;
    return true;
  }

  async *#read(chunks: readonly Chunk[]): AsyncGenerator<Uint8Array> {
    for (const { place, bytes } of chunks) {
      if (place instanceof Uint8Array) yield place;
      else if (this.#file !== null) yield await this.#file.read(place.offset, bytes);
    }
  }
}

/** A file that only this process can reach, and that is gone with it. */
class SpoolFile implements AsyncDisposable {
  readonly #handle: FileHandle;
  readonly #folder: string;
  #size = 0;

  private constructor(handle: FileHandle, folder: string) {
    this.#handle = handle;
    this.#folder = folder;
  }

  static async create(): Promise<SpoolFile> {
    const folder = await mkdtemp(join(tmpdir(), 'speil-spool-')).catch(spoolFailed);
    const handle = await open(join(folder, 'rows'), 'wx+', 0o600).catch(spoolFailed);
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
    return new SpoolFile(handle, folder);
  }

  async append(bytes: Uint8Array): Promise<number> {
    const offset = this.#size;
    this.#size += bytes.length;
    await this.#handle.writeFile(bytes).catch(spoolFailed);
    return offset;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const buffer = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await this.#handle
        .read(buffer, filled, length - filled, offset + filled)
        .catch(spoolFailed);
      if (bytesRead === 0) spoolFailed(new Error('the file is shorter than it was written'));
      filled += bytesRead;
    }
    return buffer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close().catch(() => undefined);
    await rm(this.#folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

function spoolFailed(cause: unknown): never {
  const why = cause instanceof Error ? cause.message : String(cause);
  throw new SpeilError('DISK_FULL', `the rows of a call could not be kept: ${why}`, {
    hint: `Make room in ${tmpdir()}.`,
    recovery: 'retry',
    cause,
  });
}
