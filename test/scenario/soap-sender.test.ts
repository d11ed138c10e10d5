import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { verifySignedToken } from '../../src/client/soap/signed-token.ts';
import { createNonceMemory } from '../../src/client/trust/nonces.ts';
import { runtime } from '../../src/open.ts';
import type { Preferences } from '../../src/task/preferences.ts';
import { column, schemaOf } from '../support/sqlite-mirror.ts';
import { SoapServer, tablesOf } from '../support/superoffice/soap-server.ts';
import { type SoapCycle, type SoapTask, soapClientTo, soapCycle, soapKeys } from '../support/superoffice/soap-task.ts';
import { withDirectory } from '../support/workload.ts';

/** A SQLite source of ours, and a mirror client of somebody else's. */
class Sending implements AsyncDisposable {
  readonly server: SoapServer;
  readonly database: DatabaseSync;
  readonly address: string;
  readonly #directory: Disposable;

  private constructor(server: SoapServer, path: string, directory: Disposable) {
    this.server = server;
    this.database = new DatabaseSync(path);
    this.address = `sqlite:${path}`;
    this.#directory = directory;
  }

  static async open(sql: string): Promise<Sending> {
    const directory = withDirectory();
    const server = await SoapServer.start(soapKeys.application.privateKey);
    const made = new Sending(server, directory.file('source.db'), directory);
    made.database.exec(sql);
    return made;
  }

  async cycle(more: Parameters<typeof soapCycle>[2] = {}, task: SoapTask = {}): Promise<SoapCycle> {
    this.server.calls.length = 0;
    return await soapCycle(this.address, this.server.url, more, task);
  }

  async completed(more: Parameters<typeof soapCycle>[2] = {}): Promise<SoapCycle> {
    const cycle = await this.cycle(more);
    assert.equal(cycle.report.status, 'completed', JSON.stringify(cycle.report, null, 1));
    this.same();
    return cycle;
  }

  /** A cycle that does not concern all tables. */
  async partly(preferences: Partial<Preferences>): Promise<void> {
    const { report } = await this.cycle({}, { preferences });
    assert.equal(report.status, 'completed', JSON.stringify(report, null, 1));
  }

