import { testPairs } from '../conformance/mirroring.ts';
import { resumesAtSixtyPercent } from './resume.ts';

testPairs('a first copy of 300,000 rows that is killed at 60 % goes on there', async (mirroring) => {
  await resumesAtSixtyPercent(mirroring, 300_000, 200_000);
  await mirroring.same();
});
