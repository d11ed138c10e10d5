import assert from 'node:assert/strict';
import { BATCHES_AHEAD_MAX } from '../../src/core/limits.ts';
import type { MirrorClientService, RowDataRequest } from '../../src/task/contract.ts';
import { eventually } from '../support/workload.ts';
import { testPairs } from './mirroring.ts';

const ROWS = 2_000;

/** A client that prepares calls, and answers one of a copy only when the next is prepared. */
function preparing() {
  const prepared: RowDataRequest[] = [];
  let answered = 0;
  const decorate = (client: MirrorClientService): MirrorClientService => ({
    ...client,
    prepareRowData: async (request) => {
      prepared.push(request);
      assert.ok(prepared.length - answered <= 1 + BATCHES_AHEAD_MAX, 'one is made, so many are ready');
    },
    rowData: async (request) => {
      const [phase] = request.batches.map((batch) => batch.phase);
      if (phase?.kind !== 'copy') return client.rowData(request);
      assert.equal(request, prepared[answered], 'in their order, each with the request that was prepared');
      if (!phase.done) await eventually(() => assert.ok(prepared.length > answered + 1));
      const answer = await client.rowData(request);
      answered++;
      return answer;
    },
  });
  return { decorate, prepared };
}

testPairs('calls of a copy are prepared while the one before is made, a few and no more', async (mirroring) => {
  const rows = Array.from({ length: ROWS }, (_, at) => `(${at}, 'a note of some length')`).join(', ');
  await mirroring.source.sql(`CREATE TABLE item (id integer PRIMARY KEY, note text); INSERT INTO item VALUES ${rows}`);
  const { decorate, prepared } = preparing();
  const { report } = await mirroring.decorated(decorate, { batchBytes: 2_000 });
  assert.equal(report.status, 'completed', JSON.stringify(report.tables));
  assert.ok(prepared.length > 2 * BATCHES_AHEAD_MAX, `${prepared.length} calls`);
  await mirroring.same();
});
