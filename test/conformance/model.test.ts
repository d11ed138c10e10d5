import { testHistories } from './model-check.ts';

testHistories({ numRuns: 10, stepsMax: 25 });
