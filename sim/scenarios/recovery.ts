import type { DiskFile } from '../../src/core/disk.ts';
import { Lineage } from '../../src/core/lineage.ts';
import { Lsn } from '../../src/core/lsn.ts';
import { Term } from '../../src/core/term.ts';
import { CHECKPOINT_HOLDER } from '../../src/engine/sqlite/checkpointer.ts';
import { recover } from '../../src/engine/sqlite/recovery.ts';
import { RedoFile } from '../../src/engine/sqlite/redo.ts';
import { type DatabaseState, readState, writeState } from '../../src/engine/sqlite/state.ts';
import { createJournal } from '../../src/journal/create-journal.ts';
import type { Journal } from '../../src/journal/journal.ts';
import { openJournal } from '../../src/journal/open-journal.ts';
import { SimDisk } from '../disk.ts';
import { SimRandom } from '../random.ts';
import { must } from '../violation.ts';
import { type RecordedGroup, type RecordedRun, recordRun } from './recorded-run.ts';

export type RecoveryCounts = Record<
  'lives' | 'crashes' | 'crashesInRecovery' | 'kills' | 'commitsRedone' | 'checkpoints' | 'unacknowledgedKept',
  number
>;

const FOLDER = 'shop';
const JOURNAL = `${FOLDER}/journal`;
const DATABASE = `${FOLDER}/database.db`;
const LIVES = 4;
const SEGMENT_BYTES = 64 << 10;

let recording: Promise<RecordedRun> | null = null;

/**
 * A recorded run of a real database is hardened in a journal on a disk that crashes, moved into the database file behind it as
 * checkpoints do, and recovered after each crash, also one in the middle of recovering. Whatever is lost, the file must be,
 * byte for byte, what SQLite had after some commit, and no acknowledged one may be missing.
 */
export async function runRecovery(seed: number): Promise<RecoveryCounts> {
  recording ??= recordRun();
  const run = await recording;
  const random = new SimRandom(seed);
  const world = new World(new SimDisk(random.fork()), random, run);
  await world.create();
  for (let life = 0; life < LIVES; life += 1) await world.live();
  await world.lastLife();
  return world.counts;
}

class World {
  readonly counts: RecoveryCounts = {
    ...{
      lives: 0,
      crashes: 0,
      crashesInRecovery: 0,
      kills: 0,
      commitsRedone: 0,
      checkpoints: 0,
      unacknowledgedKept: 0,
    },
  };
  readonly #disk: SimDisk;
  readonly #random: SimRandom;
  readonly #run: RecordedRun;
  /** By the commit that each group ends with. */
  readonly #after = new Map<Lsn, { readonly index: number; readonly group: RecordedGroup }>();
  readonly #identity: Pick<DatabaseState, 'lineage' | 'term'>;
  #acknowledged = Lsn.zero;

  constructor(disk: SimDisk, random: SimRandom, run: RecordedRun) {
    this.#disk = disk;
    this.#random = random;
    this.#run = run;
    this.#identity = { lineage: Lineage.of(random.uuid()), term: Term.first };
    let lsn = Lsn.zero;
    for (const [index, group] of run.groups.entries()) {
      lsn = Lsn.after(lsn, BigInt(group.commits));
      this.#after.set(lsn, { index, group });
    }
  }

