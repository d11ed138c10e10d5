import { SpeilError } from '../../src/core/error.ts';
import { Lsn } from '../../src/core/lsn.ts';
import { checkJournal } from '../../src/journal/inspect-journal.ts';
import { openJournal } from '../../src/journal/open-journal.ts';
import type { SimDisk } from '../disk.ts';
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

const EXPERIMENTS = 2;

/** Damages copies of the disk: what is found must be named, what is not found must not have been served. */
export async function damageJournal(experiment: Experiment): Promise<void> {
  for (let nth = 0; nth < EXPERIMENTS; nth += 1) {
    const disk = experiment.disk.copy(experiment.random.fork());
    const what = damage(disk, experiment.random);
    await judge({ ...experiment, disk }, what);
  }
}

const isSpare = (path: string): boolean => path.endsWith('.spare') || path.endsWith('.tmp');

function damage(disk: SimDisk, random: SimRandom): string {
  const paths = [...disk.files()].filter(([path, { length }]) => length > 0 && !isSpare(path));
  const [path, content] = random.pick(paths);
  const kind = random.pick(['bit', 'bit', 'bit', 'sector', 'garbage', 'shorter', 'lost'] as const);
  const offset = random.chance(0.5)
    ? random.integer(0, content.length - 1)
    : random.integer(0, Math.min(2000, content.length - 1));
  if (kind === 'lost' && !isOldest(path, disk)) {
    disk.lose(path);
    return `${path} was lost`;
  }
  if (kind === 'shorter') disk.shorten(path, offset);
  disk.damage(path, (bytes) => {
    if (kind === 'bit') bytes[offset] = (bytes[offset] ?? 0) ^ (1 << random.integer(0, 7));
    if (kind === 'sector') bytes.fill(0, offset - (offset % 512), offset - (offset % 512) + 512);
    if (kind === 'garbage') bytes.set(random.bytes(Math.min(512, bytes.length - offset)), offset);
  });
  return `${kind} at byte ${offset} of ${path}`;
}

/** That the oldest segment is missing can be known only from a holder. */
const isOldest = (path: string, disk: SimDisk): boolean =>
  path === [...disk.files().keys()].filter((name) => name.endsWith('.journal')).sort()[0];

async function judge({ disk, model, counts, exact, folder }: Experiment, what: string): Promise<void> {
  counts.damages += 1;
  const check = await checkJournal({ disk, folder });
  const found = check.findings.map(({ kind, what }) => `${kind}: ${what}`);
  const named = check.findings.some(({ kind }) => kind === 'damage');
  try {
    const { journal } = await openJournal({ disk, folder, lineage: model.lineage });
    const { start, hardened } = journal;
    const read = await Array.fromAsync(journal.read(Lsn.after(start.lsn)));
    mustBe(read, model.between(Lsn.after(start.lsn), hardened.lsn), what);
    must(
      !exact || hardened.lsn >= model.hardened,
      () => `${what}: cut off after ${hardened.lsn}, and ${model.hardened} was hardened`,
    );
    must(!named, () => `${what}: opening finds nothing, and check ${JSON.stringify(found)}`);
  } catch (error) {
    if (!(error instanceof SpeilError) || error.code !== 'JOURNAL_DAMAGED') throw error;
    must(named, () => `${what}: opening says ${error.message}, and check finds ${JSON.stringify(found)}`);
    counts.damagesNamed += 1;
  }
}
