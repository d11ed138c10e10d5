const CAPACITY_MIN = 1 << 10;

/**
 * Page numbers to frame numbers, both from 1 on. Eight bytes a place, at least half of the places filled once it has grown:
 * at most 16 bytes for every page that is in it.
 */
export class PageMap {
  #pages = new Uint32Array(CAPACITY_MIN);
  #frames = new Uint32Array(CAPACITY_MIN);
  #shift = 32 - Math.log2(CAPACITY_MIN);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** 0 when the page is not there. */
  get(page: number): number {
    return this.#frames[this.#placeOf(page)] as number;
  }

  /** Answers false when the page was there before. */
  set(page: number, frame: number): boolean {
    const place = this.#placeOf(page);
    this.#frames[place] = frame;
    if (this.#pages[place] === page) return false;
    this.#pages[place] = page;
    this.#size++;
    if (this.#size * 4 > this.#pages.length * 3) this.#grow();
    return true;
  }

  clear(): void {
    if (this.#size === 0) return;
    if (this.#pages.length > CAPACITY_MIN) this.#allocate(CAPACITY_MIN);
    else {
      this.#pages.fill(0);
      this.#frames.fill(0);
    }
    this.#size = 0;
  }

  forEach(visit: (page: number, frame: number) => void): void {
    for (let place = 0; place < this.#pages.length; place++) {
      const page = this.#pages[place] as number;
      if (page !== 0) visit(page, this.#frames[place] as number);
    }
  }

  /** The pages that are there, ascending. */
  pages(): Uint32Array {
    return this.#pages.filter((page) => page !== 0).sort();
  }

  /** Where the page is, or would be. */
  #placeOf(page: number): number {
    const mask = this.#pages.length - 1;
    let place = Math.imul(page, 0x9e3779b1) >>> this.#shift;
    for (;;) {
      const there = this.#pages[place];
      if (there === page || there === 0) return place;
      place = (place + 1) & mask;
    }
  }

  #grow(): void {
    const [pages, frames] = [this.#pages, this.#frames];
    this.#allocate(2 * pages.length);
    for (let at = 0; at < pages.length; at++) {
      const page = pages[at] as number;
      if (page === 0) continue;
      const place = this.#placeOf(page);
      this.#pages[place] = page;
      this.#frames[place] = frames[at] as number;
    }
  }

  #allocate(capacity: number): void {
    this.#pages = new Uint32Array(capacity);
    this.#frames = new Uint32Array(capacity);
    this.#shift = 32 - Math.log2(capacity);
  }
}
