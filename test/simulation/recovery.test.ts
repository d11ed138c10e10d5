import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RecoveryCounts, runRecovery } from '../../sim/scenarios/recovery.ts';

const SEEDS = 40;

test('recovered after any crash, also in the middle of recovering, a file is what SQLite had after an acknowledged commit or later', async () => {
  const sums: Partial<Record<keyof RecoveryCounts, number>> = {};
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    for (const [what, count] of Object.entries(await runRecovery(seed)))
      sums[what as keyof RecoveryCounts] = (sums[what as keyof RecoveryCounts] ?? 0) + count;
  }
  for (const [what, count] of Object.entries(sums)) assert.ok(count > 0, `${what} never happened`);
});
