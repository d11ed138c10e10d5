import assert from 'node:assert/strict';
import type { MirrorClientService, TablePosition } from '../../src/task/contract.ts';
import { fromPostgres, type Mirroring, pairs, testPairs } from './mirroring.ts';

const CHOSEN = pairs.filter(({ source, mirror }) => source === mirror);

/** The client says that a copy stands, and how far it got. */
const standing =
  (progress: string) =>
  (client: MirrorClientService): MirrorClientService => ({
    ...client,
    tableSchema: async (request) => {
      const answer = await client.tableSchema(request);
      return { ...answer, tables: answer.tables.map((table) => claiming(table, progress)) };
    },
  });

const claiming = (table: TablePosition, progress: string): TablePosition =>
  table.position === null ? table : { ...table, copy: { start: table.position, progress, rows: 0, filled: false } };

const isComplete = async (mirroring: Mirroring, progress: string): Promise<void> => {
  const { report } = await mirroring.decorated(standing(progress));
  assert.equal(report.status, 'completed', `${progress}: ${JSON.stringify(report.tables)}`);
  await mirroring.same();
};

testPairs(
  'a copy whose progress cannot be read begins anew',
  async (mirroring) => {
    await mirroring.source.sql('CREATE TABLE item (id integer PRIMARY KEY); INSERT INTO item VALUES (1), (2), (3)');
    await mirroring.cycle();
    const wrong = [
      '',
      '{}',
      '[]',
      '5',
      '{"oid":"1","filenode":"2","block":"3"}',
      '{"after":["q"],"schemaVersion":"1"}',
    ];
    for (const progress of wrong) await isComplete(mirroring, progress);
  },
  CHOSEN,
);

testPairs(
  'what a mirror says of a copy never becomes part of a statement',
  async (mirroring) => {
    await mirroring.source.sql(`
      CREATE TABLE item (id integer PRIMARY KEY); INSERT INTO item VALUES (1), (2), (3); CREATE TABLE mark (at int PRIMARY KEY);
      CREATE FUNCTION mark() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.mark SELECT count(*) FROM public.mark; RETURN true; END $$`);
    await mirroring.cycle();
    const [relation] = await mirroring.source.sql(
      "SELECT oid::int, pg_relation_filenode(oid)::text AS filenode FROM pg_class WHERE oid = 'item'::regclass",
    );
    const end = "9,0)'::tid AND public.mark() AND ctid < '(9";
    await isComplete(mirroring, JSON.stringify({ ...relation, block: 0, within: { end, rows: 0 } }));
    assert.deepEqual(await mirroring.source.sql('SELECT * FROM mark'), []);
  },
  fromPostgres.filter(({ mirror }) => mirror === 'sqlite'),
);

testPairs(
  'a table without a key that was interrupted on its way begins anew',
  async (mirroring) => {
    await mirroring.source.sql('CREATE TABLE item (note text)');
    const insert = `INSERT INTO item VALUES ${Array.from({ length: 200 }, (_, at) => `('a note of some length ${at}')`).join(', ')}`;
    await mirroring.source.sql(insert);
    await mirroring.cycle();
    await mirroring.source.sql(insert);
    let calls = 0;
    const interrupted = mirroring.decorated(
      (client) => ({
        ...client,
        rowData: async (request) => {
          if (++calls === 3) throw new Error('the machine stops');
          return client.rowData(request);
        },
      }),
      { batchBytes: 2_000 },
    );
    await assert.rejects(interrupted, /the machine stops/);
    assert.equal(calls, 3);
    const copy = String(await mirroring.mirror.value('SELECT copy FROM speil_mirroring'));
    assert.match(copy, /"start":\{"lsn":"\d+"/);
    assert.doesNotMatch(copy, /witness/, 'a mirror keeps of a position what it needs');
    await mirroring.follow();
  },
  CHOSEN,
);
