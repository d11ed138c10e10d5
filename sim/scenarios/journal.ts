import { SpeilError } from '../../src/core/error.ts';
import { Lineage } from '../../src/core/lineage.ts';
import { Lsn } from '../../src/core/lsn.ts';
import { Term } from '../../src/core/term.ts';
import type { Block, BlockDraft } from '../../src/journal/block.ts';
import { createJournal } from '../../src/journal/create-journal.ts';
import type { Journal } from '../../src/journal/journal.ts';
import { type OpenedJournal, openJournal } from '../../src/journal/open-journal.ts';
import { SimDisk } from '../disk.ts';
import { SimRandom } from '../random.ts';
import { must, Violation } from '../violation.ts';
import { damageJournal } from './journal-damage.ts';
import { JournalModel, mustBe, mustEqual } from './journal-model.ts';

/** How often things happened; a run in which nothing goes wrong proves nothing. */
export type JournalCounts = Record<
  | 'blocks'
  | 'crashes'
  | 'kills'
  | 'closings'
  | 'tornTails'
  | 'lostBlocks'
  | 'cuts'
  | 'completedCuts'
  | 'trims'
  | 'diskFull'
  | 'failures'
  | 'damages'
  | 'damagesNamed',
  number
>;

export const noCounts = (): JournalCounts => ({
  ...{ blocks: 0, crashes: 0, kills: 0, closings: 0, tornTails: 0, lostBlocks: 0, cuts: 0, completedCuts: 0 },
  ...{ trims: 0, diskFull: 0, failures: 0, damages: 0, damagesNamed: 0 },
});

export const FOLDER = 'data/journal';

/** One life of a journal on one disk. Throws {@link Violation} when a promise is broken. */
export async function runJournal(seed: number): Promise<JournalCounts> {
  const random = new SimRandom(seed);
  const life = new JournalLife(random);
  await life.create();
  for (let rounds = random.integer(2, 6); rounds > 0; rounds -= 1) await life.round();
  return life.counts;
}

/** The journal cannot be used any more, as it should be. */
class Ended extends Error {}

class JournalLife {
  readonly counts = noCounts();
  readonly #random: SimRandom;
  readonly #disk: SimDisk;
  readonly #model: JournalModel;
  readonly #segmentBytes: number;
  readonly #payloadBytesMax: number;
  #journal: Journal | null = null;
  #reading: { readonly end: AbortController; readonly result: Promise<void> } | null = null;
  #trouble = false;
  /** What the journal ended with before it was cut in this round: a block may be under way to a reader that long. */
  #cutFrom = Lsn.zero;

  constructor(random: SimRandom) {
    this.#random = random;
    this.#disk = new SimDisk(random.fork());
    this.#model = new JournalModel(Lineage.of(random.uuid()));
    this.#segmentBytes = random.pick([4096, 8192, 16384]);
    this.#payloadBytesMax = random.pick([40, 600, this.#segmentBytes - 1000]);
  }

  get #open(): Journal {
    if (this.#journal === null) throw new Error('no journal is open');
    return this.#journal;
  }

