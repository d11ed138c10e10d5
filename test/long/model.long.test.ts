import { testHistories } from '../conformance/model-check.ts';

testHistories({ numRuns: 200, stepsMax: 60 });
