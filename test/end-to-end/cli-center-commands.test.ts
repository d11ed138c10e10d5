import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { type Center, startCenter } from '../../src/center.ts';
import { createKeyPair } from '../../src/client/trust/keys.ts';
import { connectClient, serveClient } from '../../src/client-service.ts';
import { prepareCenterDatabase } from '../support/center-template.ts';
import { assertSameRows } from '../support/dump.ts';
import { type Around, type SpeilHere, speilHere } from '../support/speil-here.ts';
import { eventually } from '../support/workload.ts';

// What an operator types, in this process, over HTTP to a real center with a real mirror client.

const folder = mkdtempSync(join(tmpdir(), 'speil-center-commands-'));
const file = (name: string): string => join(folder, name);

let center: Center;
let client: Awaited<ReturnType<typeof serveClient>>;

before(async () => {
  makeSource('acme.db');
  const { privatePem, publicPem } = createKeyPair('ed25519');
  writeFileSync(file('app.pub'), publicPem);
  writeFileSync(file('app.key'), privatePem);
  await prepareCenterDatabase(file('center'));
  center = await startCenter({ data: file('center'), listen: { host: '127.0.0.1', port: 0 } });
  client = await serveClient({
    ...clientOptions('my-app'),
    mirror: `sqlite:${file('mirrors')}/{tenant}.db`,
    listen: { host: '127.0.0.1', port: 0 },
  });
  await typed('tenant', 'add', 'acme', '--source', `sqlite:${file('acme.db')}`);
  await typed(
    'mirror',
    'add',
    'acme',
    '--application',
    'my-app',
    '--public-key',
    file('app.pub'),
    '--client',
    client.url,
  );
  await typed('run', 'acme', '--wait');
});

const clientOptions = (application: string) => ({
  application,
  keys: [readFileSync(file('app.key'), 'utf8')],
  trust: [readFileSync(file('center/center.pub'), 'utf8')],
});

