import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { createClient } from '@libsql/client';
import { WebSocket } from 'ws';
import { type ShellServer, startShell } from '../support/shell-server.ts';
import { eventually } from '../support/workload.ts';

// The official client through the whole shell, with tokens.

let server: ShellServer;
let admin = '';

before(async () => {
  server = await startShell({ hrana: true, requireToken: true });
  admin = readFileSync(server.instance.tokenFile, 'utf8').trim();
  for (const name of ['shop', 'hr']) await server.instance.create(name);
});

after(() => server?.[Symbol.asyncDispose]());

async function tokenFor(access: string, database: string | null): Promise<{ id: string; secret: string }> {
  const headers = { authorization: `Bearer ${admin}` };
  const init = { method: 'POST', headers, body: JSON.stringify({ access, database }) };
  const { token, secret } = JSON.parse(await (await fetch(new URL('/admin/tokens', server.url), init)).text());
  return { id: token.id, secret };
}

const clientOf = (authToken: string, scheme: 'http' | 'ws', path = '/shop/') =>
  createClient({ url: `${server.url.replace('http', scheme)}${path}`, authToken, tls: false });

for (const scheme of ['http', 'ws'] as const) {
  test(`@libsql/client over ${scheme}: writes with one token, reads with another`, async () => {
    const writer = clientOf((await tokenFor('write', 'shop')).secret, scheme);
    await writer.batch([`CREATE TABLE ${scheme}_item (id INTEGER PRIMARY KEY, name TEXT)`], 'write');
    await writer.execute({ sql: `INSERT INTO ${scheme}_item (name) VALUES (?)`, args: ['lamp'] });
    const reader = clientOf((await tokenFor('read', 'shop')).secret, scheme);
    const { rows } = await reader.execute(`SELECT name FROM ${scheme}_item`);
    assert.equal(rows[0]?.['name'], 'lamp');
    await assert.rejects(reader.execute(`DELETE FROM ${scheme}_item`), /SQLITE_READONLY|readonly/);
    writer.close();
    reader.close();
  });

  test(`@libsql/client over ${scheme}: a token of another database, or none that is known, is refused`, async () => {
    for (const secret of [(await tokenFor('write', 'hr')).secret, 'unknown']) {
      const client = clientOf(secret, scheme);
      await assert.rejects(client.execute('SELECT 1'), (error: Error) => {
        assert.doesNotMatch(error.message, /unknown\b.*secret/);
        return true;
      });
      client.close();
    }
  });
}

test('a database that there is none of looks like one that a token is not good for', async () => {
  const { secret } = await tokenFor('write', 'shop');
  for (const path of ['/hr/', '/none/']) {
    const client = clientOf(secret, 'ws', path);
    await assert.rejects(client.execute('SELECT 1'), /refused|not good|AUTH/i, path);
    client.close();
  }
});

test('a token that is revoked ends the WebSockets that showed it', async () => {
  const { id, secret } = await tokenFor('write', 'shop');
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/shop/`, 'hrana3');
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'hello', jwt: secret }));
  const [answer] = await once(socket, 'message');
  assert.equal(JSON.parse(String(answer)).type, 'hello_ok');
  const closed = once(socket, 'close');
  const headers = { authorization: `Bearer ${admin}` };
  await fetch(new URL(`/admin/tokens/${id}`, server.url), { method: 'DELETE', headers });
  await closed;
});

test('a server that ends lets a request that is under way end, and closes the others', async () => {
  const ending = await startShell({ hrana: true });
  await ending.instance.create('shop');
  const socket = new WebSocket(ending.url.replace('http', 'ws'), 'hrana3');
  await once(socket, 'open');
  const closed = once(socket, 'close');
  const client = createClient({ url: ending.url });
  const transaction = await client.transaction('write');
  await transaction.execute('CREATE TABLE a (x)');
  await ending.instance[Symbol.asyncDispose]();
  await closed;
  await assert.rejects(transaction.commit());
  await eventually(async () => assert.rejects(fetch(new URL('/healthz', ending.url))));
});