  async create(): Promise<void> {
    await this.#disk.makeFolder(FOLDER);
    const file = await this.#disk.open(DATABASE, 'create');
    await file.write([this.#run.before], 0);
    await file.sync();
    await file.close();
    await this.#disk.syncFolder(FOLDER);
    const { lineage } = this.#identity;
    await (await createJournal({ disk: this.#disk, folder: JOURNAL, lineage, segmentBytes: SEGMENT_BYTES }))[
      Symbol.asyncDispose
    ]();
    await this.#writeState(Lsn.zero, this.#run.checksumBefore);
  }

  /** Recovers, works, and ends without notice. */
  async live(): Promise<void> {
    this.counts.lives += 1;
    const isPowerCut = this.#random.chance(0.8);
    if (isPowerCut) this.#disk.stopAfter(this.#random.integer(1, 400));
    let reached: Lsn | null = null;
    try {
      const opened = await this.#open();
      reached = opened.reached;
      await this.#work(opened);
    } catch (error) {
      if (!this.#disk.stopped) throw error;
      if (reached === null) this.counts.crashesInRecovery += 1;
    }
    if (this.#disk.stopped || isPowerCut) {
      this.counts.crashes += 1;
      this.#disk.restart();
    } else {
      this.counts.kills += 1;
      this.#disk.endProcess();
    }
  }

  async lastLife(): Promise<void> {
    const { journal } = await this.#open();
    await journal[Symbol.asyncDispose]();
  }

  async #open(): Promise<{ readonly journal: Journal; readonly reached: Lsn }> {
    const state = await readState(this.#disk, FOLDER);
    must(state !== null, () => 'the state is gone');
    const { journal } = await openJournal({
      ...{ disk: this.#disk, folder: JOURNAL, lineage: state.lineage, segmentBytes: SEGMENT_BYTES },
      ...{ from: state.checkpoint, hardenedAtLeast: state.checkpoint },
    });
    const { lsn, checksum } = await recover({ disk: this.#disk, folder: FOLDER, journal, state });
    if (lsn > this.#acknowledged) this.counts.unacknowledgedKept += 1;
    await this.#judge(lsn);
    this.counts.commitsRedone += Number(lsn - state.checkpoint);
    await this.#writeState(lsn, checksum);
    await journal.hold(CHECKPOINT_HOLDER, lsn);
    return { journal, reached: lsn };
  }

  /** What was recovered is acknowledged from now on: clients read it. */
  async #judge(lsn: Lsn): Promise<void> {
    must(lsn >= this.#acknowledged, () => `recovered up to commit ${lsn}, and ${this.#acknowledged} was acknowledged`);
    const expected = lsn === Lsn.zero ? this.#run.before : this.#after.get(lsn)?.group.after;
    must(expected !== undefined, () => `recovered up to commit ${lsn}, in the middle of a group`);
    const file = await this.#disk.open(DATABASE, 'read');
    const found = Buffer.alloc(await file.length());
    await file.read(found, 0);
    await file.close();
    must(masked(found).equals(masked(expected)), () => `the file is not what SQLite had after commit ${lsn}`);
    this.#acknowledged = lsn;
  }

  async #work({ journal, reached }: { readonly journal: Journal; readonly reached: Lsn }): Promise<void> {
    const file = await this.#disk.open(DATABASE, 'write');
    const backfill = new RedoFile(file);
    let moved = reached;
    for (let at = reached; ; ) {
      const next = this.#groupAfter(at);
      if (next === null) break;
      at = await this.#commit(journal, at, next);
      if (this.#random.chance(0.4)) moved = await this.#backfill(backfill, moved, at);
      if (this.#random.chance(0.15)) await this.#makeDurable(journal, file, moved);
      if (this.#random.chance(0.02)) break;
    }
  }

  #groupAfter(lsn: Lsn): RecordedGroup | null {
    const index = lsn === Lsn.zero ? 0 : (this.#after.get(lsn)?.index ?? -2) + 1;
    return this.#run.groups[index] ?? null;
  }

  async #commit(journal: Journal, before: Lsn, { pieces, commits }: RecordedGroup): Promise<Lsn> {
    const [first, last] = [Lsn.after(before), Lsn.after(before, BigInt(commits))];
    for (const { payload, continued, databaseChecksum } of pieces) {
      if (journal.roomBytes < SEGMENT_BYTES) await journal.makeRoom();
      await journal.append({ term: Term.first, first, last, continued, databaseChecksum, sealedAtMs: 0, payload });
    }
    await journal.harden();
    this.#acknowledged = last;
    return last;
  }

  /** What a checkpoint does: pages of hardened commits are written to the file, in whatever order, and nothing is synced. */
  async #backfill(file: RedoFile, from: Lsn, to: Lsn): Promise<Lsn> {
    for (let lsn = from, group = this.#groupAfter(lsn); group !== null && lsn < to; group = this.#groupAfter(lsn)) {
      for (const { payload, continued } of group.pieces) await file.apply(payload, { continued });
      lsn = Lsn.after(lsn, BigInt(group.commits));
    }
    await file.flush();
    return to;
  }

  async #makeDurable(journal: Journal, file: DiskFile, lsn: Lsn): Promise<void> {
    await file.sync();
    await this.#writeState(lsn, this.#after.get(lsn)?.group.checksum ?? this.#run.checksumBefore);
    await journal.hold(CHECKPOINT_HOLDER, lsn);
    await journal.trim();
    this.counts.checkpoints += 1;
  }

  #writeState(checkpoint: Lsn, checksum: bigint): Promise<void> {
    return writeState(this.#disk, FOLDER, { ...this.#identity, checkpoint, checksum, stopped: null });
  }
}

/** Without the change counter and what goes with it, which SQLite sets when it checkpoints. */
function masked(image: Buffer): Buffer {
  const copy = Buffer.from(image);
  copy.fill(0, 18, 20).fill(0, 24, 28).fill(0, 92, 100);
  return copy;
}
