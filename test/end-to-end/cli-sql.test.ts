import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { type SpeilServer, startServer } from '../../src/server.ts';
import { type Around, speilHere } from '../support/speil-here.ts';
import { speil } from '../support/speil-process.ts';

// What people type against a server that runs.

const folder = mkdtempSync(join(tmpdir(), 'speil-cli-sql-'));
const file = (name: string) => join(folder, name);
let server: SpeilServer;

before(async () => {
  server = await startServer({ data: file('data'), listen: { host: '127.0.0.1', port: 0 } });
  await server.createDatabase(db);
});

after(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const type = (words: readonly string[], around: Around = {}) =>
  speilHere(words, { ...around, variables: { SPEIL_SERVER: server.url, XDG_STATE_HOME: folder, ...around.variables } });

async function typed(...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await type(words);
  assert.equal(code, 0, `${words.join(' ')}: ${stderr}`);
  return stdout;
}

const db = 'shop';

test('statements are run one after another, and their rows shown', async () => {
  const made =
    "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL, picture BLOB); INSERT INTO item VALUES (1, 'lamp', 9.5, x'00ff'), (2, 'a' || char(9) || 'b', 2.0, NULL)";
  assert.equal(await typed('sql', db, made), '');
  const select = 'SELECT * FROM item';
  assert.equal(await typed('sql', db, select), "1\tlamp\t9.5\tx'00ff'\n2\ta\\x09b\t2.0\tNULL\n");
  assert.equal(
    await typed('sql', db, select, '--mode', 'csv'),
    "id,name,price,picture\n1,lamp,9.5,x'00ff'\n2,a\tb,2.0,\n",
  );
  assert.equal(
    await typed('sql', db, `${select};`, '--json'),
    '{"id":1,"name":"lamp","price":9.5,"picture":"AP8="}\n{"id":2,"name":"a\\tb","price":2,"picture":null}\n',
  );
  assert.equal(
    await typed('sql', db, 'SELECT id, name, price FROM item; SELECT 9007199254740993 AS big WHERE 1', '--mode', 'box'),
    `┌────┬────────┬───────┐
│ id │ name   │ price │
├────┼────────┼───────┤
│  1 │ lamp   │   9.5 │
│  2 │ a\\x09b │   2.0 │
└────┴────────┴───────┘
┌──────────────────┐
│ big              │
├──────────────────┤
│ 9007199254740993 │
└──────────────────┘
`,
  );
});

test('an error ends it, with what to type; what stood before it has happened', async () => {
  const { code, stdout, stderr } = await type([
    'sql',
    db,
    'CREATE TABLE e (x); INSERT INTO e VALUES (7); SELECT * FROM e; SELECT * FROM b; INSERT INTO e VALUES (8)',
  ]);
  assert.deepEqual([code, stdout], [1, '7\n']);
  assert.match(stderr, /^error: .*no such table: b \(SQL_INPUT_ERROR\)\n {2}hint: \.tables/);
  assert.equal(await typed('sql', db, 'SELECT count(*) FROM e'), '1\n');
  const { events } = await type(['sql', db, 'nonsense', '--json']);
  assert.partialDeepStrictEqual(events[0], { event: 'error', code: 'SQL_PARSE_ERROR' });
  assert.match((await type(['sql', 'nowhere', 'SELECT 1'])).stderr, /^error: there is no database nowhere\. [^\n]+\n$/);
});

test('a large value is shown in the time that it takes to send it', { timeout: 9_000 }, async () => {
  const { code, stdout } = await type(['sql', db, 'SELECT zeroblob(60000000) AS z', '--json']);
  assert.deepEqual([code, stdout.length], [0, 80_000_000 + '{"z":""}\n'.length]);
});

test('a file is piped in: triggers, transactions, a thousand statements', async () => {
  const rows = Array.from({ length: 1_000 }, (_, id) => `INSERT INTO a VALUES (${id}, 'it''s; ${id}');`).join('\n');
  const text = `CREATE TABLE a (id, t); CREATE TABLE log (id);
    CREATE TRIGGER kept AFTER INSERT ON a BEGIN INSERT INTO log VALUES (new.id); END;
    BEGIN; ${rows} COMMIT; -- done
    SELECT count(*) FROM log; SELECT max(t) FROM a WHERE id < 10`;
  const { code, stdout, stderr } = await type(['sql', db], { stdin: text });
  assert.deepEqual([code, stdout, stderr], [0, "1000\nit's; 9\n", '']);
});

test('a transaction that is left open is rolled back, and that is said', async () => {
  await typed('sql', db, 'CREATE TABLE o (x)');
  const { code, stderr } = await type(['sql', db, 'BEGIN; INSERT INTO o VALUES (1)']);
  assert.equal(code, 1);
  assert.match(stderr, /^warning: A transaction was still open/);
  assert.equal(await typed('sql', db, 'SELECT count(*) FROM o'), '0\n');
});

test('as a process: one statement, from a pipe, and an exit code for scripts', async () => {
  const env = { SPEIL_SERVER: server.url };
  assert.deepEqual((await speil(['sql', db, 'SELECT 1 + 1'], { env })).stdout, '2\n');
  assert.deepEqual((await speil(['sql', db], { env, stdin: 'SELECT 1;\nSELECT 2' })).stdout, '1\n2\n');
  assert.equal((await speil(['sql', db, 'nonsense'], { env })).code, 1);
  const away = await speil(['sql', db, 'SELECT 1', '--at', 'http://127.0.0.1:1']);
  assert.equal(away.code, 1);
  assert.match(away.stderr, /UNREACHABLE.*\n {2}hint: Is it started \(`speil server/);
});

test('databases are created of a file with a WAL, listed, backed up and dropped', async () => {
  using live = new DatabaseSync(file('live.db'));
  live.exec('PRAGMA journal_mode = WAL; CREATE TABLE item (id INTEGER PRIMARY KEY); INSERT INTO item VALUES (1), (2)');
  assert.ok(statSync(file('live.db-wal')).size > 0);
  const created = await typed('database', 'create', 'live', '--from', file('live.db'));
  assert.equal(created, `Created live at ${server.url}/live/\n`);
  assert.equal(await typed('sql', 'live', 'SELECT count(*) FROM item'), '2\n');
  const again = await type(['database', 'create', 'live', '--from', file('live.db')]);
  assert.match(again.stderr, /CONFLICT.*\n {2}hint: .*speil database drop live/);
  writeFileSync(file('no.db'), 'this is a text and no database at all, however long one makes it');
  const wrong = await type(['database', 'create', 'no', '--from', file('no.db')]);
  assert.deepEqual([wrong.code, /NOT_A_DATABASE/.test(wrong.stderr)], [2, true]);
  assert.match(await typed('database', 'list'), /^live\trunning\t0\t/m);
  const copy = file('copy.db');
  assert.match(await typed('backup', 'live', copy), /copy\.db holds live at LSN 0 \(8\.2 kB\)\.\n$/);
  using read = new DatabaseSync(copy, { readOnly: true });
  assert.deepEqual({ ...read.prepare('SELECT count(*) AS n FROM item').get() }, { n: 2 });
  assert.match((await type(['backup', 'live', copy])).stderr, /there already/);
  assert.match((await type(['backup', 'none', file('x.db')])).stderr, /NOT_FOUND/);
  assert.match((await type(['backup', 'live', file('nowhere/x.db')])).stderr, /cannot be written \(ENOENT\)/);
  assert.ok(!readdirSync(folder).some((name) => name.endsWith('.part')));
  const asked = await type(['database', 'drop', 'live']);
  assert.match(asked.stderr, /This removes the database live \(8\.2 kB, at LSN 0\).*\n.*Nothing was done.*\n.*--yes/);
  assert.match((await type(['database', 'drop', 'live'], { stdin: 'no\n', isTTY: true })).stderr, /Nothing was done/);
  assert.equal((await type(['database', 'drop', 'live'], { stdin: 'yes\n', isTTY: true })).code, 0);
  assert.equal((await type(['database', 'drop', 'live', '--yes'])).code, 1);
  assert.doesNotMatch(await typed('database', 'list'), /^live/m);
});

test('tokens are made, listed and revoked with the admin token only', async () => {
  const admin = ['--token-file', server.tokenFile];
  assert.match((await type(['server', 'token', 'list'])).stderr, /AUTHENTICATION_REFUSED.*\n.*admin\.token/);
  const out = file('shop.token');
  await typed('server', 'token', 'create', '--database', db, '--access', 'read', '--out', out, ...admin);
  assert.equal(statSync(out).mode & 0o777, 0o600);
  const reading = await type(['sql', db, 'CREATE TABLE a (x)', '--token-file', out]);
  assert.deepEqual([reading.code, /SQLITE_READONLY/.test(reading.stderr)], [1, true]);
  const [id = ''] = (await typed('server', 'token', 'list', ...admin)).split('\t');
  assert.equal(await typed('server', 'token', 'revoke', id, ...admin), `Revoked ${id}.\n`);
  const revoked = await type(['sql', db, 'SELECT 1', '--token-file', out]);
  assert.match(revoked.stderr, /AUTHENTICATION_REFUSED/);
  assert.match(revoked.stderr, /--token-file/);
  const secret = await typed('server', 'token', 'create', '--access', 'admin', ...admin);
  assert.match(secret, /^speil_admin_/);
  assert.ok(existsSync(out) && readFileSync(out, 'utf8').startsWith('speil_read_'));
});
