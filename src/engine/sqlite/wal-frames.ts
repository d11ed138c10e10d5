import { SpeilError } from '../../core/error.ts';
import { allocatePageBuffer, type PageBuffer } from './page-buffer.ts';
import { readUpTo } from './read-exactly.ts';

/** SQLite's file format, section 4: big-endian. */
const WAL_HEADER_BYTES = 32;
export const FRAME_HEADER_BYTES = 24;

/** Frames are read at once up to this many bytes, which makes a payload of less than `BLOCK_PAYLOAD_BYTES_MAX`. */
export const LOADED_BYTES_MAX = 4_000_000;

type Salts = { readonly salt1: number; readonly salt2: number };

export type FrameHeader = {
  readonly page: number;
  /** Pages of the database when the frame ends a commit, else 0. */
  readonly commit: number;
};

/** Frames of a -wal file, numbered from 1. Every one that is read must be of the WAL that has the salts it is asked for with. */
export class WalFrames {
  readonly pageSize: number;
  readonly #descriptor: number;
  readonly #frameBytes: number;
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  /** How many frames can be loaded at once. */
  readonly loadedMax: number;
  #loaded: PageBuffer;

  constructor(descriptor: number, pageSize: number, loadedBytesMax = LOADED_BYTES_MAX) {
    this.pageSize = pageSize;
    this.#descriptor = descriptor;
    this.#frameBytes = FRAME_HEADER_BYTES + pageSize;
    this.loadedMax = Math.max(1, Math.floor(loadedBytesMax / this.#frameBytes));
    this.#loaded = allocatePageBuffer(this.#frameBytes);
  }

  /** Where the images of {@link load} are. */
  get loaded(): PageBuffer {
    return this.#loaded;
  }

  /** Reads frames; they are then asked for by their index, from 0. */
  load(first: number, count: number, salts: Salts): void {
    const length = count * this.#frameBytes;
    if (length > this.#loaded.bytes.length)
      this.#loaded = allocatePageBuffer(Math.min(2 * length, this.loadedMax * this.#frameBytes));
    this.#read(this.#loaded.bytes, 0, length, this.#positionOf(first));
    for (let index = 0; index < count; index++)
      requireSalts(this.#loaded.bytes, index * this.#frameBytes, first + index, salts);
  }

  pageOf(index: number): number {
    return this.#loaded.bytes.readUInt32BE(index * this.#frameBytes);
  }

  commitOf(index: number): number {
    return this.#loaded.bytes.readUInt32BE(index * this.#frameBytes + 4);
  }

  imageAt(index: number): number {
    return index * this.#frameBytes + FRAME_HEADER_BYTES;
  }

  /** How many of the first `frames` frames end a commit. What was loaded is gone. */
  countCommits(frames: number, salts: Salts): number {
    let commits = 0;
    for (let first = 1; first <= frames; first += this.loadedMax) {
      const count = Math.min(this.loadedMax, frames - first + 1);
      this.load(first, count, salts);
      for (let index = 0; index < count; index++) if (this.commitOf(index) !== 0) commits++;
    }
    return commits;
  }

  readHeader(frame: number, salts: Salts): FrameHeader {
    this.#read(this.#header, 0, FRAME_HEADER_BYTES, this.#positionOf(frame));
    requireSalts(this.#header, 0, frame, salts);
    return { page: this.#header.readUInt32BE(0), commit: this.#header.readUInt32BE(4) };
  }

  readImage(frame: number, into: PageBuffer, at: number): void {
    this.#read(into.bytes, at, this.pageSize, this.#positionOf(frame) + FRAME_HEADER_BYTES);
  }

  #positionOf(frame: number): number {
    return WAL_HEADER_BYTES + (frame - 1) * this.#frameBytes;
  }

  #read(into: Buffer, at: number, length: number, position: number): void {
    const count = readUpTo(this.#descriptor, into, at, length, position);
    if (count < length) throw restarted(`it ends at byte ${position + count}`);
  }
}

function requireSalts(bytes: Buffer, at: number, frame: number, { salt1, salt2 }: Salts): void {
  if (bytes.readUInt32BE(at + 8) === salt1 && bytes.readUInt32BE(at + 12) === salt2) return;
  throw restarted(`frame ${frame} is of another WAL`);
}

const restarted = (why: string): SpeilError =>
  new SpeilError('COMMITS_MISSED', `The -wal file does not hold the commits that its index names: ${why}.`, {
    hint: 'Was the database checkpointed or copied over by another program? Stop the server, and that program, and start again.',
  });
