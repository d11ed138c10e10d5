import { test } from 'node:test';
import fc from 'fast-check';
import { Mirroring, pairs } from './mirroring.ts';
import { history, type Step } from './model.ts';

const START = `CREATE TABLE t0 (id INTEGER PRIMARY KEY, a TEXT, b TEXT); CREATE TABLE t1 (id INTEGER PRIMARY KEY, a TEXT DEFAULT 'd'); INSERT INTO t0 VALUES (1, 'x', 'y'), (2, NULL, '')`;

async function take(m: Mirroring, step: Step): Promise<void> {
  const write = (sql: string) => m.source.sql(sql).catch(() => undefined);
  switch (step.kind) {
    case 'write':
      await write(step.sql);
      return;
    case 'transaction':
      await write(`BEGIN; ${step.statements.join('; ')}; ${step.commits ? 'COMMIT' : 'ROLLBACK'}`);
      return;
    case 'cycle':
      await m.follow({ batchBytes: step.batchBytes });
      return;
    case 'busy cycle':
      await busyCycle(m, step);
  }
}

/** A change of schema gives up on a table that the cycle itself holds: the cycle waits for it here. */
async function busyCycle(
  m: Mirroring,
  { batchBytes, statements }: Extract<Step, { kind: 'busy cycle' }>,
): Promise<void> {
  const left = [...statements];
  const disturb = async () => {
    const sql = left.shift();
    if (sql === undefined) return;
    await m.source.sql({ postgres: `SET lock_timeout = 50; ${sql}`, sqlite: sql }).catch(() => undefined);
  };
  const disturbed = async <T>(call: () => Promise<T>): Promise<T> => {
    await disturb();
    return call();
  };
  await m.decorated(
    (client) => ({
      authenticate: (request) => client.authenticate(request),
      tableSchema: (request) => disturbed(() => client.tableSchema(request)),
      wipe: (request) => disturbed(() => client.wipe(request)),
      rowData: (request) => disturbed(() => client.rowData(request)),
      replicationCompleted: (request) => client.replicationCompleted(request),
    }),
    { batchBytes },
  );
}

/** After every cycle of a random history of writes and changes of schema the mirror is what its source is. */
export function testHistories({ numRuns, stepsMax }: { readonly numRuns: number; readonly stepsMax: number }): void {
  for (const pair of pairs) {
    test(`${pair.name}: ${numRuns} random histories`, async () => {
      const property = fc.asyncProperty(history(pair.source, stepsMax), async (steps) => {
        await using m = await Mirroring.open(pair);
        await m.source.sql(START);
        for (const step of steps) await take(m, step);
        await m.follow();
      });
      await fc.assert(property, { numRuns, endOnFailure: true });
    });
  }
}
