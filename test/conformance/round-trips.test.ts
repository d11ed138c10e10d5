import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';
import { createMirrorClient } from '../../src/client/mirror-client.ts';
import { Ends, runtime } from '../../src/open.ts';
import type { MirrorClientService } from '../../src/task/contract.ts';
import { runTask } from '../../src/task/mirroring-task.ts';
import { PREFERENCES_DEFAULT, type Preferences } from '../../src/task/preferences.ts';
import { withClient } from '../support/postgres-client.ts';
import { errorsOf, Mirroring } from './mirroring.ts';

const READY_FOR_QUERY = 'Z'.charCodeAt(0);
/** A message's first byte and its length, which counts itself. */
const HEADER_BYTES = 5;

/** Stands between a client and a server and counts how often the server said that it waits for the client. */
async function countingProxy(targetPort: number) {
  const trips = { count: 0 };
  const server = createServer({ noDelay: true }, (client) => {
    const target = connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
    let pending: Buffer = Buffer.alloc(0);
    client.pipe(target).on('error', () => client.destroy());
    target.on('data', (bytes: Buffer) => {
      pending = Buffer.concat([pending, bytes]);
      while (pending.length >= HEADER_BYTES && pending.length > pending.readUInt32BE(1)) {
        if (pending[0] === READY_FOR_QUERY) trips.count++;
        pending = pending.subarray(pending.readUInt32BE(1) + 1);
      }
      client.write(bytes);
    });
    target.on('end', () => client.end());
    client.on('error', () => target.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    trips,
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => void (await new Promise((resolve) => server.close(resolve))),
  };
}

type Call = { readonly name: string; readonly tables: number; readonly trips: number };

/** A cycle through the proxy: what each call to the mirror's client cost. */
async function countedCycle(m: Mirroring, preferences: Partial<Preferences> = {}): Promise<readonly Call[]> {
  const address = new URL(m.mirror.address);
  await using proxy = await countingProxy(Number(address.port));
  address.port = String(proxy.port);
  await using ends = await Ends.open({ source: m.source.address, mirror: address.href }, { tenant: 'speil' });
  const client = createMirrorClient({ mirror: ends.mirror, tenant: 'speil', clock: runtime.clock, build: 'test' });
  const calls: Call[] = [];
  const counted =
    <Q, A>(name: string, call: (request: Q) => Promise<A>) =>
    async (request: Q & { batches?: readonly unknown[] }) => {
      const before = proxy.trips.count;
      const answer = await call(request);
      calls.push({ name, tables: request.batches?.length ?? 0, trips: proxy.trips.count - before });
      return answer;
    };
  const noted: MirrorClientService = {
    authenticate: counted('authenticate', client.authenticate),
    tableSchema: counted('tableSchema', client.tableSchema),
    wipe: counted('wipe', client.wipe),
    rowData: counted('rowData', client.rowData),
    replicationCompleted: counted('replicationCompleted', client.replicationCompleted),
  };
  const context = {
    ...runtime,
    source: ends.source,
    client: noted,
    tenant: 'speil',
    preferences: { ...PREFERENCES_DEFAULT, ...preferences },
    selection: { schemas: null },
    takeOver: false,
    emit: () => undefined,
    signal: new AbortController().signal,
  };
  const report = await runTask(context, { kind: 'once' });
  assert.equal(report.status, 'completed', errorsOf({ report, events: [] }).join('\n'));
  return calls;
}

const tripsOf = (calls: readonly Call[], name: string): readonly number[] =>
  calls.filter((call) => call.name === name).map(({ trips }) => trips);

const open = (): Promise<Mirroring> =>
  Mirroring.open({ name: 'postgres→postgres', source: 'postgres', mirror: 'postgres' });

test('a batch of a first copy takes three round trips: what is held, the rows, the commit', async () => {
  await using m = await open();
  await m.source.sql(
    `CREATE TABLE t (id int PRIMARY KEY, name text);
     INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series(1, 20000) n`,
  );
  const calls = await countedCycle(m, { batchBytes: 200_000 });
  const batches = tripsOf(calls, 'rowData').slice(1, -2);
  assert.ok(batches.length > 3, `${batches.length} batches`);
  assert.deepEqual(new Set(batches), new Set([3]));
  await m.same();
});

test('a small table takes eleven round trips and a share of what its calls take, and an idle cycle eight', async () => {
  await using m = await open();
  const table = (name: string) =>
    `CREATE TABLE ${name} (id int PRIMARY KEY, name text DEFAULT 'x'); INSERT INTO ${name} VALUES (1, 'a');`;
  await m.source.sql(['a', 'b', 'c', 'd'].map(table).join(' '));
  const first = await countedCycle(m);
  const [copies, swaps] = [tripsOf(first, 'rowData').slice(0, -1), tripsOf(first, 'rowData').slice(-1)];
  assert.deepEqual(tripsOf(first, 'wipe'), [3, 3, 3, 3]);
  assert.deepEqual(copies, [4, 4, 4, 4]);
  assert.deepEqual(tripsOf(first, 'tableSchema'), [5 + 4 * 2]);
  assert.deepEqual(swaps, [2 + 4 * 2]);
  const idle = await countedCycle(m);
  assert.deepEqual(
    idle.map(({ name, trips }) => [name, trips]),
    [
      ['authenticate', 2],
      ['tableSchema', 4],
      ['replicationCompleted', 2],
    ],
  );
  await m.same();
});

/** A failure that a trigger of the owner raises on a row of the metadata table. */
const refuse = (event: string) => `
  CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF new.table_name = 'b' THEN RAISE EXCEPTION 'not this one'; END IF; RETURN new; END $$;
  CREATE TRIGGER refuse BEFORE ${event} ON speil_mirroring FOR EACH ROW EXECUTE FUNCTION refuse()`;

test('a position that is refused fails its own table, though it is sent with the next statement', async () => {
  await using m = await open();
  for (const name of ['a', 'b', 'c']) await m.source.sql(`CREATE TABLE ${name} (id int PRIMARY KEY)`);
  await m.cycle();
  for (const name of ['a', 'b', 'c']) await m.source.sql(`INSERT INTO ${name} VALUES (1)`);
  await withClient(m.mirror.address, (client) => client.query(refuse('UPDATE')));
  const { report } = await m.run();
  const errors = report.tables.map(({ table, error }) => [table, error?.message ?? null]);
  assert.deepEqual(
    errors.map(([table, message]) => [table, message?.includes('not this one') ?? false]),
    [
      ['a', false],
      ['b', true],
      ['c', false],
    ],
  );
  assert.equal(await m.mirror.value('SELECT count(*)::int FROM a'), 1);
  assert.equal(await m.mirror.value('SELECT count(*)::int FROM b'), 0);
  assert.equal(await m.mirror.value('SELECT count(*)::int FROM c'), 1);
  await m.mirror.sql('DROP TRIGGER refuse ON speil_mirroring');
  await m.follow();
});

test('a table that cannot be noted down is not said to be there', async () => {
  await using m = await open();
  await m.source.sql('CREATE TABLE a (id int PRIMARY KEY)');
  await m.cycle();
  await withClient(m.mirror.address, (client) => client.query(refuse('INSERT')));
  for (const name of ['b', 'c']) await m.source.sql(`CREATE TABLE ${name} (id int PRIMARY KEY)`);
  await assert.rejects(m.run(), /not this one/);
  assert.equal(await m.mirror.value("SELECT to_regclass('c') IS NULL"), true);
  await m.mirror.sql('DROP TRIGGER refuse ON speil_mirroring');
  await m.follow();
});
