import { testPairs } from '../conformance/mirroring.ts';
import { resumesAtSixtyPercent } from '../scenario/resume.ts';

testPairs('a first copy of 2 million rows that is killed at 60 % goes on there', async (mirroring) => {
  await resumesAtSixtyPercent(mirroring, 2_000_000, 1_000_000);
  await mirroring.same();
});
