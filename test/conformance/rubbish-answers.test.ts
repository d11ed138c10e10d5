import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { CallName } from '../../src/client/exchange.ts';
import { type Answers, decodeAnswer, encodeAnswer } from '../../src/client/wire/messages.ts';
import { SpeilError } from '../../src/core/error.ts';
import type { MirrorClientService } from '../../src/task/contract.ts';
import { Mirroring, type Pair } from './mirroring.ts';

const TABLES = ['one', 'two', 'pair', 'loose'] as const;
const SETUP = `
  CREATE TABLE one(id INTEGER PRIMARY KEY, note TEXT);
  CREATE TABLE two(id INTEGER PRIMARY KEY, note TEXT);
  CREATE TABLE pair(a INTEGER, b INTEGER, note TEXT, PRIMARY KEY (a, b));
  CREATE TABLE loose(note TEXT);
  INSERT INTO one VALUES (1, 'a'), (2, 'b'); INSERT INTO two VALUES (1, 'c'), (2, 'd');
  INSERT INTO pair VALUES (1, 1, 'e'), (1, 2, 'f'); INSERT INTO loose VALUES ('g'), ('h')`;

const SQLITE: Pair = { name: 'sqlite→sqlite', source: 'sqlite', mirror: 'sqlite' };

const CALLS = {
  authenticate: 'authenticate',
  tableSchema: 'table-schema',
  wipe: 'wipe',
  rowData: 'row-data',
  replicationCompleted: 'replication-completed',
} as const satisfies Record<Exclude<keyof MirrorClientService, 'prepareRowData'>, CallName>;
type Method = keyof typeof CALLS;

/** Answers as the wire has them: LSNs are texts in it. */
type Json = Record<string, unknown>;
const asJson = (answer: unknown): Json =>
  JSON.parse(JSON.stringify(answer, (_, value) => (typeof value === 'bigint' ? String(value) : value)));

/** The list of tables of an answer, changed; an answer without one is as it was. */
const withTables =
  (change: (tables: readonly Json[]) => readonly unknown[]) =>
  (answer: Json): unknown => ({
    ...answer,
    ...(Array.isArray(answer['tables']) ? { tables: change(answer['tables']) } : {}),
  });
const withFirst = (change: (table: Json, all: readonly Json[]) => unknown) =>
  withTables((tables) => tables.map((table, at) => (at === 0 ? change(table, tables) : table)));

const rubbishText = fc.oneof(
  fc.string(),
  fc.constantFrom('', 'null', '{}', '[]', '[[1],"",""]', '{"after":["q"],"schemaVersion":"1"}', '{"after":[{}]}'),
);
const lsn = fc.constantFrom('0', '1', '5', '18446744073709551615');
const position = fc.record({ lsn, token: rubbishText, lineage: rubbishText, bookmark: fc.option(rubbishText) });
const counts = fc.constantFrom(-1, 0.5, 1e15, Number.MAX_SAFE_INTEGER, null, '1');

/** What comes instead of the right answer. */
const mangle: fc.Arbitrary<(answer: Json) => unknown> = fc.oneof(
  fc.jsonValue().map((value) => () => value),
  fc.constantFrom(
    withTables((tables) => tables.slice(1)),
    withTables((tables) => tables.slice(0, -1)),
    withTables(() => []),
    withTables((tables) => [...tables, ...tables.slice(0, 1)]),
    withTables((tables) => [...tables, { ...tables[0], table: { schema: null, name: 'nobody' } }]),
    withFirst((table) => ({ ...table, table: { schema: null, name: 'nobody' } })),
    withFirst((table, all) => ({ ...table, table: all.at(-1)?.['table'] })),
    withFirst((table, all) => ({ ...table, position: all.at(-1)?.['position'], lsn: all.at(-1)?.['lsn'] })),
    withFirst((table) => ({ ...table, position: null, lsn: null })),
    withFirst((table) => ({ ...table, copy: { start: table['position'], progress: null, rows: 3, filled: true } })),
    (answer: Json) => ({ ...answer, clientState: 'x'.repeat(1_000_000) }),
    (answer: Json) => ({ ...answer, dropped: [{ schema: null, name: 'one' }] }),
    (answer: Json) => ({ ...answer, callBytesMax: 1 }),
    (answer: Json) => ({ ...answer, supportedInterface: 1e300, doNotReplicate: { reason: 'no' } }),
  ),
  fc.array(position).map((held) => (answer: Json) => ({ ...answer, held })),
  position.map((held) => withFirst((table) => ({ ...table, position: held, lsn: held.lsn }))),
  fc
    .record({ start: position, progress: fc.option(rubbishText), rows: counts, filled: fc.boolean() })
    .map((copy) => withFirst((table) => ({ ...table, copy }))),
  rubbishText.map((progress) =>
    withFirst((table) => ({ ...table, copy: { start: table['position'], progress, rows: 1, filled: false } })),
  ),
  counts.map((count) => withFirst((table) => ({ ...table, counts: { inserted: count, updated: 0, deleted: 0 } }))),
  lsn.map((wrong) => withFirst((table) => ({ ...table, lsn: wrong }))),
);

