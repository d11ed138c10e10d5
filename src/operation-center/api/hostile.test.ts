import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { type Asked, type Method, openTestCenter, type TestCenter } from '../../../test/support/center-api.ts';
import { createKeyPair } from '../../client/trust/keys.ts';
import type { FailureAnswer, TenantAnswer } from './schemas.ts';
import { WAITS_OF_TOKEN_MAX } from './waits.ts';

// What is asked of the API by mistake or in bad faith.

let center: TestCenter;
let operator: string;

before(async () => {
  center = await openTestCenter();
  operator = await center.token('operator');
  await center.store.addTenant({ name: 'acme', source: 'sqlite:/acme.db' });
  const { publicPem: publicKey } = createKeyPair('ed25519');
  const mirror = {
    tenant: 'acme',
    application: 'crm',
    publicKey,
    transport: { kind: 'dialled' },
    everyMs: 60_000,
  } as const;
  await center.store.addMirror(mirror, 0);
});
after(() => center[Symbol.asyncDispose]());

const ask = (method: Method, path: string, body?: unknown, more: Asked = {}) =>
  center.ask(method, path, { token: operator, ...(body === undefined ? {} : { body }), ...more });

/** The error code that came with the status. */
async function refused(method: Method, path: string, body?: unknown): Promise<readonly unknown[]> {
  const { status, body: answer } = await ask(method, path, body);
  const { code, message, hint, ...rest } = answer as Record<string, unknown>;
  assert.deepEqual([rest, typeof message, hint === null || typeof hint], [{}, 'string', 'string'], path);
  return [status, code];
}

test('whoever asks without a token whether the center is ready does not keep the database busy', async (t) => {
  const settings = t.mock.method(center.store, 'settings');
  for (let i = 0; i < 30; i++) assert.equal((await center.ask('GET', '/readyz')).status, 200);
  assert.ok(settings.mock.callCount() < 10, `${settings.mock.callCount()} questions`);
});

test('no more requests wait with one token than it has places; others are not kept from waiting', async () => {
  const path = '/v1/events?after=1000000&waitSeconds=1';
  const [one, other] = [await center.token('read-only'), await center.token('read-only')];
  const asked = Array.from({ length: WAITS_OF_TOKEN_MAX + 1 }, () => ask('GET', path, undefined, { token: one }));
  const statuses = (await Promise.all([...asked, ask('GET', path, undefined, { token: other })])).map(
    ({ status }) => status,
  );
  assert.deepEqual(
    statuses.toSorted((a, b) => a - b),
    [...new Array(WAITS_OF_TOKEN_MAX + 1).fill(200), 503],
  );
  assert.equal((await ask('GET', path, undefined, { token: one })).status, 200, 'their places are free again');
});

test('control characters are refused in names and paths, and never reach the database', async () => {
  for (const [method, path, body] of [
    ['GET', '/v1/tenants/%00', undefined],
    ['GET', '/v1/runs/%00', undefined],
    ['GET', '/v1/events?tenant=%00', undefined],
    ['GET', '/v1/tenants/acme/runs?application=%00', undefined],
    ['GET', '/v1/tenants/acme/mirrors/%1b', undefined],
    ['DELETE', '/v1/tokens/%00', undefined],
    ['POST', '/v1/tokens', { role: 'tenant', tenant: '\0' }],
    ['POST', '/v1/tenants', { name: 'b', source: 'sqlite:a\0b.db' }],
    ['POST', '/v1/tenants', { name: 'b', source: 'sqlite:a\u001b[31mb.db' }],
    ['PATCH', '/v1/tenants/acme/preferences', { skipTables: ['\u001b]0;x\u0007'] }],
    ['POST', '/v1/tenants/acme/mirrors/crm/resync', { tables: ['a\nb'] }],
  ] as const) {
    assert.deepEqual(await refused(method, path, body), [400, 'USAGE'], path);
  }
});

test('a path that cannot be read is answered like every other failure', async () => {
  for (const path of ['/v1/tenants/%zz', `/v1/tenants/${'a'.repeat(3_000)}`]) {
    assert.deepEqual(await refused('GET', path), [400, 'USAGE']);
  }
  assert.deepEqual(await refused('GET', `/v1/tenants/${'%C3%A5'.repeat(100)}`), [404, 'NOT_FOUND']);
});

test('a SQLite source is the same file whatever folder the center is started from', async () => {
  const { body } = await ask('POST', '/v1/tenants', { name: 'relative', source: 'crm.db' });
  assert.equal((body as TenantAnswer).sourceDisplay, resolve('crm.db'));
  assert.equal(await center.store.source('relative'), `sqlite:${resolve('crm.db')}`);
  await ask('PUT', '/v1/tenants/relative/source', { source: 'sqlite:./sub/../crm2.db' });
  assert.equal(await center.store.source('relative'), `sqlite:${resolve('crm2.db')}`);
  await ask('DELETE', '/v1/tenants/relative');
});

test('a webhook with a password in its authority, which fetch would refuse and tell, is refused', async () => {
  const webhook = 'https://reader:open-sesame@hooks.example/x';
  const { status, body } = await ask('PATCH', '/v1/settings', { webhook });
  assert.deepEqual([status, (body as FailureAnswer).code], [400, 'USAGE']);
  assert.ok(!JSON.stringify(body).includes('open-sesame'));
});