  /** Each table of the mirror has the rows of its source, value by value. */
  same(): void {
    for (const name of this.server.tables.keys()) {
      const rows = this.database.prepare(`SELECT * FROM "${name}"`).all() as Record<string, unknown>[];
      const expected = rows.map((row) => Object.values(row).map(sentForm));
      assert.deepEqual(Object.values(this.server.rows(name)).toSorted(), expected.toSorted(), `rows of ${name}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.database.close();
    await this.server[Symbol.asyncDispose]();
    this.#directory[Symbol.dispose]();
  }
}

const sentForm = (value: unknown): string | null => {
  if (value === null) return null;
  if (value instanceof Uint8Array) return `[B:${Buffer.from(value).toString('base64')}]`;
  if (typeof value === 'number') return Number.isInteger(value) ? `[I:${value}]` : `[F:${value}]`;
  return String(value);
};

const SHOP = `
  CREATE TABLE contact(id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'nobody', rank INTEGER NOT NULL DEFAULT 0);
  CREATE TABLE sale(id INTEGER PRIMARY KEY, amount REAL, note TEXT);
  CREATE TABLE photo(id INTEGER PRIMARY KEY, bytes BLOB);
  INSERT INTO contact VALUES (1, 'Ada', 5), (2, '[I:5]', -1), (3, '', 0);
  INSERT INTO sale VALUES (1, 1.5, 'a <b> & "c" ]]>'), (2, NULL, NULL), (3, 2.25, char(9) || 'tab' || char(13, 10) || 'line' || char(10) || ' end ');
  INSERT INTO photo VALUES (1, x'00ff10'), (2, NULL)`;

test('a tenant of three tables: the order of calls, what they carry, and equality after each cycle', async () => {
  await using sending = await Sending.open(SHOP);
  const { server, database } = sending;
  await sending.completed();
  assert.deepEqual(
    server.calls.map(({ operation }) => operation),
    [
      ...['Authenticate', 'TableSchema'],
      ...['Wipe', 'RowData', 'Wipe', 'RowData', 'Wipe', 'RowData'],
      ...['RowData', 'ReplicationCompleted'],
    ],
  );
  const nonces = createNonceMemory(runtime.clock);
  for (const call of server.calls) {
    assert.equal(
      call.soapAction,
      `"http://www.superoffice.com/online/mirroring/0.1/IMirroringClientService/${call.operation}"`,
    );
    const trusted = [soapKeys.task.publicKey];
    const rules = { trusted, application: 'my-app', nowMs: Date.now(), nonces };
    assert.equal((await verifySignedToken(call.token, rules)).tenant, 'Cust10195');
    assert.equal(call.clientState ?? '', call.operation === 'Authenticate' ? '' : 'state of the mirror');
  }
  assert.deepEqual(tablesOf(server.of('TableSchema')[0]?.args), [
    {
      name: 'contact',
      columns: [
        { Name: 'id', Type: 'bigint', IsNullable: false, DefaultValue: '' },
        { Name: 'name', Type: 'nvarchar(max)', IsNullable: false, DefaultValue: "default (N'nobody')" },
        { Name: 'rank', Type: 'bigint', IsNullable: false, DefaultValue: 'default ((0))' },
      ],
    },
    {
      name: 'photo',
      columns: [
        { Name: 'id', Type: 'bigint', IsNullable: false, DefaultValue: '' },
        { Name: 'bytes', Type: 'varbinary(max)', IsNullable: true, DefaultValue: '' },
      ],
    },
    {
      name: 'sale',
      columns: [
        { Name: 'id', Type: 'bigint', IsNullable: false, DefaultValue: '' },
        { Name: 'amount', Type: 'float', IsNullable: true, DefaultValue: '' },
        { Name: 'note', Type: 'nvarchar(max)', IsNullable: true, DefaultValue: '' },
      ],
    },
  ]);
  await sending.completed();
  assert.deepEqual(server.order, ['Authenticate', 'TableSchema', 'ReplicationCompleted']);
  for (let round = 0; round < 10; round++) database.exec(`UPDATE contact SET rank = ${round} WHERE id = 2`);
  database.exec(
    "INSERT INTO contact VALUES (4, 'new', 1); UPDATE contact SET name = 'newer' WHERE id = 4; DELETE FROM contact WHERE id = 3; DELETE FROM sale WHERE id = 2",
  );
  const { report } = await sending.completed();
  assert.deepEqual(server.order, ['Authenticate', 'TableSchema', 'RowData', 'ReplicationCompleted']);
  const operations = server
    .of('RowData')
    .flatMap(({ batches }) =>
      batches.flatMap(({ table, rows }) => rows.map(({ operation, values }) => `${table} ${operation} ${values[0]}`)),
    );
  assert.deepEqual(operations.toSorted(), ['contact D [I:3]', 'contact I [I:2]', 'contact I [I:4]', 'sale D [I:2]']);
  const counted = report.tables.map(({ table, inserted, updated, deleted }) => [table, inserted, updated, deleted]);
  assert.deepEqual(counted, [
    ['contact', 2, 0, 1],
    ['photo', 0, 0, 0],
    ['sale', 0, 0, 1],
  ]);
  const told = server.of('ReplicationCompleted')[0]?.args as { ChangedTables: { ReplicationSummary: unknown } };
  assert.deepEqual(told.ChangedTables.ReplicationSummary, [
    { Deletes: 1, Inserts: 2, TableName: 'contact', Updates: 0 },
    { Deletes: 1, Inserts: 0, TableName: 'sale', Updates: 0 },
  ]);
});

test('tables that change, come and go; a mirror that was put back, emptied or thrown away', async () => {
  await using sending = await Sending.open(SHOP);
  const { server, database } = sending;
  await sending.completed();
  database.exec(
    'ALTER TABLE sale ADD COLUMN paid INTEGER; UPDATE sale SET paid = 1 WHERE id = 1; CREATE TABLE late(id INTEGER PRIMARY KEY); INSERT INTO late VALUES (7); DROP TABLE photo',
  );
  await sending.completed();
  assert.deepEqual([...server.tables.keys()].toSorted(), ['contact', 'late', 'sale']);
  assert.deepEqual(
    server.of('Wipe').map(({ args }) => args),
    [
      { ClientState: 'state of the mirror', TableName: 'late' },
      { ClientState: 'state of the mirror', TableName: 'sale' },
    ],
  );
  const contact = server.tables.get('contact');
  assert.ok(contact);
  const kept = { lsn: contact.lsn, rows: [...contact.rows] };
  database.exec("INSERT INTO contact VALUES (50, 'after the backup', 1)");
  await sending.completed();
  contact.lsn = kept.lsn;
  contact.rows.clear();
  for (const [key, row] of kept.rows) contact.rows.set(key, row);
  await sending.completed();
  assert.equal(server.of('Wipe').length, 0);
  contact.lsn = -1n;
  contact.rows.clear();
  await sending.completed();
  assert.equal(server.of('Wipe').length, 1);
  contact.lsn = 2n ** 62n;
  contact.rows.set('[I:900]', ['[I:900]', 'of the future', '[I:1]']);
  const { report } = await sending.completed();
  assert.match(report.tables.find(({ table }) => table === 'contact')?.repopulated ?? '', /./);
  server.tables.clear();
  await sending.completed();
  assert.equal(server.of('Wipe').length, 3);
});

test('tables that a cycle leaves alone stay in the mirror: their schemas are sent, and nothing else of them', async () => {
  await using sending = await Sending.open(SHOP);
  const { server, database } = sending;
  await sending.completed();
  const before = new Map([...server.tables].map(([name, { lsn, rows }]) => [name, { lsn, rows: [...rows] }]));
  const unchanged = (name: string) => {
    const { lsn, rows } = server.tables.get(name) ?? assert.fail(`${name} was dropped`);
    assert.deepEqual({ lsn, rows: [...rows] }, before.get(name), name);
  };
  database.exec('UPDATE contact SET rank = 77 WHERE id = 1; UPDATE sale SET amount = 7.5; DELETE FROM photo');
  await sending.partly({ onlyTables: ['contact'] });
  for (const name of ['sale', 'photo']) unchanged(name);
  assert.deepEqual(server.rows('contact')['[I:1]'], ['[I:1]', 'Ada', '[I:77]']);
  await sending.partly({ skipTables: ['photo'], announceOnly: ['photo'] });
  unchanged('photo');
  const sent = server.of('RowData').flatMap(({ batches }) => batches.map(({ table }) => table));
  assert.deepEqual(new Set(sent), new Set(['sale']));
  await sending.partly({ onlyTables: ['nothing of that name'] });
  assert.deepEqual(server.order, ['Authenticate', 'TableSchema', 'ReplicationCompleted']);
  unchanged('photo');
  await sending.completed();
  assert.equal(server.of('Wipe').length, 0);
  await sending.partly({ skipTables: ['photo'] });
  assert.deepEqual([...server.tables.keys()].toSorted(), ['contact', 'sale']);
});

test('of tables to be left alone each is sent that the contract has a place for, and none is passed over', async () => {
  await using sending = await Sending.open(SHOP);
  await using client = soapClientTo(sending.server.url);
  const { clientState } = await client.authenticate({ tenant: 'Cust10195', clientState: '' });
  const id = column('id', 'INTEGER', { nullable: false });
  const named = (name: string, ...more: readonly ReturnType<typeof column>[]) =>
    schemaOf([id, ...more], { table: { schema: null, name }, key: [id, ...more].map((each) => each.name) });
  const alone = [named('Photo'), named('two', column('b', 'INTEGER')), named('sale'), named('SALE')];
  const leaveAlone = alone.map(({ table }) => table);
  const request = { clientState, tables: [named('photo')], leaveAlone };
  const sent = () => tablesOf(sending.server.calls.at(-1)?.args).map(({ name }) => name);
  await assert.rejects(client.tableSchema({ ...request, leaveAloneSchemas: alone.slice(1) }), {
    code: 'LOCK_TIMEOUT',
    message: /Photo cannot be read now/,
  });
  assert.deepEqual(sending.server.order, ['Authenticate']);
  const { tables } = await client.tableSchema({ ...request, leaveAloneSchemas: alone });
  assert.deepEqual(sent(), ['photo', 'sale']);
  assert.deepEqual(
    tables.map(({ table }) => table.name),
    ['photo'],
  );
  await client.tableSchema({ ...request, leaveAlone: [{ schema: null, name: 'sale' }] });
  assert.deepEqual(sent(), ['photo', 'sale'], 'it is known from the last call');
});

test('without a valid answer nothing is told of the source', async () => {
  await using sending = await Sending.open(SHOP);
  const { server } = sending;
  const clientPublicKey = soapKeys.task.publicKey;
  await assert.rejects(sending.cycle({ clientPublicKey }), { code: 'TRUST_REFUSED' });
  assert.deepEqual(server.order, ['Authenticate']);
  const old = server.lastProof;
  const [nonce, time] = old.split('.');
  const bad = ['', `${nonce}.${time}`, `${old}.x`, old.replace(/.$/, '!'), old];
  for (const token of bad) {
    server.authentication = { SignedApplicationToken: token };
    await assert.rejects(sending.cycle(), { code: 'TRUST_REFUSED' }, token);
    assert.deepEqual(server.order, ['Authenticate']);
  }
  server.authentication = { IsSuccessful: false, ErrorMessage: 'not today\u200B' };
  await assert.rejects(sending.cycle(), { code: 'TRUST_REFUSED', message: /failed in Authenticate: not today/ });
  assert.deepEqual(new Set(server.order), new Set(['Authenticate']));
  server.authentication = {};
  await sending.completed();
});

test('a client that asks to be left alone is, until it does not any more', async () => {
  await using sending = await Sending.open(SHOP);
  const { server } = sending;
  for (const json of [
    '{"doNotReplicate":"true"}',
    '{ "doNotReplicate": "True", "more": [1] }',
    '{"doNotReplicate":true}',
  ]) {
    server.authentication = { AdditionalInformationJson: json };
    const { report, events } = await sending.cycle();
    assert.match(report.skipped ?? '', /doNotReplicate/);
    assert.ok(events.some((event) => event.event === 'warning' && /asked to skip this cycle/.test(event.message)));
    assert.deepEqual(server.order, ['Authenticate']);
  }
  for (const json of ['{"doNotReplicate":"false"}', '{}', 'no json', '']) {
    server.authentication = { AdditionalInformationJson: json };
    await sending.completed();
  }
});

test('calls are of about BatchSize, a larger row goes alone, and only the last of a table has an LSN', async () => {
  await using sending = await Sending.open(
    `CREATE TABLE big(id INTEGER PRIMARY KEY, a TEXT, b TEXT, c TEXT);
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
     INSERT INTO big SELECT i, 'some text of a usual length ' || i, '<&>', NULL FROM n`,
  );
  const { server, database } = sending;
  await sending.completed();
  const sizes = () => server.of('RowData').map(({ bytes }) => bytes);
  assert.ok(Math.max(...sizes()) <= 1_100_000, `${sizes()}`);
  assert.ok(Math.max(...sizes()) >= 800_000, `${sizes()}`);
  database.exec("UPDATE big SET b = 'again'");
  await sending.completed({ batchBytes: 200_000 });
  assert.ok(Math.max(...sizes()) <= 220_000, `${sizes()}`);
  const lsns = server.of('RowData').flatMap(({ batches }) => batches.map(({ lsn }) => lsn));
  assert.ok(lsns.length > 3);
  assert.deepEqual(
    lsns.slice(0, -1),
    lsns.slice(1).map(() => 0n),
  );
  assert.ok((lsns.at(-1) ?? 0n) > 0n);
  database.exec(
    `UPDATE big SET c = '${'x'.repeat(3_000_000)}' WHERE id = 5; UPDATE big SET c = 'small' WHERE id IN (4, 6)`,
  );
  await sending.completed();
  const giant = server.of('RowData').find(({ bytes }) => bytes > 1_100_000);
  assert.deepEqual(
    giant?.batches.map(({ rows }) => rows.length),
    [1],
  );
});

test('a call that is cut short moves no position, and what comes again does no harm', async () => {
  await using sending = await Sending.open(
    `CREATE TABLE big(id INTEGER PRIMARY KEY, a TEXT);
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
     INSERT INTO big SELECT i, 'some text' FROM n`,
  );
  const { server, database } = sending;
  await sending.completed();
  const before = server.tables.get('big')?.lsn;
  database.exec("UPDATE big SET a = 'changed'");
  let calls = 0;
  server.intercept = (operation) =>
    operation === 'RowData' && ++calls > 2 ? { IsSuccessful: false, ErrorMessage: 'the disk is full' } : undefined;
  const { report } = await sending.cycle({ batchBytes: 50_000 });
  assert.equal(report.status, 'failed');
  assert.match(report.tables[0]?.error?.message ?? '', /failed in RowData: the disk is full/);
  assert.equal(server.tables.get('big')?.lsn, before);
  assert.equal(server.of('ReplicationCompleted').length, 0);
  server.intercept = () => undefined;
  await sending.completed();
  assert.equal(server.of('Wipe').length, 0);
});

test('one table that fails takes no other of the call with it', async () => {
  await using sending = await Sending.open(SHOP);
  const { server, database } = sending;
  await sending.completed();
  database.exec('UPDATE contact SET rank = 9; UPDATE sale SET amount = 9.5; UPDATE photo SET bytes = NULL');
  server.intercept = (_, { batches }) =>
    batches.some(({ table }) => table === 'photo') ? { IsSuccessful: false, ErrorMessage: 'no photos' } : undefined;
  const { report, events } = await sending.cycle();
  assert.deepEqual(
    report.tables.flatMap(({ table, error }) => (error === undefined ? [] : [table])),
    ['photo'],
  );
  assert.equal(server.of('ReplicationCompleted').length, 0);
  assert.ok(events.some((event) => event.event === 'note' && /not told of a completed cycle/.test(event.message)));
  assert.deepEqual(server.rows('sale')['[I:1]']?.[1], '[F:9.5]');
  server.intercept = () => undefined;
  await sending.completed();
});

test('a table of which the client says nothing is not taken for one that holds nothing', async () => {
  await using sending = await Sending.open(SHOP);
  const { server, database } = sending;
  await sending.completed();
  database.exec('UPDATE photo SET bytes = NULL; UPDATE sale SET amount = 9.5');
  const said = (tables: readonly string[]) => ({
    IsSuccessful: true,
    MirrorLSN: {
      'q2:TableLSN': tables.map((name) => ({ 'q2:LSN': String(server.tables.get(name)?.lsn), 'q2:TableName': name })),
    },
  });
  server.intercept = (operation) => (operation === 'TableSchema' ? said(['contact', 'sale']) : undefined);
  const { report } = await sending.cycle();
  const errors = report.tables.flatMap(({ table, error }) => (error === undefined ? [] : [`${table} ${error.code}`]));
  assert.deepEqual(errors, ['photo CONTRACT_BROKEN']);
  assert.deepEqual(server.order, ['Authenticate', 'TableSchema', 'RowData']);
  server.intercept = () => undefined;
  await sending.completed();
  assert.equal(server.of('Wipe').length, 0);
});

test('what the contract cannot carry is the failure of its table, and is named', async () => {
  await using sending = await Sending.open(`
    CREATE TABLE fine(id INTEGER PRIMARY KEY); INSERT INTO fine VALUES (1);
    CREATE TABLE two(a INTEGER, b INTEGER, PRIMARY KEY (a, b)); INSERT INTO two VALUES (1, 2);
    CREATE TABLE none(a INTEGER); INSERT INTO none VALUES (1);
    CREATE TABLE bell(id INTEGER PRIMARY KEY, ring TEXT); INSERT INTO bell VALUES (1, 'ok'), (2, 'ding' || char(7));
    CREATE TABLE loose(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO loose VALUES (1, 'many');`);
  const { report } = await sending.cycle();
  const errors = Object.fromEntries(
    report.tables.map(({ table, error }) => [table, `${error?.code}: ${error?.message}`]),
  );
  assert.equal(errors['fine'], 'undefined: undefined');
  assert.match(errors['two'] ?? '', /^TABLE_FAILED: .*its key has 2 columns/);
  assert.match(errors['none'] ?? '', /^TABLE_FAILED: .*it has no key/);
  assert.match(errors['bell'] ?? '', /^VALUE_REFUSED: bell\.ring holds "ding\\u0007".*U\+0007/);
  assert.match(errors['loose'] ?? '', /^VALUE_REFUSED: loose\.n holds "many".*it is text, not an integer/);
  assert.deepEqual([...sending.server.tables.keys()].toSorted(), ['bell', 'fine', 'loose']);
  assert.deepEqual(sending.server.rows('fine'), { '[I:1]': ['[I:1]'] });
  sending.database.exec("UPDATE bell SET ring = 'dong' WHERE id = 2");
  const { report: healed } = await sending.cycle();
  assert.equal(healed.tables.find(({ table }) => table === 'bell')?.error, undefined);
  assert.deepEqual(sending.server.rows('bell')['[I:2]'], ['[I:2]', 'dong']);
});
