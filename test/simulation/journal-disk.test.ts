import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runJournal } from '../../sim/scenarios/journal.ts';
import { type JournalCounts, noCounts } from '../../sim/scenarios/journal-counts.ts';

const SEEDS = 150;

/** `npm run sim -- --only journal --seed N` repeats what failed; `--runs N` goes further. */
test('a journal keeps its promises on a disk that loses, tears and fails', async () => {
  const sums = noCounts();
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const counts = await runJournal(seed).catch((cause: unknown) => {
      throw new Error(`npm run sim -- --only journal --seed ${seed}`, { cause });
    });
    for (const what of Object.keys(sums) as (keyof JournalCounts)[]) sums[what] += counts[what];
  }
  for (const [what, count] of Object.entries(sums)) assert.ok(count > 0, `no ${what} in ${SEEDS} lives`);
});

test('the same seed is the same life', async () => {
  assert.deepEqual(await runJournal(7), await runJournal(7));
  assert.notDeepEqual(await runJournal(7), await runJournal(8));
});
