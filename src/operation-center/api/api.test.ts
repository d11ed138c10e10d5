import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Asked, type Method, openTestCenter, type TestCenter } from '../../../test/support/center-api.ts';
import { createKeyPair } from '../../client/trust/keys.ts';
import type { Run } from '../model.ts';
import { BODY_BYTES_MAX } from './api.ts';

let center: TestCenter;
let operator: string;

before(async () => {
  center = await openTestCenter();
  operator = await center.token('operator');
  const added = await ask('POST', '/v1/tenants', { name: 'acme', source: 'postgres://reader:hunter2@db/crm' });
  assert.equal(added.status, 201);
  assert.equal((await ask('POST', '/v1/tenants/acme/mirrors', mirrorOf('crm'))).status, 201);
});
after(() => center[Symbol.asyncDispose]());

const ED25519 = createKeyPair('ed25519');
const mirrorOf = (application: string) => ({
  application,
  publicKey: ED25519.publicPem,
  transport: { kind: 'http', url: 'https://mirror.example:8400' },
});

const ask = (method: Method, path: string, body?: unknown, more: Asked = {}) =>
  center.ask(method, path, { token: operator, ...(body === undefined ? {} : { body }), ...more });

/** The error code that came with the status. */
async function refused(method: Method, path: string, body?: unknown, more: Asked = {}): Promise<readonly unknown[]> {
  const { status, body: answer } = await ask(method, path, body, more);
  const { code, message, hint, ...rest } = answer as Record<string, unknown>;
  assert.deepEqual(rest, {}, 'an error is code, message and hint');
  assert.equal(typeof message, 'string');
  assert.ok(hint === null || typeof hint === 'string');
  return [status, code];
}

test('a tenant is shown with its source, without its password', async () => {
  const { body } = await ask('GET', '/v1/tenants/acme');
  const { createdAt, ...rest } = body as Record<string, unknown>;
  assert.match(String(createdAt), /^\d{4}-/);
  assert.deepEqual(rest, {
    name: 'acme',
    sourceDisplay: 'postgres://reader@db/crm',
    paused: false,
    maintenance: false,
    preferences: { batchBytes: 1_000_000, skipTables: [], blockedTables: [] },
  });
});

test('what is there already is a conflict, and what is not there is not found', async () => {
  assert.deepEqual(await refused('POST', '/v1/tenants', { name: 'acme', source: 'sqlite:a.db' }), [409, 'CONFLICT']);
  assert.deepEqual(await refused('POST', '/v1/tenants/acme/mirrors', mirrorOf('crm')), [409, 'CONFLICT']);
  for (const path of ['/v1/tenants/none', '/v1/tenants/acme/mirrors/none', '/v1/runs/none', '/v1/none']) {
    assert.deepEqual(await refused('GET', path), [404, 'NOT_FOUND'], path);
  }
  assert.deepEqual(await refused('GET', '/v1/status?tenant=none'), [404, 'NOT_FOUND']);
  assert.deepEqual(await refused('DELETE', '/v1/tokens/none'), [404, 'NOT_FOUND']);
  assert.deepEqual(await refused('POST', '/v1/tokens', { role: 'tenant', tenant: 'none' }), [404, 'NOT_FOUND']);
});

test('fields that nobody knows are refused, in bodies and in queries', async () => {
  for (const [method, path, body] of [
    ['POST', '/v1/tenants', { name: 'b', source: 'sqlite:b.db', sauce: 'x' }],
    ['POST', '/v1/tenants/acme/pause', { tenant: 'other' }],
    ['PATCH', '/v1/tenants/acme/preferences', { skipTable: ['log'] }],
    ['POST', '/v1/tenants/acme/mirrors', { ...mirrorOf('b'), every: '20m' }],
    ['PATCH', '/v1/settings', { quietHours: { fromMinute: 1, toMinute: 2, timezone: 'UTC', days: [1] } }],
    ['POST', '/v1/tokens', { role: 'read-only', expires: 'never' }],
    ['GET', '/v1/tenants?tenat=acme', undefined],
    ['GET', '/v1/events?folow=1', undefined],
  ] as const) {
    assert.deepEqual(await refused(method, path, body), [400, 'USAGE'], path);
  }
  assert.equal((await ask('GET', '/v1/tenants/b')).status, 404);
});