  /** A crash while it is made leaves a journal or none. */
  async create(): Promise<void> {
    const options = {
      disk: this.#disk,
      folder: FOLDER,
      lineage: this.#model.lineage,
      segmentBytes: this.#segmentBytes,
    };
    if (this.#random.chance(0.3)) this.#disk.stopAfter(this.#random.integer(0, 40));
    try {
      this.#journal = await createJournal(options);
    } catch (error) {
      if (!this.#disk.stopped) throw error;
      this.#disk.restart();
      this.#journal = (await this.#openIfThere()) ?? (await createJournal(options));
    }
  }

  async #openIfThere(): Promise<Journal | null> {
    try {
      return (await this.#openJournal()).journal;
    } catch (error) {
      if (error instanceof SpeilError && error.code === 'FILE_MISSING') return null;
      throw error;
    }
  }

  #openJournal(): Promise<OpenedJournal> {
    const { lineage } = this.#model;
    return openJournal({ disk: this.#disk, folder: FOLDER, lineage, segmentBytes: this.#segmentBytes });
  }

  /** Some work, an end of one kind or another, and a look at what is there afterwards. */
  async round(): Promise<void> {
    this.#arm();
    if (this.#random.chance(0.5)) this.#beginReading();
    try {
      for (let steps = this.#random.integer(5, 60); steps > 0; steps -= 1) await this.#step();
    } catch (error) {
      if (!(error instanceof Ended)) throw error;
    }
    const ending = await this.#end();
    await this.#reopen();
    await this.#verify(ending);
    await damageJournal({
      ...{ disk: this.#disk, random: this.#random.fork(), model: this.#model, counts: this.counts },
      exact: ending !== 'crash',
    });
  }

  /** What will go wrong in this round. */
  #arm(): void {
    const random = this.#random;
    this.#trouble = false;
    this.#cutFrom = Lsn.zero;
    this.#disk.capacityBytes = Number.POSITIVE_INFINITY;
    const kind = random.pick(['nothing', 'stop', 'stop', 'sync', 'write', 'full'] as const);
    if (kind === 'stop') this.#disk.stopAfter(random.integer(0, 300));
    if (kind === 'full') this.#disk.capacityBytes = this.#usedBytes() + random.integer(0, 4) * 3000;
    if (kind === 'sync' || kind === 'write') this.#trouble = true;
    this.#troubleKind = kind;
  }

  #troubleKind: 'nothing' | 'stop' | 'sync' | 'write' | 'full' = 'nothing';

  #usedBytes(): number {
    return [...this.#disk.files().values()].reduce((sum, { length }) => sum + length, 0);
  }

  async #step(): Promise<void> {
    if (this.#trouble && this.#random.chance(0.05)) this.#startTrouble();
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
    this.#model.acknowledge(this.#open.hardened.lsn);
  }

  #startTrouble(): void {
    if (this.#troubleKind === 'sync') this.#disk.failSyncs(this.#random.pick([1, 1, 1_000_000]));
    else this.#disk.failWrites(1);
  }

  async #giveRoom(): Promise<void> {
    if (this.#troubleKind === 'full') this.#disk.capacityBytes += 20_000;
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
      if (code === 'DISK_FULL' && this.#troubleKind === 'full') {
        this.counts.diskFull += 1;
        return 'full';
      }
      must(code === 'JOURNAL_FAILED' && this.#trouble, () => `a call failed without reason: ${String(error)}`);
      this.counts.failures += 1;
      await this.#mustHaveFailed();
      throw new Ended();
    }
  }

  async #mustHaveFailed(): Promise<void> {
    const journal = this.#open;
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
    this.#model.add(expected);
    const block = await this.#attempt(() => this.#open.append(draft));
    if (block === 'full') {
      this.#model.removeLast();
      return false;
    }
    mustEqual(block, expected, 'append');
    this.counts.blocks += 1;
    return true;
  }

  async #dropUnfinished(): Promise<void> {
    const { appended } = this.#open;
    must(appended.lsn === this.#model.appended.lsn, () => `the journal stands at ${appended.lsn}`);
    this.#model.doubtfulCut = appended.lsn;
    const done = await this.#attempt(() => this.#open.truncateAfter(appended));
    must(done !== 'full', () => 'to drop unfinished commits takes room');
    this.#model.doubtfulCut = null;
    this.#model.cut(appended.lsn);
    this.#model.acknowledge(appended.lsn);
  }

  async #harden(): Promise<void> {
    const asked = this.#model.appended.lsn;
    const answer = await this.#attempt(() => this.#open.harden());
    must(answer !== 'full', () => 'to harden takes room');
    must(answer.lsn >= asked, () => `harden answered ${answer.lsn}, and ${asked} was appended before`);
    must(this.#open.hardened.lsn >= answer.lsn, () => 'hardened is behind what harden answered');
    this.#model.acknowledge(answer.lsn);
  }

  /** Appends and hardens at once, as a server does. */
  async #burst(): Promise<void> {
    const syncs: Promise<void>[] = [];
    const room = this.#random.chance(0.3) ? this.#makeRoom() : null;
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
    await this.#attempt(() => this.#open.makeRoom());
  }

  async #hold(): Promise<void> {
    const journal = this.#open;
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
    await this.#attempt(() => this.#open.release(holder));
    this.#model.doubtfulHolder = null;
    this.#model.holders.delete(holder);
  }

  async #trim(): Promise<void> {
    const freed = await this.#attempt(() => this.#open.trim());
    must(freed !== 'full', () => 'to trim takes room');
    if (freed > 0) this.counts.trims += 1;
    this.#mustKeepWhatIsHeld();
  }

  #mustKeepWhatIsHeld(): void {
    const { start } = this.#open;
    for (const [holder, lsn] of this.#model.holders)
      must(start.lsn <= lsn, () => `the journal starts after ${start.lsn}, and ${holder} holds what is after ${lsn}`);
    must(start.lsn <= this.#open.hardened.lsn, () => `the journal starts after ${start.lsn}`);
  }

  async #cut(): Promise<void> {
    const journal = this.#open;
    const lsn = this.#random.integer(Number(journal.start.lsn), Number(journal.hardened.lsn));
    const position = this.#model.positionAt(Lsn.of(lsn));
    if (position === null) return;
    this.#model.doubtfulCut = position.lsn;
    this.#cutFrom = this.#model.appended.lsn;
    const done = await this.#attempt(() => journal.truncateAfter(position));
    must(done !== 'full', () => 'to cut takes room');
    this.#model.doubtfulCut = null;
    this.#model.cut(position.lsn);
    this.#model.acknowledge(position.lsn);
    this.counts.cuts += 1;
    must(journal.appended.lsn === position.lsn, () => `after the cut the journal ends with ${journal.appended.lsn}`);
  }

  async #lookUp(): Promise<void> {
    const journal = this.#open;
    const lsn = Lsn.of(this.#random.integer(0, Number(journal.hardened.lsn) + 2));
    const found = await this.#attempt(() => journal.positionAt(lsn));
    must(found !== 'full', () => 'to look takes room');
    const expected = lsn < journal.start.lsn || lsn > journal.hardened.lsn ? null : this.#model.positionAt(lsn);
    must(found?.lsn === expected?.lsn, () => `positionAt(${lsn}) answered ${found?.lsn}`);
    if (found === null || expected === null) return;
    must(Buffer.compare(found.hash, expected.hash) === 0, () => `positionAt(${lsn}) answered another hash`);
  }

  async #readSome(): Promise<void> {
    const { start, hardened } = this.#open;
    const from = Lsn.of(this.#random.integer(Number(start.lsn) + 1, Number(hardened.lsn) + 1));
    const read = await this.#attempt(() => Array.fromAsync(this.#open.read(from)));
    if (read !== 'full') mustBe(read, this.#model.between(from, hardened.lsn), `read(${from})`);
  }

  /** A reader that follows along, until the end of the round. */
  #beginReading(): void {
    const journal = this.#open;
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

  async #end(): Promise<'close' | 'kill' | 'crash'> {
    const reading = this.#reading;
    this.#reading = null;
    reading?.end.abort();
    await reading?.result;
    const ending = this.#disk.stopped ? 'crash' : this.#random.pick(['close', 'kill', 'crash'] as const);
    if (ending === 'close') await this.#close();
    if (ending === 'crash') this.#disk.restart();
    else this.#disk.endProcess();
    this.counts[ending === 'close' ? 'closings' : ending === 'kill' ? 'kills' : 'crashes'] += 1;
    this.#journal = null;
    return ending;
  }

  async #close(): Promise<void> {
    try {
      await this.#open[Symbol.asyncDispose]();
    } catch (error) {
      must(this.#trouble, () => `closing failed without reason: ${String(error)}`);
    }
  }

  /** Opening may crash too, as often as it likes. */
  async #reopen(): Promise<void> {
    for (let crashes = this.#random.integer(0, 2); ; crashes -= 1) {
      if (crashes > 0) this.#disk.stopAfter(this.#random.integer(0, 60));
      try {
        const opened = await this.#openJournal();
        this.#disk.stopAfter(Number.POSITIVE_INFINITY);
        this.#journal = opened.journal;
        if (opened.tornTail !== null) this.counts.tornTails += 1;
        if (opened.completedCut !== null) this.counts.completedCuts += 1;
        return;
      } catch (error) {
        must(this.#disk.stopped, () => `the journal cannot be opened: ${String(error)}`);
        this.#disk.restart();
      }
    }
  }

  /** What is there must be what was given: all that was hardened, and no more than a whole beginning of the rest. */
  async #verify(ending: 'close' | 'kill' | 'crash'): Promise<void> {
    const journal = this.#open;
    const model = this.#model;
    const { start, hardened } = journal;
    must(journal.appended.lsn === hardened.lsn, () => 'after opening, not everything is hardened');
    this.#judgeEnd(hardened.lsn, ending);
    const read = await Array.fromAsync(journal.read(Lsn.after(start.lsn)));
    mustBe(read, model.between(Lsn.after(start.lsn), hardened.lsn), `after the ${ending}`);
    this.#judgeHolders();
    this.#mustKeepWhatIsHeld();
  }

