import { Fifo } from './fifo.ts';

/** A program that writes and leaves nothing behind. */
export type QueuedWrite = {
  /** About how much it is to send. */
  readonly bytes: number;
  /** Ends it before it was begun. */
  refuse(error: unknown): void;
};

/** Whoever holds the write ticket until it is given back. */
export type TicketHolder = {
  /** The ticket is its own from now on. */
  granted(): void;
  refuse(error: unknown): void;
};

export type WriteQueueOptions<Write extends QueuedWrite> = {
  /** How many programs are being carried out now. */
  inFlight(): number;
  /** Sends programs to be carried out, one after another. */
  send(group: readonly Write[]): void;
  /** Throws when no write can be taken now. */
  admit(): void;
  /** Has `then` called when all that is going on at this moment is done. */
  soon(then: () => void): void;
  nowMs(): number;
  /** What those are told who waited too long. */
  readonly overdue: () => Error;
  /** What those are told for whom there is no room. */
  readonly full: () => Error;
  readonly waitMsMax: number;
  readonly lengthMax: number;
};

/** Programs that are sent together at most: few enough for the one at the end not to wait for long. */
const GROUP_MAX = 128;

/** Bytes that are sent together at most; a larger program goes alone. */
const GROUP_BYTES_MAX = 1024 * 1024;

/** With so many under way the next group collects; fewer would leave the executor without work for a moment. */
const IN_FLIGHT_FEW = 32;

type Entry<Write> =
  | { readonly kind: 'write'; readonly write: Write; readonly dueMs: number }
  | { readonly kind: 'ticket'; readonly holder: TicketHolder; readonly dueMs: number };

/**
 * Who may write next, for one database: first come, first served. Programs that begin and end on their own are sent in
 * groups; a transaction that goes on from request to request holds the ticket alone until it has ended.
 */
export class WriteQueue<Write extends QueuedWrite> {
  readonly #options: WriteQueueOptions<Write>;
  readonly #entries = new Fifo<Entry<Write>>();
  #holder: TicketHolder | null = null;
  #isDue = false;

  constructor(options: WriteQueueOptions<Write>) {
    this.#options = options;
  }

  get length(): number {
    return this.#entries.length;
  }

  get isHeld(): boolean {
    return this.#holder !== null;
  }

  push(write: Write): void {
    if (this.#hasRoom(write)) this.#enter({ kind: 'write', write, dueMs: this.#dueMs() });
  }

  /** Asks for the ticket. */
  acquire(holder: TicketHolder): void {
    if (this.#hasRoom(holder)) this.#enter({ kind: 'ticket', holder, dueMs: this.#dueMs() });
  }

  #hasRoom(who: { refuse(error: unknown): void }): boolean {
    if (this.#entries.length < this.#options.lengthMax) return true;
    who.refuse(this.#options.full());
    return false;
  }

  #dueMs(): number {
    return this.#options.nowMs() + this.#options.waitMsMax;
  }

  #enter(entry: Entry<Write>): void {
    this.#entries.push(entry);
    this.pump();
  }

  /** Takes out what was not begun; false when it was. */
  remove(who: Write | TicketHolder): boolean {
    return this.#entries.remove((entry) => (entry.kind === 'write' ? entry.write : entry.holder) === who);
  }

  /** A program turned out to be a transaction that goes on: its stream has the ticket without having asked. */
  hold(holder: TicketHolder): void {
    this.#holder = holder;
  }

  release(holder: TicketHolder): void {
    if (this.#holder !== holder) return;
    this.#holder = null;
    this.pump();
  }

  /** These were not carried out: they are next. */
  returned(writes: readonly Write[]): void {
    const dueMs = this.#dueMs();
    this.#entries.pushFront(writes.map((write) => ({ kind: 'write', write, dueMs })));
    this.pump();
  }

  /** Looks again what can be begun; called when something was answered. */
  pump(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#options.soon(() => {
      this.#isDue = false;
      this.#pumpNow();
    });
  }

  #pumpNow(): void {
    while (this.#holder === null && this.#entries.length > 0) {
      const inFlight = this.#options.inFlight();
      if (this.#entries.peek()?.kind === 'ticket') {
        if (inFlight > 0) return;
        this.#grant();
      } else {
        if (inFlight > IN_FLIGHT_FEW) return;
        this.#sendGroup();
      }
    }
  }

  #grant(): void {
    const entry = this.#entries.shift();
    if (entry?.kind !== 'ticket') return;
    if (!this.#isAdmitted([entry.holder])) return;
    this.#holder = entry.holder;
    entry.holder.granted();
  }

  #sendGroup(): void {
    const group: Write[] = [];
    let bytes = 0;
    for (let next = this.#entries.peek(); next?.kind === 'write'; next = this.#entries.peek()) {
      bytes += next.write.bytes;
      if (group.length > 0 && (group.length === GROUP_MAX || bytes > GROUP_BYTES_MAX)) break;
      group.push(next.write);
      this.#entries.shift();
    }
    if (this.#isAdmitted(group)) this.#options.send(group);
  }

  #isAdmitted(who: readonly { refuse(error: unknown): void }[]): boolean {
    try {
      this.#options.admit();
      return true;
    } catch (error) {
      for (const one of who) one.refuse(error);
      return false;
    }
  }

  /** Refuses those who have waited too long; answers whether anybody waits still. */
  expire(nowMs: number): boolean {
    for (let next = this.#entries.peek(); next !== undefined && next.dueMs <= nowMs; next = this.#entries.peek()) {
      this.#entries.shift();
      (next.kind === 'write' ? next.write : next.holder).refuse(this.#options.overdue());
    }
    return this.#entries.length > 0;
  }

  /** Refuses everybody. */
  clear(error: unknown): void {
    for (const entry of this.#entries.drain()) (entry.kind === 'write' ? entry.write : entry.holder).refuse(error);
  }
}