/** The client does what it is asked; then one answer is another one, whether it went over the wire or not. */
function mangling(client: MirrorClientService, target: Method, at: number, change: (answer: Json) => unknown) {
  let calls = 0;
  const answer = async (method: Method, request: unknown): Promise<unknown> => {
    const call = CALLS[method];
    const right: unknown = await Reflect.apply(client[method], client, [request]);
    const given = method === target && calls++ === at ? change(asJson(right)) : asJson(right);
    return decodeAnswer(call, encodeAnswer(call, given as Answers[CallName]));
  };
  const methods = Object.keys(CALLS) as Method[];
  const made = methods.map((method) => [method, (request: unknown) => answer(method, request)]);
  return Object.fromEntries(made) as unknown as MirrorClientService;
}

const rowsOf = async ({ source, mirror }: Mirroring, table: string) => {
  const query = `SELECT * FROM ${table} ORDER BY 1, 2`.replace(', 2', table === 'loose' ? '' : ', 2');
  const plain = async (database: Mirroring['source']) => (await database.sql(query)).map((row) => ({ ...row }));
  return { expected: await plain(source), actual: await plain(mirror).catch(() => null) };
};

test('a client that answers rubbish at any call: no table counts as done that is not', async () => {
  await using mirroring = await Mirroring.open(SQLITE);
  await mirroring.source.sql(SETUP);
  await mirroring.cycle();
  let round = 0;
  const refusals = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...(Object.keys(CALLS) as Method[])),
      fc.nat({ max: 3 }),
      mangle,
      fc.boolean(),
      async (method, at, change, anew) => {
        round += 1;
        if (anew)
          await mirroring.mirror.sql("UPDATE speil_mirroring SET lsn = -1 WHERE table_name IN ('one', 'loose')");
        const changes = TABLES.map((table) => `UPDATE ${table} SET note = 'round ${round}'`);
        await mirroring.source.sql(`${changes.join('; ')}; INSERT INTO loose VALUES ('more')`);
        try {
          const { report } = await mirroring.decorated((client) => mangling(client, method, at, change));
          await assertTruth(mirroring, report);
        } catch (error) {
          if (!(error instanceof SpeilError)) throw error;
          assert.notEqual(error.code, 'INTERNAL', error.message);
          refusals.add(error.code);
        }
        await mirroring.cycle({ takeOver: true });
        for (const table of TABLES) {
          const { expected, actual } = await rowsOf(mirroring, table);
          assert.deepEqual(actual, expected, `${table}, after a good cycle`);
        }
      },
    ),
    { numRuns: 60 },
  );
  assert.ok(refusals.has('CONTRACT_BROKEN'), [...refusals].join(' '));
});

async function assertTruth(
  mirroring: Mirroring,
  report: Awaited<ReturnType<Mirroring['run']>>['report'],
): Promise<void> {
  if (report.skipped !== undefined) return assert.deepEqual(report.tables, []);
  assert.deepEqual(report.tables.map(({ table }) => table).toSorted(), [...TABLES].toSorted());
  for (const { table, error } of report.tables) {
    if (error !== undefined) continue;
    const { expected, actual } = await rowsOf(mirroring, table);
    assert.deepEqual(actual, expected, `${table} counts as done`);
  }
}
