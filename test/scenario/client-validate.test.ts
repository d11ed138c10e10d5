import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { startCenter } from '../../src/center.ts';
import { serveClient } from '../../src/client-service.ts';
import { type Check, type ValidateClientOptions, validateClient } from '../../src/client-validate.ts';
import { selfSigned } from '../support/certificate.ts';
import { newKey, TestCenter } from '../support/dialled.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { withDirectory } from '../support/workload.ts';

const [app, center, stranger] = [newKey(), newKey(), newKey()];
const keys = () => ({ keys: [app.privatePem], trust: [center.publicPem] });
const nowhere = 'sqlite:mirrors-that-are-not-there/{tenant}.db';

const found = async (options: Partial<ValidateClientOptions>): Promise<Readonly<Record<string, Check>>> => {
  const { checks, ok } = await validateClient({ mirror: nowhere, application: 'my-app', keys, ...options });
  assert.equal(
    ok,
    checks.every((check) => check.ok !== false),
  );
  return Object.fromEntries(checks.map((check) => [check.name, check]));
};

/** The check must have failed in these words, message or hint. */
const failsWith = (check: Check | undefined, pattern: RegExp): void => {
  assert.equal(check?.ok, false, JSON.stringify(check));
  assert.match(`${check?.message} ${check?.hint}`, pattern);
};

test('a client that is fine: everything is looked at, and nothing is changed', async () => {
  using directory = withDirectory();
  const tls = selfSigned();
  const mirror = `sqlite:${directory.file('mirrors')}/{tenant}.db`;
  const listen = { host: '127.0.0.1', port: 0 };
  await using server = await serveClient({ ...keys(), mirror, application: 'my-app', listen, tls });
  await using dialled = await TestCenter.start({ center, publicKeysOf: async () => [app.publicPem] });
  const told: Check[] = [];
  const { ok, checks } = await validateClient({
    mirror,
    application: 'my-app',
    keys,
    hooks: async () => ({ onWipe: () => undefined }),
    listen: { host: '0.0.0.0', port: 8400 },
    tls: () => tls,
    url: server.url,
    ca: () => tls.cert,
    center: dialled.url,
    onCheck: (check) => told.push(check),
  });
  assert.deepEqual(
    checks.filter((check) => check.ok !== true),
    [],
  );
  assert.equal(ok, true);
  assert.deepEqual(told, checks);
  assert.deepEqual(
    checks.map(({ name }) => name).join(' '),
    'keys hooks certificate listen mirror dns tls post clock center dns connection clock key',
  );
  assert.deepEqual(readdirSync(directory.path), []);
});

