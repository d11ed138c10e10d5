import assert from 'node:assert/strict';
import { resync } from '../../src/mirror.ts';
import type { MirrorClientService, RowBatch, RowDataRequest } from '../../src/task/contract.ts';
import type { Preferences } from '../../src/task/preferences.ts';
import { copiedIn, countsOf, fromPostgres, type Mirroring, messagesOf, tableOf, testPairs } from './mirroring.ts';

type Call = { readonly name: keyof MirrorClientService; readonly batches: readonly RowBatch[] };

/** A cycle whose calls are written down in their order. */
async function recorded(m: Mirroring, preferences: Partial<Preferences> = {}) {
  const calls: Call[] = [];
  const noted =
    <Q, A>(name: Call['name'], call: (request: Q) => Promise<A>) =>
    (request: Q & { batches?: readonly RowBatch[] }) => {
      calls.push({ name, batches: request.batches ?? [] });
      return call(request);
    };
  const cycle = await m.decorated(
    (client) => ({
      authenticate: noted('authenticate', client.authenticate),
      tableSchema: noted('tableSchema', client.tableSchema),
      wipe: noted('wipe', client.wipe),
      rowData: noted('rowData', client.rowData),
      replicationCompleted: noted('replicationCompleted', client.replicationCompleted),
    }),
    preferences,
  );
  assert.equal(cycle.report.status, 'completed');
  return { cycle, calls, names: calls.map(({ name }) => name), batches: calls.flatMap(({ batches }) => batches) };
}

const series = (count: number): string =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;
const bytesOf = (batches: readonly RowBatch[]): number => batches.reduce((sum, { rows }) => sum + rows.length, 0);
const operationsOf = (batches: readonly RowBatch[]): readonly string[] =>
  batches.flatMap(({ rows, phase }) =>
    phase.kind === 'changes'
      ? Buffer.from(rows)
          .toString()
          .split('\n')
          .filter((line) => line !== '')
      : [],
  );

