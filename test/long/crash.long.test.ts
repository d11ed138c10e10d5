import { test } from 'node:test';
import { pairs } from '../conformance/mirroring.ts';
import { type Beginning, playCrash, testCrashes } from '../crash/crash.ts';
import { TASK_POINTS } from '../support/composed-task.ts';

const BEGINNINGS: readonly Beginning[] = ['empty', 'up to date', 'to be copied again'];

/** About ten minutes a pair: every point of every beginning, then points that chance chooses. */
for (const pair of pairs) {
  for (const beginning of BEGINNINGS) {
    test(`${pair.name}, ${beginning}: killed at each point`, async () => {
      for (const [seed, point] of TASK_POINTS.entries())
        await playCrash(pair, { point, occurrence: 1, beginning, seed });
    });
  }
  testCrashes(pair, { numRuns: 200 });
}
