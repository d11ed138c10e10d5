import { BarePosition } from '../../src/core/bare-position.ts';
import { TableName } from '../../src/core/table.ts';
import type { MirrorClientService } from '../../src/task/contract.ts';

/** One number for each table, and nothing else: what a mirror of SuperOffice's contract keeps. */
export type BareNumbers = Map<string, bigint>;

/** A client whose mirror keeps bare numbers: no lineage, no bookmark, no copy that goes on. */
export const bareClient =
  (numbers: BareNumbers) =>
  (client: MirrorClientService): MirrorClientService => ({
    ...client,
    authenticate: async (request) => ({ ...(await client.authenticate(request)), held: [] }),
    tableSchema: async (request) => {
      const answer = await client.tableSchema(request);
      const tables = answer.tables.map((table) => {
        const number = table.position === null ? undefined : numbers.get(TableName.toText(table.table));
        return { ...table, copy: null, position: BarePosition.fromNumber(number ?? -1n, ['shape']) };
      });
      return { ...answer, tables };
    },
    wipe: async (request) => {
      numbers.delete(TableName.toText(request.schema.table));
      return client.wipe(request);
    },
    rowData: async (request) => {
      const answer = await client.rowData(request);
      for (const { table, phase } of request.batches) {
        if (phase.kind === 'copy' || phase.position === null) continue;
        numbers.set(TableName.toText(table), BarePosition.toNumber(phase.position, 'shape'));
      }
      return answer;
    },
  });
