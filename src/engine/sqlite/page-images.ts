import { allocatePageBuffer, copyPage, type PageBuffer } from './page-buffer.ts';
import type { PageMap } from './page-map.ts';
import { readUpTo } from './read-exactly.ts';
import type { WalFrames } from './wal-frames.ts';

/** Images that are kept of pages which changed lately, so that a page that changes with every commit is not read each time. */
const KEPT_BYTES = 4 << 20;
const KEPT_PAGES_MIN = 8;

/** Where a page's image is found: the newest frame of the WAL by the map, else the database file, zeros beyond its end. */
export type PagePlaces = { readonly map: PageMap; readonly frames: WalFrames; readonly database: number };

/** The images of pages as they were captured last. A bounded number is kept, each page having one place where it may be. */
export class PageImages {
  readonly buffer: PageBuffer;
  readonly #places: PagePlaces;
  readonly #pageSize: number;
  readonly #mask: number;
  /** Page numbers; 0 where nothing is kept. */
  readonly #owners: Uint32Array;

  constructor(places: PagePlaces, keptBytes = KEPT_BYTES) {
    this.#places = places;
    this.#pageSize = places.frames.pageSize;
    const slots = 2 ** Math.floor(Math.log2(Math.max(KEPT_PAGES_MIN, keptBytes / this.#pageSize)));
    this.#mask = slots - 1;
    this.#owners = new Uint32Array(slots);
    this.buffer = allocatePageBuffer(slots * this.#pageSize);
  }

  /** The byte of {@link buffer} at which the page's image begins. Good until another page is asked for. */
  find(page: number): number {
    const slot = page & this.#mask;
    const at = slot * this.#pageSize;
    if (this.#owners[slot] === page) return at;
    this.#owners[slot] = 0;
    this.#read(page, at);
    this.#owners[slot] = page;
    return at;
  }

  /** The place of a page that was not there: zeros. */
  zeros(page: number): number {
    const slot = page & this.#mask;
    const at = slot * this.#pageSize;
    this.#owners[slot] = 0;
    this.buffer.bytes.fill(0, at, at + this.#pageSize);
    return at;
  }

  /** Keeps the page's image from now on. */
  keep(page: number, image: PageBuffer, imageAt: number): void {
    const slot = page & this.#mask;
    copyPage(image, imageAt, this.buffer, slot * this.#pageSize, this.#pageSize);
    this.#owners[slot] = page;
  }

  forget(page: number): void {
    const slot = page & this.#mask;
    if (this.#owners[slot] === page) this.#owners[slot] = 0;
  }

  clear(): void {
    this.#owners.fill(0);
  }

  #read(page: number, at: number): void {
    const { map, frames, database } = this.#places;
    const frame = map.get(page);
    if (frame !== 0) {
      frames.readImage(frame, this.buffer, at);
      return;
    }
    const count = readUpTo(database, this.buffer.bytes, at, this.#pageSize, (page - 1) * this.#pageSize);
    if (count < this.#pageSize) this.buffer.bytes.fill(0, at + count, at + this.#pageSize);
  }
}
