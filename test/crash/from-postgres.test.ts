import { fromPostgres } from '../conformance/mirroring.ts';
import { testCrashes } from './crash.ts';

for (const [at, pair] of fromPostgres.entries()) testCrashes(pair, { numRuns: 5, seed: 1_000 + at });