test('values out of bounds are refused', async () => {
  for (const [method, path, body] of [
    ['POST', '/v1/tenants', { name: '1b', source: 'sqlite:b.db' }],
    ['POST', '/v1/tenants', { name: 'b/../c', source: 'sqlite:b.db' }],
    ['POST', '/v1/tenants', { name: 'b', source: 'mysql://x/y' }],
    ['PATCH', '/v1/tenants/acme/preferences', { batchBytes: 10 }],
    ['PATCH', '/v1/tenants/acme/preferences', { skipTables: ['x'.repeat(301)] }],
    ['PATCH', '/v1/tenants/acme/mirrors/crm', { everyMs: 1 }],
    ['PATCH', '/v1/settings', { quietHours: { fromMinute: 1440, toMinute: 0, timezone: 'UTC' } }],
    ['PATCH', '/v1/settings', { quietHours: { fromMinute: 60, toMinute: 0, timezone: 'Europe/Olso' } }],
    ['PATCH', '/v1/settings', { webhook: 'http://alerts.example/x' }],
    ['POST', '/v1/tokens', { role: 'operator', tenant: 'acme' }],
    ['POST', '/v1/tokens', { role: 'tenant' }],
    ['GET', '/v1/events?waitSeconds=1000', undefined],
    ['GET', '/v1/tenants/acme/runs?limit=1000000', undefined],
  ] as const) {
    const [status, code] = await refused(method, path, body);
    assert.deepEqual(
      [status, code === 'USAGE' || code === 'UNKNOWN_SCHEME'],
      [400, true],
      `${path} ${JSON.stringify(body)}`,
    );
  }
});

test('a body that is too large, not JSON or of another kind is refused', async () => {
  const headers = { 'content-type': 'application/json' };
  const large = `{"name":"${'x'.repeat(BODY_BYTES_MAX)}"}`;
  assert.deepEqual(await refused('POST', '/v1/tenants', large, { headers }), [413, 'CALL_TOO_LARGE']);
  assert.deepEqual(await refused('POST', '/v1/tenants', '{"name":', { headers }), [400, 'USAGE']);
  assert.deepEqual(await refused('POST', '/v1/tenants', '<a/>', { headers: { 'content-type': 'text/xml' } }), [
    400,
    'USAGE',
  ]);
  assert.deepEqual(await refused('POST', '/v1/tenants', undefined, { headers }), [400, 'USAGE']);
  assert.deepEqual(await refused('POST', '/v1/tenants', '{"__proto__":{}}', { headers }), [400, 'USAGE']);
});

test('a mirror takes the key that its transport needs, and no address that others could listen to', async () => {
  const rsa = createKeyPair('rsa');
  const soap = { kind: 'soap', url: 'https://mirror.example/soap' };
  const given = (change: object) => refused('POST', '/v1/tenants/acme/mirrors', { ...mirrorOf('b'), ...change });
  assert.deepEqual(await given({ publicKey: ED25519.privatePem }), [400, 'USAGE']);
  assert.deepEqual(await given({ publicKey: 'x' }), [400, 'USAGE']);
  assert.deepEqual(await given({ publicKey: rsa.publicPem }), [400, 'USAGE']);
  assert.deepEqual(await given({ transport: soap }), [400, 'USAGE']);
  for (const url of ['http://mirror.example', 'ftp://mirror.example', 'https://a:b@mirror.example', 'mirror']) {
    assert.deepEqual(await given({ transport: { kind: 'http', url } }), [400, 'USAGE'], url);
  }
  const added = await ask('POST', '/v1/tenants/acme/mirrors', {
    ...mirrorOf('soapy'),
    transport: soap,
    publicKey: rsa.publicPem,
  });
  assert.equal(added.status, 201);
  const loopback = await ask('PATCH', '/v1/tenants/acme/mirrors/crm', {
    transport: { kind: 'http', url: 'http://127.0.0.1:8400' },
  });
  assert.equal(loopback.status, 200);
  assert.equal((await ask('DELETE', '/v1/tenants/acme/mirrors/soapy')).status, 204);
});

