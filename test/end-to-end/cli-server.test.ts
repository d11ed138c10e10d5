import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { createClient } from '@libsql/client';
import { selfSigned } from '../support/certificate.ts';
import { SpeilProcess, type SpeilResult, speil } from '../support/speil-process.ts';

// The server as a process, from its first start to a backup that is brought back.

const folder = mkdtempSync(join(tmpdir(), 'speil-cli-server-'));
const file = (name: string) => join(folder, name);
after(() => rmSync(folder, { recursive: true, force: true }));

async function start(...args: readonly string[]): Promise<{ process: SpeilProcess; url: string }> {
  const process = new SpeilProcess(['server', '--listen', '127.0.0.1:0', ...args], { cwd: folder });
  const { url } = await process.waitFor(({ msg }) => msg === 'the server listens');
  await process.waitFor(({ msg }) => msg === 'the databases are open');
  return { process, url: String(url) };
}

async function type(url: string, ...args: readonly string[]): Promise<SpeilResult> {
  const result = await speil(args, { cwd: folder, env: { SPEIL_SERVER: url } });
  assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`);
  return result;
}

test('what was acknowledged is there after kill -9, the journal is whole, and an end in good order leaves a plain file', async () => {
  const first = await start('--name', 'a', '--data', 'a');
  await type(first.url, 'database', 'create', 'shop');
  const client = createClient({ url: `${first.url}/shop/` });
  await client.execute('CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)');
  for (let id = 1; id <= 20; id++)
    await client.execute({ sql: 'INSERT INTO item VALUES (?, ?)', args: [id, `n${id}`] });
  const running = await speil(['journal', 'check', '--data', 'a'], { cwd: folder });
  assert.match(running.stderr, /CONFLICT[\s\S]*kill \d+/);
  await first.process.kill();
  const checked = await speil(['journal', 'check', '--data', 'a', '--json'], { cwd: folder });
  assert.partialDeepStrictEqual(checked.events[0], { event: 'check', database: 'shop', well: true, last: '21' });
  const second = await start('--name', 'a', '--data', 'a', '--slow-ms', '0');
  assert.equal(
    (await type(second.url, 'sql', 'shop', "SELECT count(*) FROM item WHERE name <> 'secret'")).stdout,
    '20\n',
  );
  await second.process.waitFor(
    ({ msg, sql }) => msg === 'a statement took long' && sql === 'SELECT count(*) FROM item WHERE name <> ?',
  );
  assert.doesNotMatch(second.process.stdout, /secret/);
  await type(second.url, 'backup', 'shop', 'shop.db');
  second.process.signal('SIGTERM');
  assert.deepEqual(await second.process.exit, { code: 0, signal: null });
  for (const path of ['a/shop/database.db', 'shop.db']) {
    using database = new DatabaseSync(file(path), { readOnly: true });
    assert.deepEqual({ ...database.prepare('SELECT count(*) AS n FROM item').get() }, { n: 20 }, path);
  }
});

test('a backup is restored while the server does not run, and under no name that is taken', async () => {
  const restore = (name: string) => speil(['restore', 'shop.db', '--data', 'a', name], { cwd: folder });
  assert.match((await restore('shop')).stderr, /there is a database shop already/);
  assert.match((await speil(['restore', 'none.db', '--data', 'a', 'x'], { cwd: folder })).stderr, /FILE_MISSING/);
  assert.equal((await restore('monday')).code, 0);
  await using server = (await start('--data', 'a')).process;
  const { url } = await server.waitFor(({ msg }) => msg === 'the server listens');
  assert.match((await restore('tuesday')).stderr, /CONFLICT[\s\S]*kill/);
  assert.equal((await type(String(url), 'sql', 'monday', 'SELECT count(*) FROM item')).stdout, '20\n');
  assert.match((await type(String(url), 'database', 'list')).stdout, /^monday\trunning\t0\t.*\nshop\trunning\t21\t/);
  server.signal('SIGTERM');
  await server.exit;
});

test('journal dump says what happened, and journal check finds what the disk has lost', async () => {
  const dump = await speil(['journal', 'dump', '--data', 'a', 'shop', '--from', '21'], { cwd: folder });
  assert.match(dump.stdout, /^\d{4}-\d\d-\d\dT[\d:.]+Z {2}commit 21 {2}\d+ bytes {2}\d+ bytes in \d+ pages? of \d+: /);
  const none = await speil(['journal', 'check', '--data', 'a', 'none'], { cwd: folder });
  assert.match(none.stderr, /NOT_FOUND[\s\S]*There are: monday, shop/);
  const clean = await speil(['journal', 'check', '--data', 'a'], { cwd: folder });
  assert.deepEqual([clean.code, clean.stdout.match(/all is well/g)?.length], [0, 2]);
  copyFileSync(file('a/monday/database.db'), file('kept.db'));
  const descriptor = openSync(file('a/monday/database.db'), 'r+');
  writeSync(descriptor, 'x', 5_000);
  const damaged = await speil(['journal', 'check', '--data', 'a'], { cwd: folder });
  assert.equal(damaged.code, 1);
  assert.match(damaged.stdout, /^monday: DAMAGED\n[\s\S]*NOT what the journal says[\s\S]*\nshop: all is well$/m);
  assert.match(damaged.stderr, /monday is damaged[\s\S]*speil restore/);
});

test('a configuration file, TLS and tokens', async () => {
  const { cert, key } = selfSigned();
  writeFileSync(file('c.pem'), cert);
  writeFileSync(file('k.pem'), key, { mode: 0o600 });
  writeFileSync(
    file('server.json'),
    JSON.stringify({ data: 'b', tlsCert: 'c.pem', tlsKey: 'k.pem', requireToken: true }),
  );
  const { process, url } = await start('--config', 'server.json');
  await using server = process;
  assert.match(url, /^https:/);
  const env = { SPEIL_SERVER: url, NODE_EXTRA_CA_CERTS: file('c.pem') };
  const ask = (...args: readonly string[]) => speil(args, { cwd: folder, env });
  assert.match((await ask('database', 'list')).stderr, /AUTHENTICATION_REFUSED/);
  const admin = ['--token-file', 'b/admin.token'];
  assert.equal((await ask('database', 'create', 'shop', ...admin)).code, 0);
  assert.equal(
    (await ask('server', 'token', 'create', '--access', 'write', '--database', 'shop', '--out', 'w.token', ...admin))
      .code,
    0,
  );
  assert.equal((await ask('sql', 'shop', 'CREATE TABLE a (x)', '--token-file', 'w.token')).code, 0);
  assert.match((await ask('database', 'drop', 'shop', '--yes', '--token-file', 'w.token')).stderr, /FORBIDDEN/);
  assert.match((await speil(['database', 'list', '--at', url], { cwd: folder })).stderr, /TLS_FAILED/);
  assert.ok(!server.stdout.includes(readFileSync(file('b/admin.token'), 'utf8').trim()));
});

test('what cannot be served is said with what to type', async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /The folder for the databases is missing[\s\S]*--data/],
    [['--data', 'c', '--listen', '0.0.0.0:0'], /INSECURE_LISTEN[\s\S]*--tls-cert/],
    [['--data', 'c', '--tls-cert', 'c.pem'], /--tls-key is missing/],
    [['--data', 'server.json'], /cannot be used/],
    [['--data', 'c', '--slow-ms', 'soon'], /'soon' is invalid/],
    [['--data', 'c', '--listen', 'x'], /127\.0\.0\.1:8500/],
    [['--config', 'c.pem'], /not valid JSON/],
    [['token', 'create'], /--access/],
  ];
  for (const [args, said] of cases) {
    const { code, stderr } = await speil(['server', ...args], { cwd: folder });
    assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
    assert.match(stderr, said);
  }
});
