/** A bound on how many of something there are at once. Whoever comes too late waits, in order. */
export class Slots {
  readonly #countMax: number;
  #limit: number;
  #taken = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#countMax = count;
    this.#limit = count;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  get takenCount(): number {
    return this.#taken;
  }

  async take(): Promise<void> {
    if (this.#taken >= this.#limit) return new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#taken++;
  }

  giveBack(): void {
    this.#taken--;
    this.#admit();
  }

  /** There are no more to be had than are taken now: one at least. */
  lower(): void {
    this.#limit = Math.max(this.#taken, 1);
  }

  /** As many as in the beginning. */
  restore(): void {
    this.#limit = this.#countMax;
    this.#admit();
  }

  #admit(): void {
    while (this.#taken < this.#limit) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#taken++;
      next();
    }
  }
}
