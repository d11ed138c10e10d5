import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { newKeys } from '../../test/support/pushed-mirror.ts';
import { column, schemaOf } from '../../test/support/sqlite-mirror.ts';
import type { ConnectedClient } from '../client/dialled/accept.ts';
import { keyId } from '../client/trust/keys.ts';
import { SpeilError } from '../core/error.ts';
import { runtime } from '../open.ts';
import { createCycleClients } from './cycle-clients.ts';
import type { ClientTransport, Mirror } from './model.ts';

const center = newKeys();
const application = newKeys();
const preferences = { batchBytes: 1_000_000, skipTables: [], blockedTables: [] };
const never = new AbortController().signal;

const mirrorAt = (transport: ClientTransport): Mirror => ({
  id: '1',
  tenant: 'acme',
  application: 'my-app',
  publicKey: application.open.export({ type: 'spki', format: 'pem' }).toString(),
  transport,
  everyMs: 60_000,
  createdAt: '2026-01-01T00:00:00.000Z',
});

/** A schema call whose body is long. */
const longCall = {
  clientState: '',
  leaveAlone: [],
  tables: Array.from({ length: 100 }, (_, at) =>
    schemaOf([column('id', 'INTEGER', { nullable: false })], { table: { schema: null, name: `table_${at}` } }),
  ),
};

/** How the long call is encoded on its way to a client that dialled in from these addresses. */
async function encodingToDialled(...addresses: readonly string[]): Promise<string | undefined> {
  const seen: string[] = [];
  const there = (remoteAddress: string): ConnectedClient => ({
    application: 'my-app',
    keyId: keyId(application.open),
    version: 'test',
    remoteAddress,
    since: '2026-01-01T00:00:00.000Z',
    callsOpen: 0,
    callsWaiting: 0,
  });
  const strangers = [
    { ...there('127.0.0.1'), application: 'another' },
    { ...there('127.0.0.1'), keyId: 'another' },
  ];
  await using clients = createCycleClients({
    signingKey: center.secret,
    clock: runtime.clock,
    dialled: {
      isConnected: () => true,
      connected: () => [...strangers, ...addresses.map(there)],
      exchange: () => ({
        display: 'here',
        send: async ({ encoding }) => {
          seen.push(encoding);
          throw new SpeilError('CONNECTION_LOST', 'that was all');
        },
      }),
    },
  });
  await using connected = clients.connect(mirrorAt({ kind: 'dialled' }), { preferences }, never);
  await assert.rejects(connected.client.tableSchema(longCall), { code: 'CONNECTION_LOST' });
  return seen[0];
}

test('calls to a client that dialled in are compressed when it came from another machine', async () => {
  assert.equal(await encodingToDialled('192.0.2.7'), 'zstd');
  assert.equal(await encodingToDialled('::ffff:192.0.2.7'), 'zstd');
  assert.equal(await encodingToDialled(), 'zstd');
  for (const here of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) assert.equal(await encodingToDialled(here), 'identity');
});

test('calls over HTTP are compressed unless the client is on this machine', async () => {
  const encodings: unknown[] = [];
  const server = createServer((request, response) => {
    encodings.push(request.headers['content-encoding']);
    request.resume().on('end', () => response.writeHead(500).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const dialled = { isConnected: () => false, connected: () => [], exchange: () => assert.fail('nobody dialled') };
  await using clients = createCycleClients({
    signingKey: center.secret,
    clock: runtime.clock,
    insecure: true,
    dialled,
  });
  // The second reaches this machine too, and is not spelled so.
  for (const host of ['127.0.0.1', '0.0.0.0']) {
    const mirror = mirrorAt({ kind: 'http', url: `http://${host}:${port}` });
    await using connected = clients.connect(mirror, { preferences }, never);
    await assert.rejects(connected.client.tableSchema(longCall));
  }
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  assert.deepEqual(encodings, [undefined, 'zstd']);
});
