import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Method, openTestCenter, type TestCenter } from '../../../test/support/center-api.ts';
import { createKeyPair } from '../../client/trust/keys.ts';

// Every route that the OpenAPI document names × every kind of caller × the own tenant and another.

/** What a caller gets: a success of any kind, or this status. */
type Expected = 'ok' | 401 | 403 | 404;
type Caller = 'nobody' | 'revoked' | 'operator' | 'tenant' | 'read-only' | 'read-only of the tenant';
type Answers = Readonly<Record<Caller, Expected>>;

const CALLERS: readonly Caller[] = ['nobody', 'revoked', 'operator', 'tenant', 'read-only', 'read-only of the tenant'];

const OPEN: Answers = {
  nobody: 'ok',
  revoked: 'ok',
  operator: 'ok',
  tenant: 'ok',
  'read-only': 'ok',
  'read-only of the tenant': 'ok',
};
const SEE: Answers = { ...OPEN, nobody: 401, revoked: 401 };
const SEE_ALL: Answers = { ...SEE, tenant: 403, 'read-only of the tenant': 403 };
const ACT: Answers = { ...SEE, 'read-only': 403, 'read-only of the tenant': 403 };
const OPERATE: Answers = { ...ACT, tenant: 403 };

const { publicPem: publicKey } = createKeyPair('ed25519');
const MIRROR = { application: 'crm', publicKey, transport: { kind: 'dialled' } };

type Route = {
  readonly method: Method;
  /** `{tenant}` stands for the own or the other tenant, `{run}` and `{token}` for one of theirs. */
  readonly path: string;
  readonly body?: object;
  readonly answers: Answers;
};

const ROUTES: readonly Route[] = [
  { method: 'GET', path: '/healthz', answers: OPEN },
  { method: 'GET', path: '/readyz', answers: OPEN },
  { method: 'GET', path: '/metrics', answers: SEE_ALL },
  { method: 'GET', path: '/openapi.json', answers: SEE },
  { method: 'GET', path: '/v1/tenants', answers: SEE },
  { method: 'POST', path: '/v1/tenants', body: { name: 'new', source: 'sqlite:new.db' }, answers: OPERATE },
  { method: 'GET', path: '/v1/tenants/{tenant}', answers: SEE },
  { method: 'DELETE', path: '/v1/tenants/{tenant}', answers: OPERATE },
  { method: 'PUT', path: '/v1/tenants/{tenant}/source', body: { source: 'sqlite:b.db' }, answers: OPERATE },
  { method: 'POST', path: '/v1/tenants/{tenant}/pause', answers: OPERATE },
  { method: 'POST', path: '/v1/tenants/{tenant}/resume', answers: OPERATE },
  { method: 'PUT', path: '/v1/tenants/{tenant}/maintenance', body: { on: false }, answers: OPERATE },
  { method: 'PATCH', path: '/v1/tenants/{tenant}/preferences', body: { skipTables: ['log'] }, answers: ACT },
  { method: 'GET', path: '/v1/tenants/{tenant}/mirrors', answers: SEE },
  { method: 'POST', path: '/v1/tenants/{tenant}/mirrors', body: { ...MIRROR, application: 'b' }, answers: OPERATE },
  { method: 'GET', path: '/v1/tenants/{tenant}/mirrors/crm', answers: SEE },
  { method: 'PATCH', path: '/v1/tenants/{tenant}/mirrors/crm', body: { everyMs: 60_000 }, answers: OPERATE },
  { method: 'DELETE', path: '/v1/tenants/{tenant}/mirrors/crm', answers: OPERATE },
  { method: 'POST', path: '/v1/tenants/{tenant}/mirrors/crm/run', answers: ACT },
  { method: 'GET', path: '/v1/tenants/{tenant}/mirrors/crm/next-run', answers: SEE },
  { method: 'POST', path: '/v1/tenants/{tenant}/mirrors/crm/resync', body: { tables: ['person'] }, answers: ACT },
  { method: 'GET', path: '/v1/tenants/{tenant}/runs', answers: SEE },
  { method: 'GET', path: '/v1/runs/{run}', answers: SEE },
  { method: 'GET', path: '/v1/status', answers: SEE },
  { method: 'GET', path: '/v1/status?tenant={tenant}', answers: SEE },
  { method: 'GET', path: '/v1/events', answers: SEE },
  { method: 'GET', path: '/v1/events?tenant={tenant}', answers: SEE },
  { method: 'GET', path: '/v1/settings', answers: SEE_ALL },
  { method: 'PATCH', path: '/v1/settings', body: { maintenance: false }, answers: OPERATE },
  { method: 'GET', path: '/v1/tokens', answers: OPERATE },
  { method: 'POST', path: '/v1/tokens', body: { role: 'read-only' }, answers: OPERATE },
  { method: 'POST', path: '/v1/tokens/{token}/rotate', answers: OPERATE },
  { method: 'DELETE', path: '/v1/tokens/{token}', answers: OPERATE },
];

/** Of another tenant nothing is there for a token of one tenant, whatever it could do with its own. */
const ofAnother = (answers: Answers): Answers => ({ ...answers, tenant: 404, 'read-only of the tenant': 404 });

let center: TestCenter;
let secrets: Readonly<Record<Caller, string | null>>;

before(async () => {
  center = await openTestCenter();
  for (const name of ['own', 'other']) await addTenant(name);
  const revoked = await center.store.createToken({ role: 'operator', tenant: null });
  await center.store.revokeToken(revoked.token.id);
  secrets = {
    nobody: null,
    revoked: revoked.secret,
    operator: await center.token('operator'),
    tenant: await center.token('tenant', 'own'),
    'read-only': await center.token('read-only'),
    'read-only of the tenant': await center.token('read-only', 'own'),
  };
});