test('DNS, TLS, 401, 404 and the clock of a client that should be reachable are told apart', async () => {
  const unknown = await found({ url: 'https://nowhere.invalid' });
  failsWith(unknown['dns'], /not known to DNS/);
  assert.deepEqual([unknown['tls']?.ok, unknown['post']?.ok], [null, null]);
  const tls = selfSigned();
  const listen = { host: '127.0.0.1', port: 0 };
  await using server = await serveClient({ ...keys(), mirror: nowhere, application: 'my-app', listen, tls });
  failsWith((await found({ url: server.url }))['tls'], /signed by itself.*NODE_EXTRA_CA_CERTS/s);
  failsWith((await found({ url: 'http://127.0.0.1:1' }))['connection'], /nothing listens there/);
  failsWith((await found({ url: 'ftp://127.0.0.1' }))['url'], /https:\/\//);
  const ours = { 'speil-interface': '1' };
  const answers: readonly (readonly [number, Readonly<Record<string, string>>, string, RegExp])[] = [
    [404, {}, 'post', /404: no mirror client/],
    [401, {}, 'post', /401: something before the mirror client wants a login/],
    [200, ours, 'post', /200 to a call without a token; 401 was expected/],
    [401, { ...ours, date: 'Thu, 01 Jan 2015 00:00:00 GMT' }, 'clock', /s ahead of .*NTP/],
    [401, { ...ours, date: 'Thu, 01 Jan 2099 00:00:00 GMT' }, 'clock', /s behind .*NTP/],
  ];
  for (const [status, headers, name, pattern] of answers) {
    const other = createServer((request, response) => {
      assert.equal(request.method, 'POST');
      response.writeHead(status, headers).end();
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    failsWith((await found({ url: `http://127.0.0.1:${port}` }))[name], pattern);
    other.close();
  }
});

test('the proof of both sides is tried with the center', async () => {
  failsWith((await found({ center: 'http://127.0.0.1:1' }))['connection'], /Is the center running/);
  failsWith((await found({ center: 'nothing' }))['center'], /--center https/);
  await using empty = await TestCenter.start({ center });
  failsWith((await found({ center: empty.url }))['key'], /no mirror of my-app has this client's key/);
  await using other = await TestCenter.start({ center: stranger, publicKeysOf: async () => [app.publicPem] });
  failsWith((await found({ center: other.url }))['key'], /none of those that are trusted/);
  const keyless = await found({ center: empty.url, keys: () => ({ keys: ['x'], trust: [] }) });
  assert.deepEqual([keyless['keys']?.ok, keyless['key']?.ok], [false, null]);
});

test('certificate, hooks and the address to listen on are looked at before anybody depends on them', async () => {
  const old = selfSigned({ until: new Date('2021-01-01T00:00:00Z') });
  failsWith((await found({ tls: () => old }))['certificate'], /valid from .* and not now/);
  const mixed = { cert: selfSigned().cert, key: selfSigned().key };
  failsWith((await found({ tls: () => mixed }))['certificate'], /cannot be used/);
  failsWith((await found({ listen: { host: '0.0.0.0', port: 1 } }))['listen'], /--tls-cert/);
  failsWith((await found({ hooks: () => Promise.reject(new Error('no module')) }))['hooks'], /no module/);
});

test('a mirror that cannot be made is found, with what to grant', async () => {
  const server = await sharedPostgres();
  await server.createRole('meager');
  const mirror = server.url('X', 'meager').replace(/X$/, 'validated_{tenant}');
  failsWith((await found({ mirror }))['mirror'], /ALTER ROLE "meager" CREATEDB/);
  await server.createDatabase('validated_acme');
  await server.sql('validated_acme', 'REVOKE ALL ON SCHEMA public FROM PUBLIC');
  failsWith((await found({ mirror }))['mirror'], /GRANT CREATE ON SCHEMA "public" TO "meager"/);
  await server.sql('validated_acme', 'GRANT CREATE ON SCHEMA public TO meager');
  const made = (await found({ mirror }))['mirror'];
  assert.deepEqual([made?.ok, /new ones cannot be made/.test(made?.message ?? '')], [true, true]);
  assert.equal((await found({ mirror: server.url('X').replace(/X$/, 'validated_{tenant}') }))['mirror']?.ok, true);
  assert.equal((await found({ mirror: server.url('validated_acme') }))['mirror']?.ok, true);
  failsWith((await found({ mirror: server.url('validated_acme', 'nobody-here') }))['mirror'], /nobody-here/);
});

test('an address that would be everybody’s or nobody’s mirror is told before anything is served', async () => {
  using directory = withDirectory();
  writeFileSync(directory.file('a-file'), '');
  for (const name of ['{Tenant}', '<tenant>', '{tenant', '%TENANT%', '$tenant', '{customer}/{tenant}']) {
    failsWith(
      (await found({ mirror: `sqlite:${directory.file(name)}.db` }))['mirror'],
      /stands for nothing.*\{tenant\}/s,
    );
  }
  for (const name of ['{tenant}.db', 'one.db', '{tenant}/x.db']) {
    failsWith(
      (await found({ mirror: `sqlite:${directory.file('a-file')}/${name}` }))['mirror'],
      /is a file, not a folder/,
    );
  }
  for (const mirror of ['mysql://here/{tenant}', 'mirrors', 'sqlite:mirrors/{Tenant}.db']) {
    const listen = { host: '127.0.0.1', port: 0 };
    await assert.rejects(serveClient({ ...keys(), mirror, application: 'my-app', listen }), { name: 'SpeilError' });
    failsWith((await found({ mirror }))['mirror'], /./);
  }
});

test('a client without a name is not served', async () => {
  const listen = { host: '127.0.0.1', port: 0 };
  const serving = serveClient({ ...keys(), mirror: nowhere, application: '', listen });
  await assert.rejects(serving, { code: 'USAGE', hint: /--application/ });
});

test('an application that the center does not know is told how it gets known', async () => {
  await using dialled = await TestCenter.start({ center, publicKeysOf: async () => [stranger.publicPem] });
  failsWith(
    (await found({ center: dialled.url }))['key'],
    /the other side refused.*speil center mirror add <tenant> --application my-app/s,
  );
});

test('a client that is looked at from nowhere is told so, and has not failed for it', async () => {
  using directory = withDirectory();
  const { outside } = await found({ mirror: `sqlite:${directory.file('{tenant}.db')}` });
  assert.equal(outside?.ok, null);
  assert.match(`${outside?.message} ${outside?.hint}`, /nothing outside was looked at.*--url.*--center/);
  assert.equal((await found({ url: 'http://127.0.0.1:1' }))['outside'], undefined);
});

test('a center where a client should be, and a client where the center should be, are called by their names', async () => {
  using directory = withDirectory();
  const listen = { host: '127.0.0.1', port: 0 };
  await using client = await serveClient({ ...keys(), mirror: nowhere, application: 'my-app', listen });
  failsWith((await found({ center: client.url }))['key'], /is a mirror client of Speil, not.*center serve/);
  const server = await sharedPostgres();
  await server.createDatabase('validated_center');
  const database = server.url('validated_center');
  await using running = await startCenter({ data: directory.file('center'), database, listen });
  failsWith((await found({ url: running.url }))['post'], /401: an operation center of Speil is there.*client serve/);
});
