import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { assertSameRows } from '../support/dump.ts';
import { withClient } from '../support/postgres-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { type JsonLine, speil } from '../support/speil-process.ts';
import { withDirectory } from '../support/workload.ts';

/** Makes a SQLite file. */
function file(path: string, sql: string): string {
  using database = new DatabaseSync(path);
  database.exec(sql);
  return path;
}

/** Makes a PostgreSQL database. */
async function database(sql: string): Promise<string> {
  const url = await (await sharedPostgres()).createDatabase();
  await withClient(url, (client) => client.query(sql));
  return url;
}

const rowsOf = (url: string, sql: string): Promise<readonly Record<string, unknown>[]> =>
  withClient(url, async (client) => (await client.query(sql)).rows);

type Told = { readonly code: string; readonly message: string; readonly hint: string | null };

const errorsOf = (events: readonly JsonLine[]): readonly Told[] =>
  events.flatMap((event) => (event['error'] === undefined ? [] : [event['error'] as Told]));

test('a schema speil of somebody else: refused while our names in it are taken, and untrack leaves it. Guarantee T7', async () => {
  using directory = withDirectory();
  const mirror = directory.file('m.db');
  const source = await database(`CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1);
    CREATE SCHEMA speil; CREATE TABLE speil.bookmark (id int PRIMARY KEY, page text);
    INSERT INTO speil.bookmark VALUES (1, 'mine')`);
  const refused = await speil(['mirror', source, mirror, '--json']);
  assert.equal(refused.code, 1, refused.stdout);
  assert.ok(errorsOf(refused.events).some(({ code, message }) => code === 'NAME_TAKEN' && /bookmark/.test(message)));
  assert.equal((await speil(['untrack', source])).code, 0);
  assert.deepEqual(await rowsOf(source, 'SELECT page FROM speil.bookmark'), [{ page: 'mine' }]);
  await rowsOf(source, 'ALTER TABLE speil.bookmark RENAME TO page_mark');
  const plan = await speil(['mirror', source, mirror, '--plan']);
  assert.match(plan.stdout, /speil\.page_mark: the schema speil is kept for change tracking/);
  assert.equal((await speil(['mirror', source, mirror])).code, 0);
  const removed = await speil(['untrack', source]);
  assert.match(removed.stdout, /schema speil, which stays/);
  assert.deepEqual(await rowsOf(source, 'SELECT page FROM speil.page_mark'), [{ page: 'mine' }]);
});

test('a trigger of somebody else with the name of one of ours: that table is refused, and the trigger stays. Guarantee T7', async () => {
  using directory = withDirectory();
  const source =
    await database(`CREATE TABLE item (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY); CREATE TABLE seen (n int);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO seen VALUES (1); RETURN NULL; END';
    CREATE TRIGGER speil_insert AFTER INSERT ON item FOR EACH STATEMENT EXECUTE FUNCTION note()`);
  const { code, events } = await speil(['mirror', source, directory.file('m.db'), '--json']);
  assert.equal(code, 1);
  assert.deepEqual(errorsOf(events).map((error) => error.code)[0], 'NAME_TAKEN');
  const tables = events.at(-1)?.['tables'] as readonly { readonly table: string; readonly error?: Told }[];
  assert.deepEqual(
    tables.filter(({ error }) => error !== undefined).map(({ table }) => table),
    ['item'],
  );
  await rowsOf(source, 'INSERT INTO item VALUES (1)');
  assert.equal((await rowsOf(source, 'SELECT n FROM seen')).length, 1);
});

