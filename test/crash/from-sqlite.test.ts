import { fromSqlite } from '../conformance/mirroring.ts';
import { testCrashes } from './crash.ts';

for (const [at, pair] of fromSqlite.entries()) testCrashes(pair, { numRuns: 5, seed: 2_000 + at });
