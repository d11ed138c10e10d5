import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { newKey, TestCenter } from '../support/dialled.ts';
import { assertSameRows } from '../support/dump.ts';
import { pushCycle } from '../support/push-cycle.ts';
import { speilHere } from '../support/speil-here.ts';
import { SpeilProcess, speil } from '../support/speil-process.ts';
import { withDirectory } from '../support/workload.ts';

/** A folder with the keys of both sides and a source. */
function workplace() {
  const directory = withDirectory();
  const { file, path } = directory;
  const [app, center] = [newKey(), newKey()];
  writeFileSync(file('app.key'), app.privatePem, { mode: 0o600 });
  writeFileSync(file('center.pub'), center.publicPem);
  change(
    file('source.db'),
    "CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO person VALUES (1, 'Ada')",
  );
  const mirror = 'sqlite:mirrors/{tenant}.db';
  const common = ['--mirror', mirror, '--application', 'my-app', '--key', 'app.key', '--trust', 'center.pub'];
  const start = (...args: readonly string[]) => new SpeilProcess(['client', ...args, ...common], { cwd: path });
  const run = (...args: readonly string[]) => speil(['client', ...args, ...common], { cwd: path });
  const push = (to: Parameters<typeof pushCycle>[0]['to'], tenant = 'acme', signal = AbortSignal.timeout(20_000)) =>
    pushCycle({
      to,
      tenant,
      source: `sqlite:${file('source.db')}`,
      application: 'my-app',
      centerKey: center.privatePem,
      applicationKey: app.publicPem,
      signal,
    });
  const same = (tenant = 'acme') =>
    assertSameRows(`sqlite:${file('source.db')}`, `sqlite:${file(`mirrors/${tenant}.db`)}`);
  return { file, path, app, center, mirror, start, run, push, same, [Symbol.dispose]: directory[Symbol.dispose] };
}

function change(path: string, sql: string): void {
  using database = new DatabaseSync(path);
  database.exec(sql);
}

const listening = async (serving: SpeilProcess): Promise<string> =>
  String((await serving.waitFor(({ event }) => event === 'listening'))['url']);

const SERVE = ['serve', '--listen', '127.0.0.1:0', '--json'];

test('speil client serve takes cycles, logs them, ends cleanly, and goes on where it ended', async () => {
  using place = workplace();
  {
    await using serving = place.start(...SERVE);
    const url = await listening(serving);
    const first = await place.push(url);
    assert.equal(first.status, 'completed');
    await place.same();
    await serving.waitFor(({ event, message }) => event === 'notice' && /a cycle completed/.test(String(message)));
    serving.signal('SIGTERM');
    assert.deepEqual(await serving.exit, { code: 0, signal: null });
    assert.equal(serving.events.at(-1)?.event, 'ended');
    const notices = serving.events.filter(({ event }) => event === 'notice');
    assert.ok(notices.every(({ tenant, at }) => tenant === 'acme' && /^\d{4}-.*Z$/.test(String(at))));
    assert.deepEqual(
      notices.map(({ message }) => message),
      [
        'a cycle begins',
        'person was created',
        'person is copied from nothing',
        'a cycle completed: tables with changes 1, inserted 1, updated 0, deleted 0',
      ],
    );
  }
  change(place.file('source.db'), "INSERT INTO person VALUES (2, 'Grace')");
  await using again = place.start('serve', '--listen', '127.0.0.1:0');
  const [, url = ''] = await again.waitForText(/listening on (\S+) as my-app/);
  const second = await place.push(url);
  assert.deepEqual(
    second.tables.map(({ repopulated, inserted }) => [repopulated, inserted]),
    [[undefined, 1]],
  );
  await place.same();
  await again.waitForText(/Z {2}acme: a cycle completed/);
  again.interrupt();
  assert.equal((await again.exit).code, 0);
});

test('two processes on one mirror: the second says who holds it, and serves other tenants', async () => {
  using place = workplace();
  await using one = place.start(...SERVE);
  await using two = place.start(...SERVE);
  const [first, second] = [await listening(one), await listening(two)];
  assert.equal((await place.push(first)).status, 'completed');
  const enough = new AbortController();
  const refused = assert.rejects(place.push(second, 'acme', enough.signal), { code: 'INTERRUPTED' });
  await two.waitFor(({ event, message }) => event === 'notice' && /MIRROR_BUSY/.test(String(message)));
  enough.abort();
  await refused;
  assert.ok(two.stdout.includes(`held by process ${one.pid}`), two.stdout);
  assert.equal((await place.push(second, 'other')).status, 'completed');
  one.signal('SIGTERM');
  await one.exit;
  assert.equal((await place.push(second)).status, 'completed');
  await place.same();
});