test('tables of a SQLite source that are called like ours: mirrored, or refused; never touched. Guarantee T7', async () => {
  using directory = withDirectory();
  const mirror = directory.file('m.db');
  const source = file(
    directory.file('s.db'),
    `CREATE TABLE speil_item (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO speil_item VALUES (1, 'mine');
     CREATE TABLE speil_history (year INTEGER); INSERT INTO speil_history VALUES (1905);
     CREATE TABLE speil_change_1 (id INTEGER); INSERT INTO speil_change_1 VALUES (7)`,
  );
  const refused = await speil(['mirror', source, mirror, '--json']);
  assert.equal(refused.code, 1);
  assert.ok(
    errorsOf(refused.events).every(({ code }) => code === 'NAME_TAKEN'),
    refused.stdout,
  );
  assert.equal((await speil(['untrack', source])).code, 0);
  file(source, 'ALTER TABLE speil_history RENAME TO history; INSERT INTO history VALUES (1945)');
  assert.equal((await speil(['mirror', source, mirror])).code, 0);
  file(source, "INSERT INTO speil_item VALUES (2, 'later')");
  assert.equal((await speil(['mirror', source, mirror])).code, 0);
  const verified = await speil(['verify', source, mirror]);
  assert.match(verified.stdout, /speil_item: identical, 2 rows/);
  assert.equal((await speil(['untrack', source])).code, 0);
  using left = new DatabaseSync(source);
  const names = left.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all();
  assert.deepEqual(
    names.map(({ name }) => name),
    ['history', 'speil_change_1', 'speil_item'],
  );
  assert.partialDeepStrictEqual(left.prepare('SELECT id FROM speil_change_1').all(), [{ id: 7 }]);
});

test('a table of the mirror that is called like the metadata table is refused, not retried for ever', async () => {
  using directory = withDirectory();
  const source = file(
    directory.file('s.db'),
    'CREATE TABLE item (id INTEGER PRIMARY KEY); INSERT INTO item VALUES (1)',
  );
  const taken = 'CREATE TABLE acme_mirroring (id INTEGER PRIMARY KEY, lsn INTEGER)';
  for (const mirror of [file(directory.file('m.db'), taken), await database(taken)]) {
    const { code, events, stdout } = await speil(['mirror', source, mirror, '--tenant', 'acme', '--json']);
    assert.equal(code, 1);
    const [told] = errorsOf(events);
    assert.equal(told?.code, 'NAME_TAKEN', stdout);
    assert.match(told?.hint ?? '', /--tenant/);
  }
});

test('an index of a SQLite mirror has the name of a table: told as such', async () => {
  using directory = withDirectory();
  const source = file(directory.file('s.db'), 'CREATE TABLE item (id INTEGER PRIMARY KEY)');
  const mirror = file(directory.file('m.db'), 'CREATE TABLE mine (a INTEGER); CREATE INDEX item ON mine (a)');
  const { events, stdout } = await speil(['mirror', source, mirror, '--json']);
  assert.match(stdout, /NAME_TAKEN/);
  assert.doesNotMatch(JSON.stringify(events), /INTERNAL/);
});

test('a table without columns is not mirrored, and the plan says so', async () => {
  using directory = withDirectory();
  const mirror = directory.file('m.db');
  const source = await database(`CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1);
    CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES`);
  const plan = await speil(['mirror', source, mirror, '--plan']);
  assert.match(plan.stdout, /nothing: it has no columns/);
  const { code, stdout } = await speil(['mirror', source, mirror]);
  assert.equal(code, 0, stdout);
  file(mirror, 'SELECT 1 FROM item');
  assert.match((await speil(['verify', source, mirror])).stdout, /Identical: 1 table, 1 row\./);
});

test('change tracking that another login made: the plan says whose it is and what to type', async () => {
  using directory = withDirectory();
  const server = await sharedPostgres();
  const source = await database('CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1)');
  assert.equal((await speil(['mirror', source, directory.file('m.db')])).code, 0);
  const name = new URL(source).pathname.slice(1);
  const login = `reader_of_${name}`;
  await server.createRole(login);
  const { code, stderr } = await speil(['mirror', server.url(name, login), directory.file('n.db'), '--plan']);
  assert.equal(code, 1);
  assert.match(stderr, /belongs to postgres.*PRIVILEGE_MISSING/);
  assert.match(stderr, new RegExp(`GRANT postgres TO ${login};`));
  await assertSameRows(source, directory.file('m.db'));
});