test('preferences change one by one, and say whose mirror tables will go', async () => {
  const change = async (body: object) => (await ask('PATCH', '/v1/tenants/acme/preferences', body)).body;
  assert.deepEqual(await change({ skipTables: [' Log ', 'session'] }), {
    batchBytes: 1_000_000,
    skipTables: ['Log', 'session'],
    blockedTables: [],
    announced: ['Log', 'session'],
  });
  assert.deepEqual(await change({ batchBytes: 500_000, blockedTables: ['log', 'credential'] }), {
    batchBytes: 500_000,
    skipTables: ['Log', 'session'],
    blockedTables: ['log', 'credential'],
    announced: ['credential'],
  });
  assert.deepEqual(await change({ skipTables: [], blockedTables: [], batchBytes: 1_000_000 }), {
    batchBytes: 1_000_000,
    skipTables: [],
    blockedTables: [],
    announced: [],
  });
});

test('a run is asked of the runner, unless nothing may start', async () => {
  const { id } = await center.store.mirror('acme', 'crm');
  const run = () => ask('POST', '/v1/tenants/acme/mirrors/crm/run');
  center.runner.requested.length = 0;
  assert.equal((await run()).status, 202);
  assert.deepEqual(center.runner.requested, [id]);
  for (const [method, on, off, body] of [
    ['POST', '/v1/tenants/acme/pause', '/v1/tenants/acme/resume', () => undefined],
    ['PUT', '/v1/tenants/acme/maintenance', '/v1/tenants/acme/maintenance', (value: boolean) => ({ on: value })],
    ['PATCH', '/v1/settings', '/v1/settings', (value: boolean) => ({ maintenance: value })],
  ] as const) {
    assert.equal((await ask(method, on, body(true))).status, 200);
    assert.deepEqual(await refused('POST', '/v1/tenants/acme/mirrors/crm/run'), [409, 'CONFLICT'], on);
    assert.equal((await ask(method, off, body(false))).status, 200);
  }
  assert.equal((await run()).status, 202);
});

test('the run that was waited for is answered with the report of each table', async () => {
  assert.deepEqual((await ask('GET', '/v1/tenants/acme/mirrors/crm/next-run?waitSeconds=1')).body, null);
  center.runner.ended = await aRun();
  const { body } = await ask('GET', '/v1/tenants/acme/mirrors/crm/next-run?after=1&waitSeconds=1');
  const { status, inserted, tables, failedTables, report } = body as Record<string, unknown>;
  assert.deepEqual([status, inserted, tables, failedTables], ['completed', 5, 2, 1]);
  assert.equal((report as { tables: unknown[] }).tables.length, 2);
  const listed = (await ask('GET', '/v1/tenants/acme/runs')).body as Record<string, unknown>[];
  assert.deepEqual(
    [listed[0]?.['id'], listed[0]?.['inserted'], listed[0]?.['report']],
    [center.runner.ended.id, 5, undefined],
  );
  const one = await ask('GET', `/v1/runs/${center.runner.ended.id}`);
  assert.deepEqual((one.body as Record<string, unknown>)['report'], report);
});