testPairs('the five calls come in the order of the contract, each once but the row data', async (m) => {
  for (const table of ['a', 'b', 'c'])
    await m.source.sql(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO ${table} VALUES (1, 'x')`);
  const first = await recorded(m);
  assert.deepEqual(
    first.names
      .filter((name, at) => name !== first.names[at - 1])
      .join(' ')
      .replace(/(wipe rowData )+/, 'wipe rowData '),
    'authenticate tableSchema wipe rowData replicationCompleted',
  );
  assert.equal(first.names.filter((name) => name === 'wipe').length, 3);
  await m.source.sql(`UPDATE a SET v = 'y'; UPDATE b SET v = 'y'; INSERT INTO c VALUES (2, NULL)`);
  const second = await recorded(m);
  assert.deepEqual(second.names, ['authenticate', 'tableSchema', 'rowData', 'replicationCompleted']);
  assert.deepEqual([...new Set(second.batches.map(({ table }) => table.name))].toSorted(), ['a', 'b', 'c']);
  assert.deepEqual((await recorded(m)).names, ['authenticate', 'tableSchema', 'replicationCompleted']);
});

testPairs('calls are about as large as BatchSize, and a larger row goes alone', async (m) => {
  await m.source.sql(`CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE u (id INTEGER PRIMARY KEY, v TEXT);
    INSERT INTO t ${series(2500)} SELECT i, '${'x'.repeat(200)}' || i FROM n; INSERT INTO u ${series(2500)} SELECT i, '${'y'.repeat(200)}' || i FROM n`);
  const limits = (calls: readonly Call[]) => calls.filter(({ batches }) => bytesOf(batches) > 220_000);
  const first = await recorded(m, { batchBytes: 200_000 });
  assert.deepEqual(
    limits(first.calls).map(({ batches }) => bytesOf(batches)),
    [],
  );
  await m.source.sql(
    `UPDATE t SET v = 'z' || v; UPDATE u SET v = 'z' || v WHERE id < 20; INSERT INTO u VALUES (9999, '${'g'.repeat(900_000)}')`,
  );
  const second = await recorded(m, { batchBytes: 200_000 });
  const [giant, ...others] = limits(second.calls);
  assert.deepEqual(others, []);
  assert.equal(
    giant?.batches.reduce((sum, { rowCount }) => sum + rowCount, 0),
    1,
  );
  assert.ok(second.calls.length > 4);
  await m.same();
});

testPairs('a row of 20 MB', async (m) => {
  await m.source.sql('CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INTEGER)');
  const giant = { postgres: `repeat('0123456789', 2000000)`, sqlite: 'hex(zeroblob(10000000))' }[m.source.kind];
  await m.source.sql(`INSERT INTO t VALUES (1, 'small', 0), (2, ${giant}, 0), (3, 'small', 0)`);
  const sameGiant = async () => {
    const [expected, actual] = await Promise.all(
      [m.source, m.mirror].map((one) => one.value('SELECT v FROM t WHERE id = 2')),
    );
    assert.ok(expected === actual && String(actual).length === 20_000_000);
  };
  await m.cycle();
  await sameGiant();
  await m.source.sql('UPDATE t SET n = 1');
  assert.deepEqual(countsOf(await m.cycle(), 't'), { inserted: 0, updated: 3, deleted: 0 });
  await sameGiant();
});

testPairs('only the last batch of a table moves its position', async (m) => {
  await m.source.sql(
    `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t ${series(300)} SELECT i, '${'x'.repeat(50)}' FROM n`,
  );
  await m.cycle();
  const lsn = () => m.mirror.value(`SELECT lsn FROM speil_mirroring WHERE table_name = 't'`);
  const before = await lsn();
  await m.source.sql(`UPDATE t SET v = 'y' || v`);
  const positions: boolean[] = [];
  await m.decorated(
    (client) => ({
      ...client,
      rowData: async (request: RowDataRequest) => {
        const answer = await client.rowData(request);
        positions.push(String(await lsn()) !== String(before));
        return answer;
      },
    }),
    { batchBytes: 2_000 },
  );
  assert.ok(positions.length > 5);
  assert.deepEqual(
    positions.map((moved, at) => moved === (at === positions.length - 1)).filter((right) => !right),
    [],
  );
  await m.same();
});

testPairs('a row that changed ten times is one operation, and one that came and went at most one', async (m) => {
  await m.source.sql(`CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b')`);
  await m.cycle();
  for (let n = 0; n < 10; n++) await m.source.sql(`UPDATE t SET v = v || '.' WHERE id = 1`);
  await m.source.sql(
    `INSERT INTO t VALUES (3, 'c'); UPDATE t SET v = 'final' WHERE id = 3; INSERT INTO t VALUES (4, 'gone'); DELETE FROM t WHERE id = 4; DELETE FROM t WHERE id = 2`,
  );
  const { batches, cycle } = await recorded(m);
  const operations = operationsOf(batches)
    .map((line) => line.split('\t').slice(0, 2).join(' ').replace('i', ''))
    .toSorted();
  assert.deepEqual(
    operations.filter((operation) => operation !== 'D 4'),
    ['D 2', 'U 1', 'U 3'],
  );
  assert.deepEqual(countsOf(cycle, 't'), { inserted: 1, updated: 1, deleted: 1 });
  await m.same();
});

testPairs('the same batch twice: the same table', async (m) => {
  await m.source.sql(
    `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE keyless (v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO keyless VALUES ('x'), ('x')`,
  );
  const twice = (client: MirrorClientService): MirrorClientService => {
    const repeated =
      <Q, A>(call: (request: Q) => Promise<A>, isRepeated = (_: Q) => true) =>
      async (request: Q) => {
        if (isRepeated(request)) await call(request);
        return call(request);
      };
    const hasPlainChanges = ({ batches }: RowDataRequest) =>
      batches.every(({ phase, table }) => phase.kind === 'changes' && phase.position === null && table.name === 't');
    return {
      authenticate: repeated(client.authenticate),
      tableSchema: repeated(client.tableSchema),
      wipe: repeated(client.wipe),
      rowData: repeated(client.rowData, hasPlainChanges),
      replicationCompleted: repeated(client.replicationCompleted),
    };
  };
  await m.decorated(twice);
  await m.same();
  await m.source.sql(
    `UPDATE t SET v = 'c' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t ${series(200)} SELECT i + 10, '${'n'.repeat(40)}' FROM n; INSERT INTO keyless VALUES ('y')`,
  );
  await m.decorated(twice, { batchBytes: 1_000 });
  await m.same();
});

testPairs('a mirror that asks not to be replicated to', async (m) => {
  await m.source.sql('CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)');
  const cycle = await m.decorated((client) => ({
    ...client,
    authenticate: async (request) => ({
      ...(await client.authenticate(request)),
      doNotReplicate: { reason: 'moving house' },
    }),
    tableSchema: () => assert.fail('no further calls'),
  }));
  assert.equal(cycle.report.skipped, 'moving house');
  await m.follow();
});

testPairs(
  'skipped tables: spelled in any way, unknown names warned of, their mirror copies dropped after a warning',
  async (m) => {
    for (const table of ['one', '"Two Words"', 'three'])
      await m.source.sql(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY)`);
    await m.cycle();
    const cycle = await m.cycle({ skipTables: [' ONE ', 'twowords', 'no_such_table'] });
    assert.deepEqual(
      cycle.report.tables.map(({ table }) => table),
      ['three'],
    );
    const warnings = messagesOf(cycle, 'warning').join('\n');
    assert.match(warnings, /no_such_table/);
    assert.match(warnings, /one is skipped/);
    assert.match(warnings, /Two Words is skipped/);
    await assert.rejects(m.mirror.sql('SELECT * FROM one'));
    await m.follow();
  },
);

testPairs('only some tables: the others are left alone', async (m) => {
  await m.source.sql(`CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)`);
  await m.cycle();
  await m.source.sql('INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)');
  const cycle = await m.cycle({ onlyTables: ['A'] });
  assert.deepEqual(
    cycle.report.tables.map(({ table }) => table),
    ['a'],
  );
  assert.equal(Number(await m.mirror.value('SELECT count(*) FROM b')), 0);
  await m.follow();
});

testPairs('the tenant names the metadata table, and two tenants share a mirror', async (m) => {
  await m.source.sql('CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)');
  await m.cycle({ tenant: 'Cust1', skipTables: ['b'] });
  await m.cycle({ tenant: 'Cust2', skipTables: ['a'] });
  const rows = await m.mirror.sql(
    'SELECT table_name, schema_hash, lsn, lineage FROM "Cust1_mirroring" UNION ALL SELECT table_name, schema_hash, lsn, lineage FROM "Cust2_mirroring"',
  );
  assert.deepEqual(
    rows.map((row) => row['table_name']),
    ['a', 'b'],
  );
  for (const row of rows) {
    assert.match(String(row['schema_hash']), /^[0-9a-f]{32}$/);
    assert.ok(BigInt(String(row['lsn'])) >= 0n);
  }
});

testPairs('an operator sets an LSN to -1, deletes a metadata row, drops a table, or all of the metadata', async (m) => {
  await m.source.sql(
    `CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE b (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (1, 'x'), (2, 'y'); INSERT INTO b VALUES (1)`,
  );
  await m.cycle();
  await m.mirror.sql(
    `UPDATE speil_mirroring SET lsn = -1 WHERE table_name = 'a'; DELETE FROM a WHERE id = 1; INSERT INTO a VALUES (99, 'not in the source')`,
  );
  const first = await m.follow();
  assert.deepEqual(copiedIn(first), ['a']);
  assert.ok(tableOf(first, 'a').repopulated);
  await m.mirror.sql(`DELETE FROM speil_mirroring WHERE table_name = 'a'; DROP TABLE a`);
  assert.deepEqual(copiedIn(await m.follow()), ['a']);
  await m.mirror.sql('DROP TABLE b');
  assert.deepEqual(copiedIn(await m.follow()), ['b']);
  await m.mirror.sql('DROP TABLE a; DROP TABLE b; DROP TABLE speil_mirroring');
  assert.deepEqual(copiedIn(await m.follow()).toSorted(), ['a', 'b']);
});

testPairs('resync copies the tables named and no others', async (m) => {
  await m.source.sql(
    `CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)`,
  );
  await m.cycle();
  await m.mirror.sql('DELETE FROM a; DELETE FROM b');
  assert.deepEqual(await resync(m.mirror.address, [' A']), { resynced: ['a'] });
  assert.deepEqual(copiedIn(await m.cycle()), ['a']);
  assert.equal(Number(await m.mirror.value('SELECT count(*) FROM b')), 0);
  await assert.rejects(resync(m.mirror.address, ['nothing']), { code: 'USAGE' });
});

testPairs('hooks: in order, with what happened, and harmless when they throw', async (m) => {
  await m.source.sql(
    `CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (1), (2)`,
  );
  const heard: string[] = [];
  const hooks = {
    onBeforeTable: (table: { name: string }, change: string) => void heard.push(`before ${table.name} ${change}`),
    onWipe: (table: { name: string }) => void heard.push(`wipe ${table.name}`),
    onReplicationCompleted: (changed: readonly { table: { name: string }; inserted: number }[]) =>
      void heard.push(`completed ${changed.map(({ table, inserted }) => `${table.name} +${inserted}`)}`),
  };
  await m.cycle({ hooks });
  assert.deepEqual(heard.slice(0, 2).toSorted(), ['before a created', 'before b created']);
  assert.deepEqual(heard.slice(2, 4).toSorted(), ['wipe a', 'wipe b']);
  assert.deepEqual(heard.slice(4), ['completed a +2']);
  const thrower = () => {
    throw new Error('out of order');
  };
  await m.source.sql('INSERT INTO b VALUES (1)');
  const cycle = await m.follow({ hooks: { onBeforeTable: thrower, onWipe: thrower, onReplicationCompleted: thrower } });
  const notes = messagesOf(cycle, 'note');
  assert.equal(notes.filter((note) => /hook .* failed: out of order/.test(note)).length, 3);
});

testPairs(
  '120 tables with 1,500 columns, unchanged, in one schema call',
  async (m) => {
    const tables = Array.from({ length: 120 }, (_, at) => {
      const columns = Array.from(
        { length: at % 4 === 0 ? 14 : 11 },
        (_, index) => `column_number_${index} varchar(${index + 2}) DEFAULT ''`,
      );
      return `CREATE TABLE table_number_${at} (id int PRIMARY KEY, ${columns.join(', ')});`;
    });
    await m.source.sql(tables.join('\n'));
    await m.cycle();
    const startedMs = performance.now();
    const { names, cycle } = await recorded(m);
    assert.deepEqual(names, ['authenticate', 'tableSchema', 'replicationCompleted']);
    assert.equal(cycle.report.tables.length, 120);
    assert.ok(performance.now() - startedMs < 5_000, `${performance.now() - startedMs} ms`);
  },
  fromPostgres.slice(0, 1),
);
