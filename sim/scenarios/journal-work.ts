import { SpeilError } from '../../src/core/error.ts';
import { Lsn } from '../../src/core/lsn.ts';
import { Term } from '../../src/core/term.ts';
import type { Block, BlockDraft } from '../../src/journal/block.ts';
import type { Journal } from '../../src/journal/journal.ts';
import type { SimDisk } from '../disk.ts';
import type { SimRandom } from '../random.ts';
import { must, Violation } from '../violation.ts';
import type { JournalCounts } from './journal-counts.ts';
import { type JournalModel, mustBe, mustEqual, mustKeepWhatIsHeld } from './journal-model.ts';

/** What goes wrong in a round: the power, a sync, a write, the room; or nothing. */
export type Trouble = 'nothing' | 'stop' | 'sync' | 'write' | 'full';

/** The journal cannot be used any more, as it should be. */
export class Ended extends Error {}

export type WorkOptions = {
  readonly journal: Journal;
  readonly model: JournalModel;
  readonly disk: SimDisk;
  readonly random: SimRandom;
  readonly counts: JournalCounts;
  readonly trouble: Trouble;
  readonly payloadBytesMax: number;
};

/** One process's work with a journal. Tells the model what it did, and judges every answer. */
export class JournalWork {
  readonly #journal: Journal;
  readonly #model: JournalModel;
  readonly #disk: SimDisk;
  readonly #random: SimRandom;
  readonly #counts: JournalCounts;
  readonly #trouble: Trouble;
  readonly #payloadBytesMax: number;
  #reading: { readonly end: AbortController; readonly result: Promise<void> } | null = null;
  /** What the journal ended with before it was cut: a block may be under way to a reader that long. */
  #cutFrom = Lsn.zero;

  constructor({ journal, model, disk, random, counts, trouble, payloadBytesMax }: WorkOptions) {
    this.#journal = journal;
    this.#model = model;
    this.#disk = disk;
    this.#random = random;
    this.#counts = counts;
    this.#trouble = trouble;
    this.#payloadBytesMax = payloadBytesMax;
  }

