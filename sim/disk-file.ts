import type { SimRandom } from './random.ts';

/** What a disk writes whole or not at all, but for the last write before a crash. */
export const SECTOR_BYTES = 512;

type Change =
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Buffer }
  | { readonly kind: 'length'; readonly length: number };

/** A file's content in two forms: as the system shows it, and as it is after the power went. */
export class SimInode {
  #shown: Buffer = Buffer.alloc(0);
  #durable: Buffer = Buffer.alloc(0);
  /** Made since the last sync, oldest first. */
  #pending: Change[] = [];

  get length(): number {
    return this.#shown.length;
  }

  get shown(): Buffer {
    return this.#shown;
  }

  read(into: Uint8Array, position: number): number {
    const bytes = this.#shown.subarray(position, position + into.length);
    into.set(bytes);
    return bytes.length;
  }

  write(bytes: Buffer, position: number): void {
    this.#change({ kind: 'write', position, bytes });
  }

  truncate(length: number): void {
    this.#change({ kind: 'length', length });
  }

  #change(change: Change): void {
    this.#pending.push(change);
    this.#shown = applied(this.#shown, change);
  }

  sync(): void {
    for (const change of this.#pending) this.#durable = applied(this.#durable, change);
    this.#pending = [];
  }

  /**
   * A sync failed: some of what was written is on the disk, and the system takes all of it for written. It goes on showing
   * it, and no later sync writes it.
   */
  failSync(random: SimRandom): void {
    this.#durable = this.#survivors(random);
    this.#pending = [];
  }

  /** The power went: any part of what was not synced is there. */
  crash(random: SimRandom): void {
    this.#durable = this.#survivors(random);
    this.#pending = [];
    this.#shown = Buffer.from(this.#durable);
  }

  #survivors(random: SimRandom): Buffer {
    const probability = random.pick([0, 1, random.unit()]);
    let content: Buffer = Buffer.from(this.#durable);
    for (const [index, change] of this.#pending.entries()) {
      const last = index === this.#pending.length - 1;
      for (const piece of piecesOf(change, last && random.chance(0.5), random)) {
        if (random.chance(probability)) content = applied(content, piece);
      }
    }
    return content;
  }

  /** For an experiment: changes what is on the disk, behind everyone's back. */
  damage(change: (content: Buffer) => void): void {
    change(this.#durable);
    this.#shown = Buffer.from(this.#durable);
    this.#pending = [];
  }

  copy(): SimInode {
    const copy = new SimInode();
    copy.#shown = Buffer.from(this.#shown);
    copy.#durable = Buffer.from(this.#shown);
    return copy;
  }
}

function applied(content: Buffer, change: Change): Buffer {
  if (change.kind === 'length') return resized(content, change.length);
  const end = change.position + change.bytes.length;
  const into = end > content.length ? resized(content, end) : content;
  into.set(change.bytes, change.position);
  return into;
}

function resized(content: Buffer, length: number): Buffer {
  const into = Buffer.alloc(length);
  into.set(content.subarray(0, length));
  return into;
}

/** A write, sector by sector; of one that is torn, only the beginning of some sector. */
function piecesOf(change: Change, torn: boolean, random: SimRandom): readonly Change[] {
  if (change.kind === 'length') return [change];
  const pieces: Change[] = [];
  for (let start = 0; start < change.bytes.length; ) {
    const position = change.position + start;
    const bytes = change.bytes.subarray(start, start + SECTOR_BYTES - (position % SECTOR_BYTES));
    const kept = torn && random.chance(0.3) ? bytes.subarray(0, random.integer(0, bytes.length)) : bytes;
    pieces.push({ kind: 'write', position, bytes: kept });
    start += bytes.length;
  }
  return pieces;
}