async function aRun(): Promise<Run> {
  const run = await center.store.beginRun({ tenant: 'acme', application: 'crm', trigger: 'request', center: 'a' });
  const counts = { schemaChange: 'none', updated: 0, deleted: 0, lsn: '7' } as const;
  const times = { startedAt: run.startedAt, finishedAt: run.startedAt };
  const error = { code: 'LOCK_TIMEOUT', message: 'locked', hint: null, recovery: 'retry' } as const;
  const tables = [
    { table: 'person', ...counts, inserted: 5 },
    { table: 'log', ...counts, inserted: 0, error },
  ];
  const report = { event: 'cycle', status: 'completed', bytes: 9, tables, ...times } as const;
  return await center.store.endRun(run.id, { status: 'completed', report, error: null, bytes: 9 });
}

test('a failure that nobody foresaw is logged under the number of the request, and not told', async () => {
  center.runner.failure = new Error('the inner workings');
  const { status, body, headers } = await ask('GET', '/v1/tenants/acme/mirrors/crm/next-run');
  center.runner.failure = null;
  const { code, message } = body as Record<string, string>;
  assert.deepEqual([status, code], [500, 'INTERNAL']);
  assert.ok(!message?.includes('inner') && message?.includes(String(headers['x-request-id'])));
  const entry = center.said.find((line) => line.includes('the inner workings'));
  assert.ok(entry?.includes(String(headers['x-request-id'])));
});

test('tables to be copied again add up until a cycle begins', async () => {
  const path = '/v1/tenants/acme/mirrors/crm/resync';
  assert.deepEqual((await ask('POST', path, { tables: ['person'] })).body, { tables: ['person'] });
  assert.deepEqual((await ask('POST', path, { tables: ['project', 'person'] })).body, {
    tables: ['person', 'project'],
  });
  assert.deepEqual(await refused('POST', path, { tables: [] }), [400, 'USAGE']);
});

test('status says for each mirror what it does, when it is due and whether it is behind', async () => {
  const { id } = await center.store.mirror('acme', 'crm');
  const status = async () => {
    const { body } = await ask('GET', '/v1/status?tenant=acme');
    const { mirrors } = body as { readonly mirrors: readonly Record<string, unknown>[] };
    const [first] = mirrors;
    return [first?.['state'], first?.['behind'], first?.['nextDueAt'] === null, first?.['connected']];
  };
  assert.deepEqual(await status(), ['not yet copied', false, false, null]);
  await center.store.saveSchedule(id, { copied: true, lastCompletedAtMs: 0 });
  assert.deepEqual(await status(), ['waiting', true, false, null]);
  await center.store.saveSchedule(id, { failuresInRow: 3 });
  assert.deepEqual(await status(), ['failing', true, false, null]);
  await ask('POST', '/v1/tenants/acme/pause');
  assert.deepEqual(await status(), ['paused', true, true, null]);
  await ask('POST', '/v1/tenants/acme/resume');
});

test('events are followed: the answer waits for the next one and has each once', async () => {
  await center.store.addEvent({ kind: 'information', tenant: 'acme', message: 'first' });
  const newest = ((await ask('GET', '/v1/events')).body as { readonly id: number }[]).at(-1)?.id ?? 0;
  let answered = false;
  const following = ask('GET', `/v1/events?tenant=acme&after=${newest}&waitSeconds=20`).finally(() => {
    answered = true;
  });
  // Each is a query after one of the follower's, which then has looked and found nothing.
  for (let i = 0; i < 10; i++) await center.ask('GET', '/readyz');
  assert.ok(!answered);
  await center.store.addEvent({ kind: 'error', tenant: null, message: 'of no tenant' });
  await center.store.addEvent({ kind: 'error', tenant: 'acme', message: 'second' });
  const followed = (await following).body as { readonly message: string; readonly id: number }[];
  assert.deepEqual(
    followed.map(({ message }) => message),
    ['second'],
  );
  const after = `/v1/events?tenant=acme&after=${followed[0]?.id}`;
  assert.deepEqual((await ask('GET', after)).body, []);
});

