/** One thing after another: each begins when the one before has ended, well or not. Without a queue it begins at once. */
export class Turns {
  #last: Promise<unknown> | null = null;

  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last === null ? work() : this.#last.then(work, work);
    this.#last = turn;
    const over = (): void => {
      if (this.#last === turn) this.#last = null;
    };
    turn.then(over, over);
    return turn;
  }

  /** When everything that has begun, or waits to, has ended. */
  async idle(): Promise<void> {
    while (this.#last !== null) await this.#last.then(noop, noop);
  }
}

const noop = (): void => undefined;
