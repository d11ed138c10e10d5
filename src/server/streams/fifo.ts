/**
 * First in, first out, in a ring that grows and is used again: a `Map` or `Set` whose entries come and go leaves chains of
 * dead tables behind, through which V8's young collections keep every entry alive (5 us a request were seen).
 */
export class Fifo<T> implements Iterable<T> {
  #ring: (T | undefined)[] = new Array(CAPACITY_FIRST).fill(undefined);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  #at(index: number): number {
    return (this.#head + index) & (this.#ring.length - 1);
  }

  push(item: T): void {
    if (this.#length === this.#ring.length) this.#refill([...this]);
    this.#ring[this.#at(this.#length++)] = item;
  }

  /** Before all others, in this order. */
  pushFront(items: readonly T[]): void {
    if (items.length > 0) this.#refill([...items, ...this]);
  }

  /** Leaves room for one more at least. */
  #refill(items: readonly T[]): void {
    let capacity = this.#ring.length;
    while (capacity <= items.length) capacity *= 2;
    this.#ring = new Array(capacity).fill(undefined);
    this.#head = 0;
    this.#length = items.length;
    for (const [index, item] of items.entries()) this.#ring[index] = item;
  }

  peek(): T | undefined {
    return this.#ring[this.#head];
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = this.#at(1);
    this.#length--;
    return item;
  }

  /** Takes out the first of those that are so; false when none is. */
  remove(isWanted: (item: T) => boolean): boolean {
    const items = [...this];
    const at = items.findIndex(isWanted);
    if (at >= 0) this.#refill(items.toSpliced(at, 1));
    return at >= 0;
  }

  /** All that there is, in order; empty afterwards. */
  drain(): T[] {
    const items = [...this];
    this.#refill([]);
    return items;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let index = 0; index < this.#length; index++) yield this.#ring[this.#at(index)] as T;
  }
}

/** A power of two, as all capacities are. */
const CAPACITY_FIRST = 64;