test('who waits while the center ends is told so, and asks elsewhere or again', async () => {
  const own = await openTestCenter();
  try {
    const token = await own.token('operator');
    const following = own.ask('GET', '/v1/events?waitSeconds=20', { token });
    own.end();
    const { status, body } = await following;
    assert.deepEqual([status, (body as { code: string }).code], [503, 'UNREACHABLE']);
    assert.equal((await own.ask('GET', '/v1/events', { token })).status, 200);
  } finally {
    await own[Symbol.asyncDispose]();
  }
});

test('settings show the host of the webhook only', async () => {
  const quietHours = { fromMinute: 90, toMinute: 180, timezone: 'Europe/Oslo' };
  const { body } = await ask('PATCH', '/v1/settings', { quietHours, webhook: 'https://hooks.example/T0/secret-path' });
  const { webhookSecret, ...rest } = body as Record<string, unknown>;
  assert.deepEqual(rest, { maintenance: false, quietHours, webhook: 'https://hooks.example/…' });
  assert.match(String(webhookSecret), /^whsec_/);
  const cleared = await ask('PATCH', '/v1/settings', { quietHours: null, webhook: null });
  assert.deepEqual(cleared.body, { maintenance: false, quietHours: null, webhook: null, webhookSecret: null });
});

test('a token that is rotated or revoked is not taken from the next request on', async () => {
  const made = (await ask('POST', '/v1/tokens', { role: 'tenant', tenant: 'acme' })).body as NewToken;
  const works = async (secret: string) =>
    (await center.ask('GET', '/v1/tenants/acme', { token: secret })).status === 200;
  assert.ok(await works(made.secret));
  const next = (await ask('POST', `/v1/tokens/${made.token.id}/rotate`)).body as NewToken;
  assert.deepEqual([next.token.role, next.token.tenant], ['tenant', 'acme']);
  assert.deepEqual([await works(made.secret), await works(next.secret)], [false, true]);
  assert.deepEqual(await refused('POST', `/v1/tokens/${made.token.id}/rotate`), [404, 'NOT_FOUND']);
  assert.equal((await ask('DELETE', `/v1/tokens/${next.token.id}`)).status, 204);
  assert.equal(await works(next.secret), false);
  const listed = JSON.stringify((await ask('GET', '/v1/tokens')).body);
  assert.ok(!listed.includes(made.secret) && !listed.includes(next.secret));
});

type NewToken = { readonly token: Record<'id' | 'role' | 'tenant', string>; readonly secret: string };

test('who tries token after token is told to wait, and who has a good one is not', async () => {
  const from = '10.0.0.7';
  assert.equal((await ask('GET', '/v1/tenants', undefined, { from })).status, 200);
  const answers = [];
  for (let i = 0; i < 31; i++) answers.push(await center.ask('GET', '/v1/tenants', { token: `guess-${i}`, from }));
  assert.deepEqual([answers[0]?.status, answers[29]?.status, answers[30]?.status], [401, 401, 429]);
  assert.ok(Number(answers[30]?.headers['retry-after']) > 0);
  assert.equal((await ask('GET', '/v1/tenants', undefined, { from })).status, 200);
  assert.equal((await center.ask('GET', '/v1/tenants', { token: 'guess', from: '10.0.0.8' })).status, 401);
});

test('readyz follows the runner and the database; healthz does not', async () => {
  assert.equal((await center.ask('GET', '/readyz')).status, 200);
  center.runner.ready = false;
  assert.equal((await center.ask('GET', '/readyz')).status, 503);
  assert.equal((await center.ask('GET', '/healthz')).status, 200);
  center.runner.ready = true;
});

