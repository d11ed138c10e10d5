import { SpeilError } from '../../src/core/error.ts';
import { Lineage } from '../../src/core/lineage.ts';
import { Lsn } from '../../src/core/lsn.ts';
import { createJournal } from '../../src/journal/create-journal.ts';
import type { Journal } from '../../src/journal/journal.ts';
import { type OpenedJournal, openJournal } from '../../src/journal/open-journal.ts';
import { SimDisk } from '../disk.ts';
import { SimRandom } from '../random.ts';
import { must } from '../violation.ts';
import { type JournalCounts, noCounts } from './journal-counts.ts';
import { damageJournal } from './journal-damage.ts';
import { JournalModel, mustBe, mustKeepWhatIsHeld } from './journal-model.ts';
import { Ended, JournalWork, type Trouble } from './journal-work.ts';

const FOLDER = 'data/journal';

/** One life of a journal on one disk. Throws {@link Violation} when a promise is broken. */
export async function runJournal(seed: number): Promise<JournalCounts> {
  const random = new SimRandom(seed);
  const life = new JournalLife(random);
  await life.create();
  for (let rounds = random.integer(2, 6); rounds > 0; rounds -= 1) await life.round();
  return life.counts;
}

class JournalLife {
  readonly counts = noCounts();
  readonly #random: SimRandom;
  readonly #disk: SimDisk;
  readonly #model: JournalModel;
  readonly #segmentBytes: number;
  readonly #payloadBytesMax: number;
  #journal: Journal | null = null;

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
    const ending = await this.#end(await this.#work());
    await this.#damage(false);
    await this.#reopen();
    await this.#verify(ending);
    await this.#damage(true);
  }

  async #work(): Promise<JournalWork> {
    const random = this.#random;
    const work = new JournalWork({
      ...{ journal: this.#open, model: this.#model, disk: this.#disk, random, counts: this.counts },
      trouble: this.#arm(),
      payloadBytesMax: this.#payloadBytesMax,
    });
    if (random.chance(0.5)) work.beginReading();
    try {
      for (let steps = random.integer(5, 60); steps > 0; steps -= 1) await work.step();
    } catch (error) {
      if (!(error instanceof Ended)) throw error;
    }
    await work.endReading();
    return work;
  }

  #arm(): Trouble {
    const random = this.#random;
    const trouble = random.pick(['nothing', 'stop', 'stop', 'sync', 'write', 'full'] as const);
    const used = [...this.#disk.files().values()].reduce((sum, { length }) => sum + length, 0);
    this.#disk.capacityBytes = trouble === 'full' ? used + random.integer(0, 4) * 3000 : Number.POSITIVE_INFINITY;
    if (trouble === 'stop') this.#disk.stopAfter(random.integer(0, 300));
    return trouble;
  }

  async #end(work: JournalWork): Promise<'close' | 'kill' | 'crash'> {
    const planned = this.#random.pick(['close', 'kill', 'crash'] as const);
    if (planned === 'close') await work.close();
    const ending = this.#disk.stopped ? 'crash' : planned;
    if (ending === 'crash') this.#disk.restart();
    else this.#disk.endProcess();
    this.counts[ending === 'close' ? 'closings' : ending === 'kill' ? 'kills' : 'crashes'] += 1;
    this.#journal = null;
    return ending;
  }

  /** `exact`: the journal was opened, so that its mark says what it ends with. */
  #damage(exact: boolean): Promise<void> {
    const [disk, model, counts] = [this.#disk, this.#model, this.counts];
    return damageJournal({ disk, model, counts, exact, folder: FOLDER, random: this.#random.fork() });
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
    mustKeepWhatIsHeld(journal, model);
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