after(async () => {
  await client?.[Symbol.asyncDispose]();
  await center?.[Symbol.asyncDispose]();
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

const type = (args: readonly string[], { stdin, isTTY }: Omit<Around, 'variables'> = {}): Promise<SpeilHere> =>
  speilHere(['center', ...args], {
    variables: { SPEIL_CENTER: center.url, SPEIL_TOKEN_FILE: center.tokenFile, NO_COLOR: '1' },
    ...(stdin !== undefined && { stdin }),
    ...(isTTY !== undefined && { isTTY }),
  });

async function typed(...args: readonly string[]): Promise<SpeilHere> {
  const result = await type(args);
  assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`);
  return result;
}

test('lists are for people on a terminal, and for programs in a pipe', async () => {
  assert.match((await typed('tenant', 'list')).stdout, /^acme\tactive\t.*acme\.db\t\S+\n$/);
  assert.match(
    (await typed('mirror', 'list', 'acme')).stdout,
    /^my-app\thttp:\/\/127\.0\.0\.1:\d+\t20 min 00 s\t\S+\n$/,
  );
  const [tenant] = (await typed('tenant', 'list', '--json')).events;
  assert.deepEqual([tenant?.event, tenant?.['name'], tenant?.['paused']], ['tenant', 'acme', false]);
});

test('status, runs and events say how it went', async () => {
  const status = await typed('status', 'acme');
  assert.match(status.stdout, /^acme\tmy-app\twaiting\t\S+ \S+ ago\tin \d[^\t]*\t\n$/);
  assert.match(status.stderr, /^1 mirror, 0 failing, 0 behind;/);
  const [{ mirrors } = {}] = (await typed('status', '--json')).events;
  assert.equal((mirrors as Record<string, unknown>[])[0]?.['behind'], false);
  const runs = (await typed('runs', 'acme', '--json')).events;
  const first = runs.at(-1);
  assert.deepEqual([first?.['status'], first?.['inserted'], first?.['tables']], ['completed', 4, 2]);
  const one = await typed('runs', 'acme', '--run', String(first?.['id']));
  assert.match(one.stdout, /person +\+3 +~0 +-0/);
  const events = (await typed('events', 'acme', '--json')).events;
  assert.ok(events.length >= 1 && events.every(({ kind }) => kind === 'information'));
});

test('a skipped table is announced by one cycle and dropped by the next', async () => {
  const mirrored = () => {
    using database = new DatabaseSync(file('mirrors/acme.db'), { readOnly: true });
    return database.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'log'").get()?.['n'];
  };
  const changed = await typed('preferences', 'acme', 'SkipTable=log', 'BatchSize=500kB');
  assert.equal(changed.stdout, 'BatchSize=500000 (500,000 bytes)\nSkipTable=log\nBlockTable=\n');
  assert.match(changed.stderr, /Left out from now on: log\. The next cycle announces/);
  await typed('run', 'acme', '--wait');
  assert.equal(mirrored(), 1);
  await typed('run', 'acme', '--wait');
  assert.equal(mirrored(), 0);
  assert.match((await typed('events', 'acme')).stdout, /warning acme\/my-app: log skipped from now on/);
  await typed('preferences', 'acme', 'SkipTable=');
});

test('tables are copied again when they are asked for', async () => {
  const resync = await typed('resync', 'acme', '--application', 'my-app', 'person');
  assert.equal(resync.stdout, 'The next cycle copies again: person.\n');
  const [run] = (await typed('run', 'acme', '--wait', '--json')).events;
  const { tables } = (run?.['report'] ?? { tables: [] }) as { readonly tables: readonly Record<string, unknown>[] };
  assert.equal(typeof tables.find(({ table }) => table === 'person')?.['repopulated'], 'string');
});

test('pause, maintenance and quiet hours', async () => {
  await typed('tenant', 'pause', 'acme');
  const refused = await type(['run', 'acme']);
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    /acme is paused: no cycle starts \(CONFLICT\)\n {2}hint: .*speil center tenant resume acme/,
  );
  assert.match((await typed('status')).stdout, /\tpaused\t/);
  await typed('tenant', 'resume', 'acme');
  await typed('maintenance', 'on');
  assert.match((await typed('status')).stdout, /\tmaintenance\t/);
  await typed('maintenance', 'off');
  await typed('quiet-hours', '23:00-06:00', '--timezone', 'Europe/Oslo');
  assert.equal((await typed('quiet-hours')).stdout, 'Quiet hours: 23:00-06:00 (Europe/Oslo).\n');
  await typed('quiet-hours', 'off');
});

test("a tenant's own token sees and does what is the tenant's", async () => {
  const created = await typed('token', 'create', '--role', 'tenant', '--tenant', 'acme', '--out', file('acme.token'));
  assert.equal(created.stdout, '');
  assert.equal(statSync(file('acme.token')).mode & 0o777, 0o600);
  const own = ['--token-file', file('acme.token')];
  await typed('run', 'acme', '--wait', ...own);
  assert.equal((await type(['preferences', 'acme', 'BlockTable=person', ...own])).code, 1);
  assert.match((await type(['status', 'other', ...own])).stderr, /NOT_FOUND/);
  assert.match((await type(['tenant', 'pause', 'acme', ...own])).stderr, /FORBIDDEN/);
  const [token] = (await typed('token', 'list', '--json')).events.filter(({ role }) => role === 'tenant');
  await typed('token', 'revoke', String(token?.['id']));
  assert.match((await type(['status', ...own])).stderr, /AUTHENTICATION_REFUSED/);
});

test('on a terminal a list has a heading, and says what to type when it is empty', async () => {
  const listed = await type(['tenant', 'list'], { isTTY: true });
  assert.match(listed.stdout, /^tenant +state +source +added\nacme +active +/);
  const tokens = await type(['runs', 'acme', '--application', 'none'], { isTTY: true });
  assert.equal(tokens.stdout, 'There are no runs yet.\n');
});

test('a source with a password comes from a file or standard input, and is shown without', async () => {
  const address = 'postgres://reader:hunter2@db.example/crm';
  const added = await type(['tenant', 'add', 'pg', '--source-file', '-'], { stdin: `${address}\n` });
  assert.deepEqual([added.code, added.stdout], [0, 'Added pg, whose source is postgres://reader@db.example/crm.\n']);
  writeFileSync(file('pg.url'), address);
  const changed = await typed('tenant', 'source', 'pg', '--source-file', file('pg.url'));
  assert.equal(changed.stdout, 'The source of pg is postgres://reader@db.example/crm.\n');
  assert.equal((await type(['tenant', 'add', 'b', '--source', 'x', '--source-file', 'y'])).code, 2);
  await typed('tenant', 'remove', 'pg', '--yes');
});

test('preferences that cannot be are refused before anything is asked of the center', async () => {
  for (const setting of ['BatchSize=1', 'Skip=x', 'SkipTable', '=x']) {
    const { code, stderr } = await type(['preferences', 'acme', setting]);
    assert.deepEqual([code, /USAGE/.test(stderr)], [2, true], setting);
  }
  const shown = await typed('preferences', 'acme');
  assert.equal(shown.stdout, 'BatchSize=500000 (500,000 bytes)\nSkipTable=\nBlockTable=\n');
});

test('a webhook is set without being seen, and its signing secret told once', async () => {
  const set = await type(['webhook', '--url-file', '-'], { stdin: 'https://hooks.example/T0/secret' });
  assert.match(set.stdout, /^Alerts are posted to https:\/\/hooks\.example\/…\nThey are signed with whsec_\S+\n$/);
  assert.equal((await typed('webhook')).stdout, 'Alerts are posted to https://hooks.example/…\n');
  assert.equal((await typed('webhook', 'off')).stdout, 'Alerts are not posted anywhere.\n');
});

test('a token is rotated: the new one works, the old one does not', async () => {
  const created = await typed('token', 'create', '--role', 'read-only', '--json');
  const [token] = created.events;
  writeFileSync(file('old.token'), String(token?.['secret']));
  await typed('status', '--token-file', file('old.token'));
  await typed('token', 'rotate', String(token?.['id']), '--out', file('new.token'));
  assert.equal((await type(['status', '--token-file', file('old.token')])).code, 1);
  await typed('status', '--token-file', file('new.token'));
  const again = await type(['token', 'rotate', String(token?.['id']), '--out', file('new.token')]);
  assert.match(again.stderr, /cannot be made, or is there already/);
});

test('a token that is not made leaves no empty file, and the next attempt may take its name', async () => {
  const create = ['token', 'create', '--role', 'tenant', '--out', file('made.token')];
  assert.match((await type([...create, '--tenant', 'none'])).stderr, /no tenant none/);
  assert.ok(!existsSync(file('made.token')));
  await typed(...create, '--tenant', 'acme');
  assert.equal(statSync(file('made.token')).mode & 0o777, 0o600);
  await type([...create, '--tenant', 'acme']);
  await typed('status', 'acme', '--token-file', file('made.token'));
});

test('a mirror gets another key, client and interval; what is not named stays', async () => {
  await typed('tenant', 'add', 'moving', '--source', `sqlite:${file('none.db')}`);
  await typed('tenant', 'pause', 'moving');
  const which = ['moving', '--application', 'my-app'];
  await typed('mirror', 'add', ...which, '--public-key', file('app.pub'), '--dialled', '--every', '1h');
  const changed = await typed('mirror', 'change', ...which, '--every', '5m', '--json');
  assert.deepEqual([changed.events[0]?.['transport'], changed.events[0]?.['everyMs']], [{ kind: 'dialled' }, 300_000]);
  writeFileSync(file('next.pub'), createKeyPair('ed25519').publicPem);
  const moved = await typed('mirror', 'change', ...which, '--public-key', file('next.pub'), '--client', client.url);
  assert.equal(moved.stdout, `The mirror of moving for my-app: ${client.url}, every 5 min 00 s.\n`);
  const [mirror] = (await typed('mirror', 'list', 'moving', '--json')).events;
  assert.equal(mirror?.['publicKey'], readFileSync(file('next.pub'), 'utf8'));
  assert.match((await type(['mirror', 'change', ...which])).stderr, /Say what changes/);
  await typed('tenant', 'remove', 'moving', '--yes');
});

test('a private key is not even sent to the center', async () => {
  const key = ['--application', 'a', '--public-key', file('app.key'), '--dialled', '--center', 'http://127.0.0.1:1'];
  for (const word of ['add', 'change']) {
    const { code, stderr } = await type(['mirror', word, 'acme', ...key]);
    assert.deepEqual([code, /app\.key is a private key/.test(stderr)], [2, true], stderr);
  }
});

test('a cycle that fails is told with its error, and so is the status after it', async () => {
  await typed('tenant', 'source', 'acme', '--source', `sqlite:${file('gone.db')}`);
  const run = await type(['run', 'acme', '--wait']);
  assert.equal(run.code, 1);
  assert.match(run.stdout, /acme for my-app: failed/);
  assert.match(run.stderr, /error: .*\n {2}hint: /);
  const status = await typed('status');
  assert.match(status.stdout, /^acme\tmy-app\tfailing\t.*1 failure in a row\n$/);
  assert.match(status.stderr, /error: acme for my-app: /);
  await typed('tenant', 'source', 'acme', '--source', `sqlite:${file('acme.db')}`);
  assert.match((await typed('run', 'acme', '--wait')).stdout, /completed/);
});

test('a client that dials out is not connected, connects, has its cycle at once, and is seen', async () => {
  await typed('mirror', 'add', 'acme', '--application', 'far', '--public-key', file('app.pub'), '--dialled');
  const alone = await type(['run', 'acme', '--application', 'far', '--wait']);
  assert.match(alone.stderr, /CLIENT_NOT_CONNECTED/);
  assert.match((await typed('status', 'acme')).stdout, /^acme\tfar\tfailing\t.*client not connected/m);
  const ending = new AbortController();
  const connected = connectClient({
    ...clientOptions('far'),
    mirror: `sqlite:${file('far')}/{tenant}.db`,
    center: center.url,
    signal: ending.signal,
  });
  try {
    await eventually(async () => assert.match((await typed('status')).stdout, /^acme\tfar\twaiting\t/m));
    assert.doesNotMatch((await typed('status')).stdout, /not connected/);
    await assertSameRows(`sqlite:${file('acme.db')}`, `sqlite:${file('far/acme.db')}`);
  } finally {
    ending.abort();
    await connected.catch(() => undefined);
  }
  await typed('mirror', 'remove', 'acme', '--application', 'far', '--yes');
});

test('what is typed wrong is told with what to type', async () => {
  const none = file('none');
  for (const [args, pattern] of [
    [['status', '--token-file', none], /token file .*none cannot be read/],
    [['status', '--center', 'http://127.0.0.1:1'], /does not answer/],
    [['status', '--center', 'http://center.example:8500'], /is not encrypted/],
    [['status', '--center', 'center.example'], /not a URL/],
    [['status', '--center', client.url], /not as an operation center does|NOT_FOUND/],
    [['tenant', 'add', 'b'], /either --source or --source-file/],
    [['mirror', 'add', 'b', '--application', 'a', '--public-key', file('app.pub')], /either --client or --dialled/],
    [['mirror', 'add', 'acme', '--application', 'a', '--public-key', file('app.key'), '--dialled'], /private key/],
    [['mirror', 'add', 'acme', '--application', 'a', '--public-key', none, '--dialled'], /FILE_MISSING/],
    [['quiet-hours', '25:00-06:00', '--timezone', 'UTC'], /25:00-06:00 are no quiet hours/],
    [['quiet-hours', '23:00-06:00'], /need a time zone/],
    [['quiet-hours', '23:00-06:00', '--timezone', 'Mars'], /no time zone "Mars"/],
    [['maintenance', 'maybe'], /on or off/],
    [['run', 'none'], /no tenant none/],
    [['tenant', 'ad'], /Unknown command 'ad'/],
    [['serve', '--data', none, '--listen', 'x'], /127\.0\.0\.1:8500/],
    [['serve', '--data', none, '--tls-cert', 'x'], /--tls-key is missing|cannot be read/],
    [['serve', '--data', none, '--listen', '0.0.0.0:0'], /INSECURE_LISTEN/],
    [['serve', '--data', file('center'), '--listen', '127.0.0.1:0'], /CONFLICT/],
  ] as const) {
    const { code, stderr } = await type(args);
    assert.ok(code === 1 || code === 2, `${args.join(' ')}: ${code}`);
    assert.match(stderr, pattern, args.join(' '));
    assert.match(stderr, /\n {2}hint: /, `${args.join(' ')} has a hint`);
  }
  assert.ok(!existsSync(none), 'and nothing was made');
});

test('a tenant is removed when somebody says so, and its mirror stays', async () => {
  const asked = await type(['tenant', 'remove', 'acme']);
  assert.equal(asked.code, 2);
  assert.match(asked.stderr, /This removes acme with 1 mirror, .* mirror databases stay as they are/);
  assert.match((await typed('tenant', 'list')).stdout, /^acme\t/);
  const said = await type(['tenant', 'remove', 'acme'], { stdin: 'no\n', isTTY: true });
  assert.match(said.stderr, /Type yes to do it: .*Nothing was done/s);
  const mirror = await type(['mirror', 'remove', 'acme', '--application', 'my-app'], { stdin: 'yes\n', isTTY: true });
  assert.deepEqual([mirror.code, mirror.stdout], [0, 'Removed the mirror of acme for my-app.\n']);
  await typed('tenant', 'remove', 'acme', '--yes');
  assert.equal((await typed('tenant', 'list')).stdout, '');
  assert.ok(existsSync(file('mirrors/acme.db')));
});

test('a center that ends lets go of the clients that have dialled in', async () => {
  await typed('tenant', 'add', 'bravo', '--source', `sqlite:${file('acme.db')}`);
  await typed('mirror', 'add', 'bravo', '--application', 'far', '--public-key', file('app.pub'), '--dialled');
  const ending = new AbortController();
  const seen: string[] = [];
  const connected = connectClient({
    ...clientOptions('far'),
    mirror: `sqlite:${file('far')}/{tenant}.db`,
    center: center.url,
    signal: ending.signal,
    onEvent: ({ event }) => void seen.push(event),
  });
  await eventually(() => assert.ok(seen.includes('connected')));
  await center[Symbol.asyncDispose]();
  await eventually(() =>
    assert.ok(
      seen.some((event) => event === 'disconnected'),
      seen.join(),
    ),
  );
  ending.abort();
  await connected.catch(() => undefined);
});
