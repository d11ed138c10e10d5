import { Lsn } from '../core/lsn.ts';
import type { Holders } from './holders.ts';
import type { Segment, SegmentStore } from './segment-store.ts';

/** What is kept, for whom, and what is not. Passes on the errors of the disk. */
export class Retention {
  readonly #store: SegmentStore;
  readonly #holders: Holders;
  /** The journal's; removing shortens it. */
  readonly #segments: Segment[];
  /** Whether the disk knows where the holders are now. */
  #written = true;

  constructor(store: SegmentStore, holders: Holders, segments: Segment[]) {
    this.#store = store;
    this.#holders = holders;
    this.#segments = segments;
  }

  /** A holder that moves on need not be written down at once: what the disk knows of it keeps more. */
  async hold(holder: string, lsn: Lsn): Promise<void> {
    const before = this.#holders.held.get(holder) ?? null;
    this.#holders.set(holder, lsn);
    this.#written = false;
    if (before === null || lsn < before) await this.#write();
  }

  async release(holder: string): Promise<void> {
    if (!this.#holders.held.has(holder)) return;
    this.#holders.set(holder, null);
    await this.#write();
  }

  async #write(): Promise<void> {
    await this.#holders.persist();
    this.#written = true;
  }

  /** Removes the segments before the one in which is the first block after `hardened` or a holder. */
  async trim(hardened: Lsn): Promise<number> {
    let horizon = hardened;
    for (const lsn of this.#holders.held.values()) if (lsn < horizon) horizon = lsn;
    const keep = this.#segments.findLastIndex(({ first, part }) => part === 0 && Lsn.after(first, -1n) <= horizon);
    if (keep > 0 && !this.#written) await this.#write();
    let freed = 0;
    for (let left = keep; left > 0; left -= 1) freed += await this.#removeOldest();
    return freed;
  }

  /** One by one, each for certain: a crash must not leave a hole between segments. Readers are not sent to it any more. */
  async #removeOldest(): Promise<number> {
    const oldest = this.#segments.shift();
    if (oldest === undefined) throw new Error('a journal without segments');
    await this.#store.remove(oldest.path);
    return oldest.bytes;
  }
}
