import { SpeilError } from '../../src/core/error.ts';
import { Lsn } from '../../src/core/lsn.ts';
import { checkJournal } from '../../src/journal/inspect-journal.ts';
import { openJournal } from '../../src/journal/open-journal.ts';
import type { SimDisk } from '../disk.ts';
import { SECTOR_BYTES } from '../disk-file.ts';
import type { SimRandom } from '../random.ts';
import { must } from '../violation.ts';
import type { JournalCounts } from './journal-counts.ts';
import { type JournalModel, mustBe } from './journal-model.ts';

type Experiment = {
  readonly disk: SimDisk;
  readonly random: SimRandom;
  readonly model: JournalModel;
  readonly counts: JournalCounts;
  /** Whether the mark of what was hardened is known to be up to date. */
  readonly exact: boolean;
  readonly folder: string;
};

/** Damages a copy of the disk: what is found must be named, what is not found must not have been served. */
export async function damageJournal(experiment: Experiment): Promise<void> {
  const disk = experiment.disk.copy(experiment.random.fork());
  await judge({ ...experiment, disk }, damageDisk(disk, experiment));
}

const KINDS = ['bit', 'bit', 'bit', 'sector', 'garbage', 'shorter', 'lost'] as const;

type Damage = {
  readonly kind: (typeof KINDS)[number];
  readonly what: string;
  /** The mark of what was hardened is gone, too, as when the power went before it was written back. */
  readonly unmarked: boolean;
};

function damageDisk(disk: SimDisk, { random, folder }: Experiment): Damage {
  const paths = [...disk.files()].filter(([path, { length }]) => length > 0 && !isSpare(path));
  const [path, content] = random.pick(paths);
  const kind = random.pick(KINDS);
  const near = random.chance(0.5) ? content.length : Math.min(2000, content.length);
  const offset = random.integer(0, near - 1);
  const unmarked = random.chance(0.5);
  if (unmarked) disk.damage(`${folder}/marks`, (bytes) => bytes.fill(0, 0, 512));
  if (kind === 'lost' && !isOldest(path, disk)) disk.lose(path);
  else if (kind === 'shorter') disk.shorten(path, offset);
  else disk.damage(path, (bytes) => garble(bytes, { kind, offset, random }));
  return { kind, unmarked, what: `${kind} at byte ${offset} of ${path}` };
}

const isSpare = (path: string): boolean => path.endsWith('.spare') || path.endsWith('.tmp');

/** That the oldest segment is missing can be known only from a holder. */
const isOldest = (path: string, disk: SimDisk): boolean =>
  path === [...disk.files().keys()].filter((name) => name.endsWith('.journal')).sort()[0];

type Garbling = { readonly kind: Damage['kind']; readonly offset: number; readonly random: SimRandom };

function garble(bytes: Buffer, { kind, offset, random }: Garbling): void {
  const sector = offset - (offset % SECTOR_BYTES);
  if (kind === 'sector') bytes.fill(0, sector, sector + SECTOR_BYTES);
  else if (kind === 'garbage') bytes.set(random.bytes(Math.min(SECTOR_BYTES, bytes.length - offset)), offset);
  else bytes.writeUInt8(bytes.readUInt8(offset) ^ (1 << random.integer(0, 7)), offset);
}

async function judge(experiment: Experiment, damage: Damage): Promise<void> {
  const { disk, counts, folder } = experiment;
  counts.damages += 1;
  const { findings } = await checkJournal({ disk, folder });
  const found = findings.map(({ kind, what }) => `${kind}: ${what}`);
  const named = findings.some(({ kind }) => kind === 'damage');
  try {
    await judgeOpened(experiment, damage);
    must(!named, () => `${damage.what}: opening finds nothing, and check ${JSON.stringify(found)}`);
  } catch (error) {
    if (!(error instanceof SpeilError) || error.code !== 'JOURNAL_DAMAGED') throw error;
    must(named, () => `${damage.what}: opening says ${error.message}, and check finds ${JSON.stringify(found)}`);
    counts.damagesNamed += 1;
  }
}

async function judgeOpened({ disk, model, exact, folder }: Experiment, damage: Damage): Promise<void> {
  const { journal } = await openJournal({ disk, folder, lineage: model.lineage });
  const { start, hardened, holders } = journal;
  const read = await Array.fromAsync(journal.read(Lsn.after(start.lsn)));
  mustBe(read, model.between(Lsn.after(start.lsn), hardened.lsn), damage.what);
  if (!exact) return;
  const least = leastHardened(model, damage);
  must(hardened.lsn >= least, () => `${damage.what}: cut off after ${hardened.lsn}, and ${least} was hardened`);
  if (damage.kind !== 'bit') return;
  for (const [holder, lsn] of model.holders)
    must(holders.get(holder) === lsn, () => `${damage.what}: ${holder} held ${lsn}, and holds ${holders.get(holder)}`);
}

/** Of what was hardened, how much must be there when damage is not named. */
function leastHardened(model: JournalModel, { kind, unmarked }: Damage): Lsn {
  if (!unmarked) return model.hardened;
  return kind === 'bit' ? model.testified : Lsn.zero;
}
