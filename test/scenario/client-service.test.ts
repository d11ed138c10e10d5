import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { test } from 'node:test';
import { soapAction, writeRequest } from '../../src/client/soap/messages.ts';
import { rsaSigningKey } from '../../src/client/soap/rsa-keys.ts';
import { signSignedToken } from '../../src/client/soap/signed-token.ts';
import { createKeyPair } from '../../src/client/trust/keys.ts';
import { type ClientServiceEvent, type ServeClientOptions, serveClient } from '../../src/client-service.ts';
import { newKey } from '../support/dialled.ts';
import { pushCycle } from '../support/push-cycle.ts';
import { sqliteSource } from '../support/service-source.ts';
import { withDirectory } from '../support/workload.ts';

const [app, center] = [newKey(), newKey()];
const [soap, vendor] = [createKeyPair('rsa'), createKeyPair('rsa')];
const here = { host: '127.0.0.1', port: 0 };

function options(folder: string, more: Partial<ServeClientOptions> = {}): ServeClientOptions {
  const keys = { keys: [app.privatePem], trust: [center.publicPem] };
  return { mirror: `sqlite:${folder}/{tenant}.db`, application: 'my-app', listen: here, ...keys, ...more };
}

const push = (to: string, source: string) =>
  pushCycle({
    to,
    source,
    tenant: 'acme',
    application: 'my-app',
    centerKey: center.privatePem,
    applicationKey: app.publicPem,
  });

test('one client speaks both contracts on one port, each with keys of its own', async () => {
  using directory = withDirectory();
  const source = sqliteSource(directory.file('source.db'));
  const both = { keys: [app.privatePem, soap.privatePem], trust: [center.publicPem, vendor.publicPem], soap: true };
  await using server = await serveClient(options(directory.path, both));
  const described = await fetch(`${server.url}/MirroringClientService.svc?wsdl`);
  assert.equal(described.status, 200);
  assert.match(await described.text(), /IMirroringClientService/);
  assert.equal((await push(server.url, source)).status, 'completed');
});

test('of SOAP calls, too, only those that are trusted keep their connection', async () => {
  using directory = withDirectory();
  const only = { keys: [soap.privatePem], trust: [vendor.publicPem], soap: true };
  await using server = await serveClient(options(directory.path, only));
  const connectionOf = async (signer: string, text?: string): Promise<string | null> => {
    const key = rsaSigningKey(createPrivateKey(signer), null);
    const signed = await signSignedToken({ key, tenant: 'acme', application: 'my-app', nowMs: Date.now() });
    const body = writeRequest('TableSchema', { clientState: null, tables: [] }, signed.token);
    const action = { soapaction: `"${soapAction('TableSchema')}"`, 'content-type': 'text/xml; charset=utf-8' };
    const address = `${server.url}/MirroringClientService.svc`;
    return (await fetch(address, { method: 'POST', headers: action, body: text ?? body })).headers.get('connection');
  };
  assert.equal(await connectionOf(vendor.privatePem), 'keep-alive');
  assert.equal(await connectionOf(createKeyPair('rsa').privatePem), 'close');
  assert.equal(await connectionOf(vendor.privatePem, ''), 'close');
});

test('without soap nothing of it is there; with RSA keys alone there is nothing else', async () => {
  using directory = withDirectory();
  const source = sqliteSource(directory.file('source.db'));
  await using native = await serveClient(options(directory.path));
  assert.equal((await fetch(`${native.url}/MirroringClientService.svc?wsdl`)).status, 404);
  const only = { keys: [soap.privatePem], trust: [vendor.publicPem], soap: true };
  await using other = await serveClient(options(directory.path, only));
  await assert.rejects(push(other.url, source), { code: 'TRUST_REFUSED', message: /speaks SOAP only/ });
});

test('nothing listens beyond this machine without TLS unless told so', async () => {
  using directory = withDirectory();
  const listen = { host: '0.0.0.0', port: 0 };
  await assert.rejects(serveClient(options(directory.path, { listen })), { code: 'INSECURE_LISTEN' });
});

test('the service tells what happens, and says when it has ended', async () => {
  using directory = withDirectory();
  const events: ClientServiceEvent[] = [];
  const server = await serveClient(options(directory.path, { onEvent: (event) => events.push(event) }));
  await push(server.url, sqliteSource(directory.file('source.db')));
  const refusals = () => events.filter(({ event }) => event === 'call-refused').length;
  for (let strangers = 1; strangers <= 12; strangers++) {
    const stranger = fetch(`${server.url}/v1/calls/authenticate`, { method: 'POST', body: 'x' });
    assert.equal((await stranger).status, 401);
    assert.equal(refusals(), Math.min(strangers, 10), 'each is told once, and a log is not flooded');
  }
  await server[Symbol.asyncDispose]();
  const kinds = events.map(({ event }) => event);
  assert.deepEqual([kinds.at(0), kinds.at(-1)], ['listening', 'ended']);
  assert.ok(kinds.includes('notice'));
});