test('a call that nobody trusts is refused and told of', async () => {
  using place = workplace();
  await using serving = place.start(...SERVE);
  const url = await listening(serving);
  const stranger = pushCycle({
    to: url,
    tenant: 'acme',
    source: `sqlite:${place.file('source.db')}`,
    application: 'my-app',
    centerKey: newKey().privatePem,
    applicationKey: place.app.publicPem,
  });
  await assert.rejects(stranger, { code: 'TRUST_REFUSED' });
  const { error } = await serving.waitFor(({ event }) => event === 'call-refused');
  assert.equal((error as { code: string }).code, 'TRUST_REFUSED');
  assert.ok(!existsSync(place.file('mirrors')));
});

test('hooks come from a TypeScript module, which may also name the mirror', async () => {
  using place = workplace();
  writeFileSync(
    place.file('hooks.ts'),
    `import { appendFileSync } from 'node:fs';
    type Context = { readonly tenant: string; readonly clientState: string };
    const hear = (text: string): void => appendFileSync('heard.txt', text + '\\n');
    export const onAuthenticate = ({ tenant }: Context) =>
      tenant === 'moving' ? { doNotReplicate: 'the house is moved' } : { clientState: tenant.toUpperCase() };
    export const resolveMirror = ({ tenant, clientState }: Context): string => \`sqlite:other/\${tenant}-\${clientState}.db\`;
    export default { onWipe: (table: { name: string }, { clientState }: Context) => hear(\`wipe \${table.name} \${clientState}\`) };`,
  );
  await using serving = place.start(...SERVE, '--hooks', 'hooks.ts');
  const url = await listening(serving);
  assert.equal((await place.push(url, 'moving')).skipped, 'the house is moved');
  assert.ok(!existsSync(place.file('other')));
  assert.equal((await place.push(url)).status, 'completed');
  await assertSameRows(`sqlite:${place.file('source.db')}`, `sqlite:${place.file('other/acme-ACME.db')}`);
  assert.equal(readFileSync(place.file('heard.txt'), 'utf8'), 'wipe person ACME\n');
});

test('speil client connect serves a center that never reaches it', async () => {
  using place = workplace();
  await using center = await TestCenter.start({
    center: place.center,
    publicKeysOf: async () => [place.app.publicPem],
  });
  await using client = place.start('connect', '--center', center.url, '--json');
  await client.waitFor(({ event }) => event === 'connected');
  const exchange = center.clients.exchange('my-app', place.app.publicPem);
  assert.equal((await place.push(exchange)).status, 'completed');
  await place.same();
  client.signal('SIGTERM');
  assert.equal((await client.exit).code, 0);
  assert.equal(client.events.at(-1)?.event, 'ended');
});

test('speil client info tells tenants, positions and last cycles, with and without a process that serves', async () => {
  using place = workplace();
  const template = `sqlite:${place.file('mirrors')}/{tenant}.db`;
  const info = (...args: readonly string[]) => speilHere(['client', 'info', '--mirror', template, ...args]);
  assert.equal((await info()).stdout, 'There are no mirrors yet.\n');
  await using serving = place.start(...SERVE);
  const url = await listening(serving);
  for (const tenant of ['acme', 'other']) await place.push(url, tenant);
  const [told] = (await info('--json')).events;
  const tenants = told?.['tenants'] as readonly { tenant: string; rows: number; bytes: number; completedAt: string }[];
  assert.deepEqual(
    tenants.map(({ tenant, rows }) => [tenant, rows]),
    [
      ['acme', 1],
      ['other', 1],
    ],
  );
  assert.ok(tenants.every(({ bytes, completedAt }) => bytes > 4_000 && completedAt.endsWith('Z')));
  const words = await info('--tenant', 'acme');
  assert.deepEqual([words.code, words.stderr], [0, '']);
  assert.match(
    words.stdout,
    /^acme {2}1 table, 1 row, .*last cycle \d{4}-.*mirrors\/acme\.db\n {2}person {2}up to date {2}1 {2}\d+/,
  );
  writeFileSync(place.file('mirrors/broken.db'), 'x'.repeat(5_000));
  const broken = await info();
  assert.equal(broken.code, 1);
  assert.match(broken.stdout, /broken {2}error: .*NOT_A_DATABASE/);
});

test('speil client validate says line by line what is wrong, with exit code 1', async () => {
  using place = workplace();
  writeFileSync(place.file('app.key'), place.app.publicPem);
  const { code, stdout } = await place.run('validate', '--url', 'http://127.0.0.1:1');
  assert.equal(code, 1);
  assert.match(stdout, /^failed {2}keys {9}this is a public key.*\n {21}hint: .*\nok {6}mirror {7}0 tenants/);
  assert.match(stdout, /\n- {7}post {9}nobody could be asked\n/);
});

test('what cannot be served is refused at once, with what to type', async () => {
  using place = workplace();
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['--listen', '0.0.0.0:0'], /INSECURE_LISTEN\)\n.*--tls-cert/],
    [['--tls-cert', 'center.pub'], /--tls-key is missing/],
    [['--call-bytes-max', '10'], /1,000,000 to 2,000,000,000/],
  ];
  for (const [args, pattern] of cases) {
    const refused = await place.run('serve', ...args);
    assert.equal(refused.code, 2, refused.stderr);
    assert.match(refused.stderr, pattern);
  }
});
