/** Work that waits for its turn, one at a time, in order. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #count = 0;

  /** Work that runs or waits. */
  get count(): number {
    return this.#count;
  }

  async take<T>(work: () => Promise<T>): Promise<T> {
    this.#count++;
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    try {
      return await turn;
    } finally {
      this.#count--;
    }
  }
}