  #judgeEnd(hardened: Lsn, ending: string): void {
    const model = this.#model;
    const wasCut = model.doubtfulCut === hardened;
    model.doubtfulCut = null;
    must(
      hardened >= model.hardened || wasCut,
      () => `after the ${ending} the journal ends with LSN ${hardened}, and ${model.hardened} was hardened`,
    );
    must(model.positionAt(hardened) !== null, () => `after the ${ending} the journal ends with LSN ${hardened}`);
    const before = model.blocks.length;
    model.cut(hardened);
    model.acknowledge(hardened);
    this.counts.lostBlocks += before - model.blocks.length;
  }

  /** A holder may have fallen back to where it was before, which keeps more. */
  #judgeHolders(): void {
    const { doubtfulHolder, holders } = this.#model;
    const found = this.#open.holders;
    this.#model.doubtfulHolder = null;
    for (const [holder, lsn] of holders) {
      const kept = found.get(holder);
      if (holder === doubtfulHolder) continue;
      must(kept !== undefined && kept <= lsn, () => `${holder} held ${lsn}, and holds ${kept} now`);
    }
    for (const holder of found.keys())
      must(holders.has(holder) || holder === doubtfulHolder, () => `${holder} was never a holder`);
    holders.clear();
    for (const [holder, lsn] of found) holders.set(holder, lsn);
  }
}