test('metrics are text for Prometheus', async () => {
  const { headers, body } = await ask('GET', '/metrics');
  assert.match(String(headers['content-type']), /^text\/plain; version=0\.0\.4/);
  assert.match(String(body), /^# HELP speil_queue_length /m);
});

test('every request has a number, which its log entry has too', async () => {
  const { headers } = await ask('POST', '/v1/tenants/acme/pause');
  await ask('POST', '/v1/tenants/acme/resume');
  const entry = center.said.find(
    (line) => line.startsWith('{') && line.includes(String(headers['x-request-id'])) && line.includes('"msg"'),
  );
  assert.match(entry ?? '', /"tenant":"acme".*"method":"POST".*"status":200/);
});

test('the OpenAPI document holds together', async () => {
  const { body } = await ask('GET', '/openapi.json');
  const { openapi, info, paths, components } = body as OpenApi;
  assert.match(openapi, /^3\.1\./);
  assert.equal(info.version, '1.2.3');
  assert.ok('token' in components.securitySchemes);
  for (const [path, methods] of Object.entries(paths)) {
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    for (const [method, operation] of Object.entries(methods)) {
      const where = `${method} ${path}`;
      assert.ok(operation.summary, `${where} has a summary`);
      const inPath = (operation.parameters ?? [])
        .filter((parameter) => parameter.in === 'path')
        .map(({ name }) => name);
      assert.deepEqual(inPath.toSorted(), named.toSorted(), `${where} declares the parameters of its path`);
      assert.ok(
        Object.keys(operation.responses).some((status) => /^2\d\d$/.test(status)),
        `${where} answers`,
      );
      for (const response of Object.values(operation.responses)) assert.equal(typeof response.description, 'string');
      assert.ok(operation.security !== undefined || '4XX' in operation.responses, `${where} says how it fails`);
    }
  }
  assert.ok(!JSON.stringify(body).includes('"$ref":"#/components/schemas/__'), 'no reference leads nowhere');
});

type OpenApi = {
  readonly openapi: string;
  readonly info: { readonly version: string };
  readonly components: { readonly securitySchemes: object };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};
type Operation = {
  readonly summary?: string;
  readonly security?: unknown;
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
};

test('no password, key or token is answered or logged anywhere, whatever fails', async () => {
  const { privatePem } = createKeyPair('ed25519');
  const secrets = ['hunter2', 'correct-horse', 'battery-staple', 'secret-path', operator, ...pemLines(privatePem)];
  await ask('PUT', '/v1/tenants/acme/source', { source: 'postgres://reader:correct-horse@db/crm' });
  await ask('PUT', '/v1/tenants/acme/source', { source: 'postgres://reader:battery-staple@db:port/crm' });
  await ask('PUT', '/v1/tenants/acme/source', { source: 'mysql://reader:battery-staple@db/crm' });
  await ask('PUT', '/v1/tenants/acme/source', { source: 7, password: 'battery-staple' });
  await ask('PUT', '/v1/tenants/none/source', { source: 'postgres://reader:battery-staple@db/crm' });
  await ask('POST', '/v1/tenants', '{"name":"b","source":"postgres://reader:battery-staple@db/crm"', {
    headers: { 'content-type': 'application/json' },
  });
  await ask('POST', '/v1/tenants/acme/mirrors', { ...mirrorOf('c'), publicKey: privatePem });
  await ask('PATCH', '/v1/settings', { webhook: 'https://reader:battery-staple@hooks.example/secret-path' });
  await ask('PATCH', '/v1/settings', { webhook: 'ftp://hooks.example/secret-path' });
  for (const path of [
    '/v1/tenants',
    '/v1/tenants/acme',
    '/v1/settings',
    '/v1/status',
    '/v1/events',
    '/v1/tokens',
    '/metrics',
  ]) {
    assert.equal((await ask('GET', path)).status, 200);
  }
  const said = center.said.join('\n');
  assert.ok(said.length > 10_000);
  for (const secret of secrets) assert.ok(!said.includes(secret), `${secret} was said`);
});

const pemLines = (pem: string): readonly string[] => pem.split('\n').filter((line) => /^[\w+/=]{20,}$/.test(line));
