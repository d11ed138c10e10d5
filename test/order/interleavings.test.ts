import assert from 'node:assert/strict';
import { test } from 'node:test';
import { interleavingsHold } from './interleavings.ts';

test('any interleaving of four sessions with cycles between: the mirror is the source at each of them', async () => {
  await interleavingsHold({ numRuns: 12, seed: 20_240_229 });
});

test('the property finds a hole: a mirror that is not told of one change', async () => {
  await assert.rejects(interleavingsHold({ numRuns: 1, seed: 7, forget: true }), ({ cause }: Error) =>
    /the mirror differs from its source\nitem: \d+ rows are missing/.test(String(cause)),
  );
});
