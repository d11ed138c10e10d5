import { allocatePageBuffer, type PageBuffer } from './page-buffer.ts';

const DIRTY = 1;
const USED = 2;

/** Writing back begins when this share of the cache is dirty, while there is still enough to choose from. */
const DIRTY_SHARE_MAX = 0.75;

/**
 * Page images in memory, a bounded number. A clean one that was not used for a whole turn of the clock hand makes room;
 * dirty ones stay until they were written.
 */
export class RedoCache {
  readonly buffer: PageBuffer;
  readonly slots: number;
  readonly #pageSize: number;
  readonly #places = new Map<number, number>();
  /** Page numbers by slot; 0 for a free one. */
  readonly #owners: Uint32Array;
  readonly #flags: Uint8Array;
  #hand = 0;
  #dirty = 0;

  constructor(slots: number, pageSize: number) {
    this.slots = slots;
    this.#pageSize = pageSize;
    this.buffer = allocatePageBuffer(slots * pageSize);
    this.#owners = new Uint32Array(slots);
    this.#flags = new Uint8Array(slots);
  }

  get dirty(): number {
    return this.#dirty;
  }

  get mustWrite(): boolean {
    return this.#dirty > this.slots * DIRTY_SHARE_MAX;
  }

  /** The byte of {@link buffer} at which the page's image begins; -1 when it is not here. */
  find(page: number): number {
    const slot = this.#places.get(page);
    if (slot === undefined) return -1;
    this.#flags[slot] = (this.#flags[slot] as number) | USED;
    return slot * this.#pageSize;
  }

  /** A place for the image of a page that is not here; whatever lies there has to be overwritten. */
  claim(page: number): number {
    const slot = this.#freeSlot();
    this.#places.set(page, slot);
    this.#owners[slot] = page;
    this.#flags[slot] = USED;
    return slot * this.#pageSize;
  }

  markDirty(at: number): void {
    const slot = at / this.#pageSize;
    const flags = this.#flags[slot] as number;
    if ((flags & DIRTY) === 0) this.#dirty++;
    this.#flags[slot] = flags | DIRTY | USED;
  }

  /** The dirty pages, ascending. */
  dirtyPages(): Uint32Array {
    const pages = new Uint32Array(this.#dirty);
    let count = 0;
    for (let slot = 0; slot < this.slots; slot++)
      if ((this.#flags[slot] as number) & DIRTY) pages[count++] = this.#owners[slot] as number;
    return pages.sort();
  }

  /** All that was dirty is written. */
  markClean(): void {
    for (let slot = 0; slot < this.slots; slot++) this.#flags[slot] = (this.#flags[slot] as number) & ~DIRTY;
    this.#dirty = 0;
  }

  /** Forgets the pages after `last`, dirty or not. */
  forgetAfter(last: number): void {
    for (const [page, slot] of this.#places) if (page > last) this.#forget(page, slot);
  }

  #forget(page: number, slot: number): void {
    if ((this.#flags[slot] as number) & DIRTY) this.#dirty--;
    this.#flags[slot] = 0;
    this.#owners[slot] = 0;
    this.#places.delete(page);
  }

  #freeSlot(): number {
    for (let step = 0; step < 2 * this.slots; step++) {
      const slot = this.#hand;
      this.#hand = slot + 1 === this.slots ? 0 : slot + 1;
      const flags = this.#flags[slot] as number;
      if (flags & DIRTY) continue;
      if (flags & USED) this.#flags[slot] = flags & ~USED;
      else {
        const owner = this.#owners[slot] as number;
        if (owner !== 0) this.#places.delete(owner);
        return slot;
      }
    }
    throw new Error('every page of the cache is dirty');
  }
}
