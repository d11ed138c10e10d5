/** One sync at a time; those who ask while it runs share the next one, which begins when it has ended. */
export class SharedSync<T> {
  readonly #begin: () => Promise<T>;
  #running: Promise<T> | null = null;
  #next: Promise<T> | null = null;

  /** `begin` makes durable what is there when it is called. */
  constructor(begin: () => Promise<T>) {
    this.#begin = begin;
  }

  /** Resolves when everything is durable that is there now. */
  request(): Promise<T> {
    if (this.#next !== null) return this.#next;
    if (this.#running === null) return this.#run();
    this.#next = this.#running.then(() => this.#run());
    return this.#next;
  }

  #run(): Promise<T> {
    this.#next = null;
    const running = this.#begin().finally(() => {
      if (this.#running === running) this.#running = null;
    });
    this.#running = running;
    return running;
  }

  /** From when this has returned until something is awaited, none is under way or waits to begin. Rejects when one failed. */
  async idle(): Promise<void> {
    while (this.#next !== null || this.#running !== null) await (this.#next ?? this.#running);
  }
}
