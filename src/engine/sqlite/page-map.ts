const CAPACITY_MIN = 1 << 10;
/** Of a hash table with linear probing, beyond which searches become long. */
const FILLED_MAX = 0.75;

/**
 * Page numbers to frame numbers, both from 1 on: a list of the entries in the order in which they came, and a hash table of
 * places in it. At most 27 bytes an entry once it has grown.
 */
export class PageMap {
  #pages = new Uint32Array(FILLED_MAX * CAPACITY_MIN);
  #frames = new Uint32Array(FILLED_MAX * CAPACITY_MIN);
  /** Indexes of entries plus 1; 0 where there is none. */
  #table = new Uint32Array(CAPACITY_MIN);
  #shift = 32 - Math.log2(CAPACITY_MIN);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** 0 when the page is not there. */
  get(page: number): number {
    const index = this.#table[this.#placeOf(page)] as number;
    return index === 0 ? 0 : (this.#frames[index - 1] as number);
  }

  set(page: number, frame: number): void {
    const place = this.#placeOf(page);
    const index = this.#table[place] as number;
    if (index > 0) this.#frames[index - 1] = frame;
    else this.#add(place, page, frame);
  }

  clear(): void {
    if (this.#table.length > CAPACITY_MIN) this.#allocate(CAPACITY_MIN);
    else this.#table.fill(0);
    this.#size = 0;
  }

  /** Takes over the entries of another map, whose frames win, and leaves it empty. */
  absorb(other: PageMap): void {
    if (other.#size > this.#size) this.#become(other);
    else this.#setAll(other);
    other.clear();
  }

  #setAll(other: PageMap): void {
    for (let index = 0; index < other.#size; index++)
      this.set(other.#pages[index] as number, other.#frames[index] as number);
  }

  /** The larger one, completed by what was here. */
  #become(other: PageMap): void {
    for (let index = 0; index < this.#size; index++) {
      const page = this.#pages[index] as number;
      if (other.get(page) === 0) other.set(page, this.#frames[index] as number);
    }
    this.#pages = other.#pages;
    this.#frames = other.#frames;
    this.#table = other.#table;
    this.#shift = other.#shift;
    this.#size = other.#size;
    other.#allocate(CAPACITY_MIN);
  }

  /** The pages that are there, ascending. */
  pages(): Uint32Array {
    return this.#pages.slice(0, this.#size).sort();
  }

  #add(place: number, page: number, frame: number): void {
    this.#pages[this.#size] = page;
    this.#frames[this.#size] = frame;
    this.#table[place] = ++this.#size;
    if (this.#size === this.#pages.length) this.#grow();
  }

  /** Where the page is, or would be. */
  #placeOf(page: number): number {
    const mask = this.#table.length - 1;
    let place = Math.imul(page, 0x9e3779b1) >>> this.#shift;
    for (;;) {
      const index = this.#table[place] as number;
      if (index === 0 || this.#pages[index - 1] === page) return place;
      place = (place + 1) & mask;
    }
  }

  #grow(): void {
    const [pages, frames] = [this.#pages, this.#frames];
    this.#allocate(2 * this.#table.length);
    this.#pages.set(pages);
    this.#frames.set(frames);
    for (let index = 0; index < this.#size; index++) this.#table[this.#placeOf(pages[index] as number)] = index + 1;
  }

  #allocate(capacity: number): void {
    this.#pages = new Uint32Array(FILLED_MAX * capacity);
    this.#frames = new Uint32Array(FILLED_MAX * capacity);
    this.#table = new Uint32Array(capacity);
    this.#shift = 32 - Math.log2(capacity);
  }
}