after(() => center[Symbol.asyncDispose]());

async function addTenant(name: string): Promise<void> {
  const { store } = center;
  await store.addTenant({ name, source: `sqlite:${name}.db` });
  await store.addMirror({ ...MIRROR, transport: { kind: 'dialled' }, tenant: name, everyMs: 60_000 }, 0);
}

/** What a caller that may would have changed is put back, so that each request finds the same. */
async function putBack(tenant: string): Promise<void> {
  const { store } = center;
  await store.removeTenant('new').catch(() => undefined);
  if (!(await store.tenants()).some(({ name }) => name === tenant))
    await store.addTenant({ name: tenant, source: 'sqlite:a.db' });
  const mirrors = await store.mirrors(tenant);
  for (const mirror of mirrors) if (mirror.application !== 'crm') await store.removeMirror(mirror.id);
  if (!mirrors.some(({ application }) => application === 'crm')) {
    await store.addMirror({ ...MIRROR, transport: { kind: 'dialled' }, tenant, everyMs: 60_000 }, 0);
  }
}

async function pathOf(path: string, tenant: string): Promise<string> {
  const { store } = center;
  let filled = path.replaceAll('{tenant}', tenant);
  if (path.includes('{run}')) {
    const run = await store.beginRun({ tenant, application: 'crm', trigger: 'request', center: 'a' });
    filled = filled.replace('{run}', run.id);
  }
  if (path.includes('{token}')) {
    const { token } = await store.createToken({ role: 'tenant', tenant });
    filled = filled.replace('{token}', token.id);
  }
  return filled;
}

const namesTenant = (path: string): boolean => /\{(tenant|run)\}/.test(path);

for (const { method, path, body, answers } of ROUTES) {
  for (const tenant of namesTenant(path) ? ['own', 'other'] : ['own']) {
    test(`${method} ${path} of ${tenant === 'own' ? "the token's own" : 'another'} tenant`, async () => {
      const expected = tenant === 'own' ? answers : ofAnother(answers);
      for (const caller of CALLERS) {
        const asked = {
          token: secrets[caller],
          from: `${method} ${path} ${tenant}`,
          ...(body === undefined ? {} : { body }),
        };
        const { status } = await center.ask(method, await pathOf(path, tenant), asked);
        await restoreTokens();
        await putBack(tenant);
        assert.equal(status < 300 ? 'ok' : status, expected[caller], `${caller}: ${status}`);
      }
    });
  }
}

/** Removing a tenant takes its tokens with it. */
async function restoreTokens(): Promise<void> {
  for (const [caller, role] of [
    ['tenant', 'tenant'],
    ['read-only of the tenant', 'read-only'],
  ] as const) {
    if ((await center.store.findToken(secrets[caller] ?? '')) !== null) continue;
    if (!(await center.store.tenants()).some(({ name }) => name === 'own')) await addTenant('own');
    secrets = { ...secrets, [caller]: await center.token(role, 'own') };
  }
}

test('the matrix has every route of the OpenAPI document, and no other', async () => {
  const { body } = await center.ask('GET', '/openapi.json', { token: secrets.operator });
  const { paths } = body as { readonly paths: Readonly<Record<string, object>> };
  const documented = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{\w+\}/g, '*')}`),
  );
  const here = ROUTES.map(({ method, path }) => {
    const [bare = ''] = path.split('?');
    return `${method} ${bare.replaceAll(/\{\w+\}|\bcrm\b/g, '*')}`;
  });
  assert.deepEqual(documented.toSorted(), [...new Set(here)].toSorted());
});

test('what is seen without naming a tenant is the own tenant only', async () => {
  const { store } = center;
  await store.addEvent({ kind: 'error', tenant: 'other', message: 'of the other' });
  await store.addEvent({ kind: 'error', tenant: null, message: 'of the center' });
  for (const caller of ['tenant', 'read-only of the tenant'] as const) {
    for (const path of ['/v1/tenants', '/v1/status', '/v1/events']) {
      const { body } = await center.ask('GET', path, { token: secrets[caller] });
      assert.ok(!/"other"|of the other|of the center/.test(JSON.stringify(body)), `${caller} ${path}`);
    }
  }
});

test('another tenant and one that nobody has are refused in the same words', async () => {
  for (const rest of ['', '/mirrors', '/mirrors/crm', '/runs']) {
    const [other, none] = await Promise.all(
      ['other', 'nobody'].map((name) => center.ask('GET', `/v1/tenants/${name}${rest}`, { token: secrets.tenant })),
    );
    const words = JSON.stringify(other?.body).replaceAll('other', 'nobody');
    assert.deepEqual([other?.status, words], [none?.status, JSON.stringify(none?.body)]);
  }
  const run = await runOfOther();
  const [other, none] = await Promise.all(
    [run, '999999'].map((id) => center.ask('GET', `/v1/runs/${id}`, { token: secrets.tenant })),
  );
  assert.equal(JSON.stringify(other?.body).replaceAll(run, '999999'), JSON.stringify(none?.body));
});

const runOfOther = async (): Promise<string> =>
  (await center.store.beginRun({ tenant: 'other', application: 'crm', trigger: 'request', center: 'a' })).id;

test('a tenant does not change what the vendor blocks', async () => {
  const body = { skipTables: ['a'], blockedTables: [] };
  const refused = await center.ask('PATCH', '/v1/tenants/own/preferences', { token: secrets.tenant, body });
  assert.deepEqual([refused.status, (refused.body as { code: string }).code], [403, 'FORBIDDEN']);
  const allowed = await center.ask('PATCH', '/v1/tenants/own/preferences', { token: secrets.operator, body });
  assert.equal(allowed.status, 200);
});
