import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { prepareCenterDatabase } from '../support/center-template.ts';
import { selfSigned } from '../support/certificate.ts';
import { assertSameRows } from '../support/dump.ts';
import { SpeilProcess, type SpeilResult, speil } from '../support/speil-process.ts';

// A center and a mirror client as real processes, and everything that an operator types.

const folder = mkdtempSync(join(tmpdir(), 'speil-cli-center-'));
const file = (name: string): string => join(folder, name);

let center: SpeilProcess;
let client: SpeilProcess;
let url = '';

before(async () => {
  makeSource('acme.db');
  await speil(['keys', 'create', 'app.key'], { cwd: folder });
  await prepareCenterDatabase(file('center'));
  [center, url] = await startCenter();
  const common = ['--mirror', 'sqlite:mirrors/{tenant}.db', '--application', 'my-app', '--key', 'app.key'];
  client = new SpeilProcess(
    ['client', 'serve', '--listen', '127.0.0.1:0', ...common, '--trust', 'center/center.pub', '--json'],
    { cwd: folder },
  );
  await client.waitFor(({ event }) => event === 'listening');
});

after(async () => {
  await Promise.all([client?.kill(), center?.kill()]);
  rmSync(folder, { recursive: true, force: true });
});

function makeSource(name: string): void {
  using database = new DatabaseSync(file(name));
  database.exec(`
    CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE log (id INTEGER PRIMARY KEY, line TEXT);
    INSERT INTO person VALUES (1, 'Ada'), (2, 'Bo'), (3, 'Cy');
    INSERT INTO log VALUES (1, 'x')`);
}

async function startCenter(...more: readonly string[]): Promise<[SpeilProcess, string]> {
  const args = ['center', 'serve', '--data', 'center', '--listen', '127.0.0.1:0', ...more];
  const process = new SpeilProcess(args, { cwd: folder });
  const listening = await process.waitFor(({ msg }) => msg === 'the operation center listens');
  return [process, String(listening['url'])];
}

/** `speil center …` with the operator's token, which is found by itself. */
const type = (args: readonly string[], stdin = ''): Promise<SpeilResult> =>
  speil(['center', ...args], { cwd: folder, env: { SPEIL_CENTER: url }, stdin });

async function typed(...args: readonly string[]): Promise<SpeilResult> {
  const result = await type(args);
  assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`);
  return result;
}

const clientUrl = (): string => String(client.events.find(({ event }) => event === 'listening')?.['url']);

test('the first start makes a folder that nobody else can read', () => {
  assert.equal(statSync(file('center')).mode & 0o777, 0o700);
  for (const name of ['center.key', 'center.rsa.key', 'operator.token', 'secret.key']) {
    assert.equal(statSync(file(`center/${name}`)).mode & 0o777, 0o600, name);
  }
  assert.match(readFileSync(file('center/center.pub'), 'utf8'), /BEGIN PUBLIC KEY/);
});

test('a tenant and a mirror are added, a cycle is asked for and waited for, and the mirror is right', async () => {
  const added = await type(['tenant', 'add', 'acme', '--source-file', '-'], `sqlite:${file('acme.db')}\n`);
  assert.match(added.stdout, /^Added acme, whose source is .*acme\.db\.\n$/);
  await typed('mirror', 'add', 'acme', '--application', 'my-app', '--public-key', 'app.pub', '--client', clientUrl());
  const run = await typed('run', 'acme', '--application', 'my-app', '--wait', '--json');
  assert.deepEqual([run.events[0]?.event, run.events[0]?.['status']], ['run', 'completed']);
  await assertSameRows(`sqlite:${file('acme.db')}`, `sqlite:${file('mirrors/acme.db')}`);
});

test('events are followed', async () => {
  const env = { SPEIL_CENTER: url };
  await using following = new SpeilProcess(['center', 'events', 'acme', '--follow', '--json'], { cwd: folder, env });
  await following.waitFor(({ event }) => event === 'center-event');
  const before = following.events.length;
  await typed('run', 'acme', '--wait');
  await following.waitFor(() => following.events.length > before);
  following.interrupt();
  assert.equal((await following.exit).code, 130);
});

test('a center that is stopped ends after the batch under way, and goes on when it is started again', async () => {
  {
    using source = new DatabaseSync(file('acme.db'));
    source.exec(`INSERT INTO log WITH RECURSIVE n(i) AS (VALUES (2) UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
      SELECT i, 'line ' || i FROM n`);
  }
  await typed('preferences', 'acme', 'BatchSize=1000');
  const begun = () => client.events.filter(({ message }) => /a cycle begins/.test(String(message))).length;
  const before = begun();
  await typed('run', 'acme');
  await client.waitFor(() => begun() > before);
  await stop();
  const { cert, key } = selfSigned({ names: ['localhost', '127.0.0.1'] });
  writeFileSync(file('tls.pem'), cert);
  writeFileSync(file('tls.key'), key, { mode: 0o600 });
  [center, url] = await startCenter('--tls-cert', 'tls.pem', '--tls-key', 'tls.key');
  assert.match(url, /^https:/);
  const second = await type(['serve', '--data', 'center', '--listen', '127.0.0.1:0']);
  assert.match(second.stderr, /CONFLICT/);
  assert.match((await type(['status'])).stderr, /TLS_FAILED.*NODE_EXTRA_CA_CERTS/s);
  const trusting = { SPEIL_CENTER: url, NODE_EXTRA_CA_CERTS: file('tls.pem') };
  const { stdout } = await speil(['center', 'status'], { cwd: folder, env: trusting });
  assert.match(stdout, /^acme\tmy-app\t/);
  const run = await speil(['center', 'run', 'acme', '--wait'], { cwd: folder, env: trusting });
  assert.match(run.stdout, /^acme for my-app: completed/);
  await assertSameRows(`sqlite:${file('acme.db')}`, `sqlite:${file('mirrors/acme.db')}`);
  const { stdout: runs } = await speil(['center', 'runs', 'acme', '--json'], { cwd: folder, env: trusting });
  assert.match(runs, /"status":"interrupted"/);
});

test('a database that is thrown away costs no mirror anything', async () => {
  await stop();
  rmSync(file('center/database'), { recursive: true });
  await prepareCenterDatabase(file('center'));
  [center, url] = await startCenter();
  await typed('tenant', 'add', 'acme', '--source', `sqlite:${file('acme.db')}`);
  await typed('mirror', 'add', 'acme', '--application', 'my-app', '--public-key', 'app.pub', '--client', clientUrl());
  const [run] = (await typed('run', 'acme', '--wait', '--json')).events;
  assert.deepEqual([run?.['status'], run?.['inserted']], ['completed', 0]);
});

async function stop(): Promise<void> {
  center.signal('SIGTERM');
  assert.deepEqual(await center.exit, { code: 0, signal: null });
}

test('no secret is in the log, nor in a file that others can read', () => {
  const token = readFileSync(file('center/operator.token'), 'utf8').trim();
  for (const said of [center.stdout, center.stderr]) {
    assert.ok(!said.includes(token) && !said.includes('PRIVATE KEY'));
  }
  chmodSync(file('center'), 0o700);
  const open = readdirSync(file('center')).filter((name) => (statSync(file(`center/${name}`)).mode & 0o077) !== 0);
  assert.ok(
    open.every((name) => !/key$|token$/.test(name)),
    open.join(', '),
  );
});