  /** Throws {@link Ended} when the journal failed or the machine stopped. */
  async step(): Promise<void> {
    if (this.#random.chance(0.05)) this.#startTrouble();
    const step = this.#random.weighted<() => Promise<void>>([
      [10, () => this.#appendCommits()],
      [6, () => this.#harden()],
      [4, () => this.#burst()],
      [2, () => this.#makeRoom()],
      [2, () => this.#hold()],
      [1, () => this.#release()],
      [1, () => this.#trim()],
      [0.7, () => this.#cut()],
      [1, () => this.#lookUp()],
      [1, () => this.#readSome()],
      [0.5, () => this.#giveRoom()],
    ]);
    await step();
    this.#model.acknowledge(this.#journal.hardened.lsn);
  }

  #startTrouble(): void {
    if (this.#trouble === 'sync') this.#disk.failSyncs(this.#random.pick([1, 1, 1_000_000]));
    if (this.#trouble === 'write') this.#disk.failWrites(1);
  }

  get #breaks(): boolean {
    return this.#trouble === 'sync' || this.#trouble === 'write';
  }

  async #giveRoom(): Promise<void> {
    if (this.#trouble === 'full') this.#disk.capacityBytes += 20_000;
  }

  /**
   * A call on the journal; null when the disk was full. Any other failure must be one that was asked for, and ends the
   * journal: then every other call must say so, too.
   */
  async #attempt<T>(call: () => Promise<T>): Promise<T | 'full'> {
    try {
      return await call();
    } catch (error) {
      if (error instanceof Violation) throw error;
      if (this.#disk.stopped) throw new Ended();
      const code = error instanceof SpeilError ? error.code : null;
      if (code === 'DISK_FULL' && this.#trouble === 'full') {
        this.#counts.diskFull += 1;
        return 'full';
      }
      must(code === 'JOURNAL_FAILED' && this.#breaks, () => `a call failed without reason: ${String(error)}`);
      this.#counts.failures += 1;
      await this.#mustHaveFailed();
      throw new Ended();
    }
  }

  async #mustHaveFailed(): Promise<void> {
    const journal = this.#journal;
    const calls: Readonly<Record<string, () => Promise<unknown>>> = {
      append: () => journal.append(this.#draft(1, 1, false)),
      harden: () => journal.harden(),
      makeRoom: () => journal.makeRoom(),
      read: () => Array.fromAsync(journal.read(Lsn.after(journal.start.lsn))),
      positionAt: () => journal.positionAt(journal.hardened.lsn),
      hold: () => journal.hold('late', journal.hardened.lsn),
      release: () => journal.release('late'),
      trim: () => journal.trim(),
      truncateAfter: () => journal.truncateAfter(journal.start),
    };
    for (const [name, call] of Object.entries(calls)) {
      const code = await call().then(
        () => 'nothing',
        (error: unknown) => (error instanceof SpeilError ? error.code : String(error)),
      );
      must(code === 'JOURNAL_FAILED', () => `${name} on a failed journal answered ${code}`);
    }
  }

  #draft(first: number, commits: number, continued: boolean): BlockDraft {
    const random = this.#random;
    return {
      ...{ term: Term.first, first: Lsn.of(first), last: Lsn.of(first + commits - 1), continued },
      databaseChecksum: BigInt.asUintN(64, BigInt(random.integer(0, 2 ** 32)) << 20n),
      sealedAtMs: 1_800_000_000_000 + random.integer(0, 1e9),
      payload: random.bytes(random.integer(0, this.#payloadBytesMax)),
    };
  }

  /** One block, or several that belong together. A full disk in between leaves them to be cut off, or gone on with. */
  async #appendCommits(): Promise<void> {
    const random = this.#random;
    const first = Number(this.#model.appended.lsn) + 1;
    const commits = random.integer(1, 4);
    for (
      let left = random.weighted([
        [8, 1],
        [2, random.integer(2, 9)],
      ] as const);
      left > 0;
      left -= 1
    ) {
      if (await this.#append(this.#draft(first, commits, left > 1))) continue;
      return this.#dropUnfinished();
    }
  }

  async #append(draft: BlockDraft): Promise<boolean> {
    const expected = this.#model.next(draft);
    this.#model.add(expected, this.#journal.hardened.lsn);
    const block = await this.#attempt(() => this.#journal.append(draft));
    if (block === 'full') {
      this.#model.removeLast();
      return false;
    }
    mustEqual(block, expected, 'append');
    this.#counts.blocks += 1;
    return true;
  }

  async #dropUnfinished(): Promise<void> {
    const { appended } = this.#journal;
    must(appended.lsn === this.#model.appended.lsn, () => `the journal stands at ${appended.lsn}`);
    this.#model.doubtfulCut = appended.lsn;
    const done = await this.#attempt(() => this.#journal.truncateAfter(appended));
    must(done !== 'full', () => 'to drop unfinished commits takes room');
    this.#model.doubtfulCut = null;
    this.#model.cut(appended.lsn);
    this.#model.acknowledge(appended.lsn);
  }

  async #harden(): Promise<void> {
    const asked = this.#model.appended.lsn;
    const answer = await this.#attempt(() => this.#journal.harden());
    must(answer !== 'full', () => 'to harden takes room');
    must(answer.lsn >= asked, () => `harden answered ${answer.lsn}, and ${asked} was appended before`);
    must(this.#journal.hardened.lsn >= answer.lsn, () => 'hardened is behind what harden answered');
    this.#model.acknowledge(answer.lsn);
  }

  /** Appends and hardens at once, as a server does. */
  async #burst(): Promise<void> {
    const syncs: Promise<void>[] = [];
    const room = this.#random.chance(0.3) ? this.#makeRoomOften() : null;
    const work = async (): Promise<void> => {
      for (let blocks = this.#random.integer(2, 8); blocks > 0; blocks -= 1) {
        await this.#appendCommits();
        if (this.#random.chance(0.6)) syncs.push(this.#harden());
      }
    };
    const results = await Promise.allSettled([work(), room]);
    const failed = [...results, ...(await Promise.allSettled(syncs))].filter(({ status }) => status === 'rejected');
    const reasons = failed.map((result) => (result as PromiseRejectedResult).reason as unknown);
    const worst = reasons.find((reason) => !(reason instanceof Ended)) ?? reasons[0];
    if (worst !== undefined) throw worst;
  }

  async #makeRoom(): Promise<void> {
    await this.#attempt(() => this.#journal.makeRoom());
  }

  async #makeRoomOften(): Promise<void> {
    for (let times = this.#random.integer(1, 12); times > 0; times -= 1) await this.#makeRoom();
  }

  async #hold(): Promise<void> {
    const journal = this.#journal;
    const holder = this.#random.pick(['mirror', 'backup', 'reader']);
    const lsn = Lsn.of(this.#random.integer(Number(journal.start.lsn), Number(journal.hardened.lsn)));
    this.#model.doubtfulHolder = holder;
    const done = await this.#attempt(() => journal.hold(holder, lsn));
    must(done !== 'full', () => 'to hold takes room');
    this.#model.doubtfulHolder = null;
    this.#model.holders.set(holder, lsn);
    must(journal.holders.get(holder) === lsn, () => `${holder} is not held`);
  }

  async #release(): Promise<void> {
    const [holder] = this.#model.holders.keys();
    if (holder === undefined) return;
    this.#model.doubtfulHolder = holder;
    await this.#attempt(() => this.#journal.release(holder));
    this.#model.doubtfulHolder = null;
    this.#model.holders.delete(holder);
  }

  async #trim(): Promise<void> {
    const freed = await this.#attempt(() => this.#journal.trim());
    must(freed !== 'full', () => 'to trim takes room');
    if (freed > 0) this.#counts.trims += 1;
    mustKeepWhatIsHeld(this.#journal, this.#model);
  }

  async #cut(): Promise<void> {
    const journal = this.#journal;
    const lsn = this.#random.integer(Number(journal.start.lsn), Number(journal.appended.lsn));
    const position = this.#model.positionAt(Lsn.of(lsn));
    if (position === null) return;
    this.#model.doubtfulCut = position.lsn;
    this.#cutFrom = this.#model.appended.lsn;
    const done = await this.#attempt(() => journal.truncateAfter(position));
    must(done !== 'full', () => 'to cut takes room');
    this.#model.doubtfulCut = null;
    this.#model.cut(position.lsn);
    this.#model.acknowledge(position.lsn);
    this.#counts.cuts += 1;
    must(journal.appended.lsn === position.lsn, () => `after the cut the journal ends with ${journal.appended.lsn}`);
  }

  async #lookUp(): Promise<void> {
    const journal = this.#journal;
    const lsn = Lsn.of(this.#random.integer(0, Number(journal.hardened.lsn) + 2));
    const found = await this.#attempt(() => journal.positionAt(lsn));
    must(found !== 'full', () => 'to look takes room');
    const expected = lsn < journal.start.lsn || lsn > journal.hardened.lsn ? null : this.#model.positionAt(lsn);
    must(found?.lsn === expected?.lsn, () => `positionAt(${lsn}) answered ${found?.lsn}`);
    if (found === null || expected === null) return;
    must(Buffer.compare(found.hash, expected.hash) === 0, () => `positionAt(${lsn}) answered another hash`);
  }

  async #readSome(): Promise<void> {
    const { start, hardened } = this.#journal;
    const from = Lsn.of(this.#random.integer(Number(start.lsn) + 1, Number(hardened.lsn) + 1));
    const read = await this.#attempt(() => Array.fromAsync(this.#journal.read(from)));
    if (read !== 'full') mustBe(read, this.#model.between(from, hardened.lsn), `read(${from})`);
  }

  /** A reader that follows along, until {@link endReading}. */
  beginReading(): void {
    const journal = this.#journal;
    const end = new AbortController();
    const from = Lsn.of(this.#random.integer(Number(journal.start.lsn) + 1, Number(journal.hardened.lsn) + 1));
    this.#reading = { end, result: this.#follow(journal, from, end.signal) };
    this.#reading.result.catch(() => undefined);
  }

  async #follow(journal: Journal, from: Lsn, signal: AbortSignal): Promise<void> {
    let before: Block | null = null;
    try {
      for await (const block of journal.read(from, { follow: true, signal })) {
        const follows = before === null || Buffer.compare(block.previousHash, before.hash) === 0;
        must(follows, () => `the reader got LSN ${block.first} where it does not follow`);
        must(
          block.last <= journal.hardened.lsn || block.last <= this.#cutFrom,
          () => `the reader got LSN ${block.last} before it was hardened`,
        );
        const expected = this.#model.blocks.find(({ hash }) => Buffer.compare(hash, block.hash) === 0);
        mustEqual(block, expected, 'follow');
        before = block;
      }
    } catch (error) {
      const code = error instanceof SpeilError ? error.code : null;
      const asked = signal.aborted || this.#disk.stopped || code === 'JOURNAL_FAILED' || code === 'INTERRUPTED';
      if (!asked && code !== 'JOURNAL_GAP') throw error;
    }
  }

  async endReading(): Promise<void> {
    const reading = this.#reading;
    this.#reading = null;
    reading?.end.abort();
    await reading?.result;
  }

  async close(): Promise<void> {
    try {
      await this.#journal[Symbol.asyncDispose]();
    } catch (error) {
      must(this.#breaks || this.#disk.stopped, () => `closing failed without reason: ${String(error)}`);
    }
  }
}
