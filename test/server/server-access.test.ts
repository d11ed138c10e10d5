import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { selfSigned } from '../support/certificate.ts';
import { type ShellServer, startShell } from '../support/shell-server.ts';

// Who may do what: every kind of caller against every route.

let server: ShellServer;
const secrets: Record<string, string> = {};

before(async () => {
  server = await startShell({ requireToken: true });
  secrets['admin'] = readFileSync(server.instance.tokenFile, 'utf8').trim();
  for (const name of ['shop', 'hr']) await server.instance.create(name);
  const kinds = {
    'reader of shop': ['read', 'shop'],
    'writer of shop': ['write', 'shop'],
    'reader of all': ['read', null],
  };
  for (const [kind, [access, database]] of Object.entries(kinds)) {
    const { body } = await ask('admin', 'POST', '/admin/tokens', { access, database });
    secrets[kind] = body.secret;
  }
});

after(() => server?.[Symbol.asyncDispose]());

type Answer = { readonly status: number; readonly body: ReturnType<typeof JSON.parse> };

async function ask(who: string, method: string, path: string, body?: object): Promise<Answer> {
  const secret = who === 'nobody' ? undefined : (secrets[who] ?? who);
  const response = await fetch(new URL(path, server.url), {
    method,
    headers: secret === undefined ? {} : { authorization: `Bearer ${secret}` },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text };
}

const WHO = ['nobody', 'an-unknown-token', 'reader of shop', 'writer of shop', 'reader of all', 'admin'];

/** Method, path, and the status for each of {@link WHO}. */
const ROWS: readonly (readonly [string, string, readonly number[]])[] = [
  ['GET', '/healthz', [200, 200, 200, 200, 200, 200]],
  ['GET', '/readyz', [200, 200, 200, 200, 200, 200]],
  ['GET', '/v3', [200, 200, 200, 200, 200, 200]],
  ['GET', '/nothing', [404, 404, 404, 404, 404, 404]],
  ['GET', '/metrics', [401, 401, 403, 403, 200, 200]],
  ['POST', '/shop/v3/pipeline', [401, 401, 200, 200, 200, 200]],
  ['POST', '/hr/v3/pipeline', [401, 401, 404, 404, 200, 200]],
  ['POST', '/v3/pipeline', [401, 401, 200, 200, 404, 404]],
  ['POST', '/none/v3/pipeline', [401, 401, 404, 404, 404, 404]],
  ['GET', '/admin/status', [401, 401, 200, 200, 200, 200]],
  ['GET', '/admin/databases', [401, 401, 200, 200, 200, 200]],
  ['GET', '/admin/databases/shop', [401, 401, 200, 200, 200, 200]],
  ['GET', '/admin/databases/hr', [401, 401, 404, 404, 200, 200]],
  ['GET', '/admin/databases/shop/backup', [401, 401, 200, 200, 200, 200]],
  ['GET', '/admin/databases/hr/backup', [401, 401, 404, 404, 200, 200]],
  ['POST', '/admin/databases', [401, 401, 403, 403, 403, 400]],
  ['PUT', '/admin/databases/new', [401, 401, 403, 403, 403, 400]],
  ['DELETE', '/admin/databases/none', [401, 401, 403, 403, 403, 404]],
  ['GET', '/admin/tokens', [401, 401, 403, 403, 403, 200]],
  ['POST', '/admin/tokens', [401, 401, 403, 403, 403, 400]],
  ['DELETE', '/admin/tokens/none', [401, 401, 403, 403, 403, 404]],
  ['PATCH', '/admin/tokens', [401, 401, 400, 400, 400, 400]],
  ['GET', '/admin/nothing', [401, 401, 404, 404, 404, 404]],
];

for (const [method, path, statuses] of ROWS) {
  test(`${method} ${path}: who may`, async () => {
    const answers = [];
    for (const who of WHO) answers.push((await ask(who, method, path)).status);
    assert.deepEqual(answers, statuses);
  });
}

test('what a caller may do in a database is handed on, with who it is', async () => {
  const { body: reader } = await ask('reader of shop', 'POST', '/shop/v3/pipeline');
  const { body: writer } = await ask('writer of shop', 'POST', '/shop/v3/pipeline');
  assert.deepEqual([reader.access, writer.access], ['read', 'write']);
  assert.match(reader.identity, /^[0-9a-f]{12}$/);
  assert.notEqual(reader.identity, writer.identity);
});

test('who sees one database sees no other', async () => {
  const { body } = await ask('reader of shop', 'GET', '/admin/status');
  assert.deepEqual(
    body.databases.map(({ name }: { name: string }) => name),
    ['shop'],
  );
});

test('there is no token of a database that there is not', async () => {
  const { status, body } = await ask('admin', 'POST', '/admin/tokens', { access: 'write', database: 'shopp' });
  assert.deepEqual([status, body.code], [404, 'NOT_FOUND']);
});

test('a token that is revoked is of no use from the next request on', async () => {
  const { body } = await ask('admin', 'POST', '/admin/tokens', { access: 'write', database: 'hr' });
  assert.equal((await ask(body.secret, 'POST', '/hr/v3/pipeline')).status, 200);
  assert.equal((await ask('admin', 'DELETE', `/admin/tokens/${body.token.id}`)).status, 204);
  assert.equal((await ask(body.secret, 'POST', '/hr/v3/pipeline')).status, 401);
});

test('on loopback nobody needs a token, unless a page in a browser may be asking', async () => {
  await using open = await startShell();
  await open.instance.create('shop');
  const statusOf = async (headers: Readonly<Record<string, string>>, path = '/shop/v3/pipeline') => {
    const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
    const sent = request(new URL(path, open.url), { method: 'POST', headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.once('error', reject).end();
    return promise;
  };
  assert.equal(await statusOf({}), 200);
  assert.equal(await statusOf({ host: 'localhost:7101' }), 200);
  assert.equal(await statusOf({ origin: 'https://evil.example' }), 401);
  assert.equal(await statusOf({ origin: 'null' }), 401);
  assert.equal(await statusOf({ host: 'rebound.example' }), 401);
  assert.equal(await statusOf({ authorization: 'Bearer wrong' }), 401);
  assert.equal(await statusOf({ authorization: 'Basic YTpi' }), 401);
  const token = readFileSync(open.instance.tokenFile, 'utf8').trim();
  const shown = { authorization: `Bearer ${token}` };
  assert.equal(await statusOf({ ...shown, origin: 'https://app.example' }), 200);
  assert.equal(await statusOf({}, '/admin/tokens'), 401);
  assert.equal(await statusOf(shown, '/admin/tokens'), 400);
});

test('whoever tries tokens is not listened to any more, but for those who have a good one', async () => {
  await using guessed = await startShell({ requireToken: true });
  const token = readFileSync(guessed.instance.tokenFile, 'utf8').trim();
  const statusOf = async (secret: string) => {
    const headers = { authorization: `Bearer ${secret}` };
    return (await fetch(new URL('/admin/status', guessed.url), { headers })).status;
  };
  assert.equal(await statusOf(token), 200);
  for (let guess = 0; guess < 30; guess++) assert.equal(await statusOf(`guess-${guess}`), 401);
  assert.equal(await statusOf('one-more'), 429);
  assert.equal(await statusOf(token), 200);
});

test('a file named for the admin token demands tokens, and holds the one that counts', async () => {
  const file = join(server.data, 'my.token');
  writeFileSync(file, 'a-token-that-the-operator-has-made-up\n');
  await using own = await startShell({ tokenFile: file });
  const at = new URL('/admin/status', own.url);
  assert.equal((await fetch(at)).status, 401);
  const headers = { authorization: 'Bearer a-token-that-the-operator-has-made-up' };
  assert.equal((await fetch(at, { headers })).status, 200);
});

test('nothing listens beyond loopback without TLS', async () => {
  await assert.rejects(startShell({ listen: { host: '0.0.0.0', port: 0 } }), { code: 'INSECURE_LISTEN' });
  await using beyond = await startShell({ listen: { host: '0.0.0.0', port: 0 }, insecure: true });
  const url = beyond.url.replace('0.0.0.0', '127.0.0.1');
  assert.equal((await fetch(new URL('/admin/status', url))).status, 401);
  const { cert, key } = selfSigned();
  await using encrypted = await startShell({ listen: { host: '0.0.0.0', port: 0 }, tls: { cert, key } });
  assert.match(encrypted.url, /^https:/);
});
