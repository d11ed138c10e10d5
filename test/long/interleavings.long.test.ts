import { test } from 'node:test';
import { interleavingsHold } from '../order/interleavings.ts';

test('any interleaving of four sessions with cycles between, for minutes', async () => {
  await interleavingsHold({ numRuns: 300 });
});
