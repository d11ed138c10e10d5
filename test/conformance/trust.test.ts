import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import {
  CALL_NAMES,
  type CallAnswer,
  type CallName,
  type CallRequest,
  type Exchange,
} from '../../src/client/exchange.ts';
import { pathOfCall } from '../../src/client/http/paths.ts';
import { newNonce, signCallToken } from '../../src/client/trust/call-token.ts';
import { bodyDigest } from '../../src/client/trust/digest.ts';
import { keyId } from '../../src/client/trust/keys.ts';
import { decodeError, encodeRequest } from '../../src/client/wire/messages.ts';
import { Lsn } from '../../src/core/lsn.ts';
import { runtime } from '../../src/open.ts';
import type { MirrorClientService } from '../../src/task/contract.ts';
import { type Keys, newKeys, PushedMirror, type PushOptions } from '../support/pushed-mirror.ts';
import { noSignal } from '../support/sqlite-fixture.ts';
import { withDirectory } from '../support/workload.ts';

/** A mirror of SQLite that is served over HTTP, of a source with a table. */
async function pushed(work: (mirror: PushedMirror) => Promise<void>, options: PushOptions = {}): Promise<void> {
  using directory = withDirectory();
  const source = directory.file('source.db');
  using database = new DatabaseSync(source);
  database.exec(`CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO person VALUES (1, 'Åse')`);
  await using mirror = await PushedMirror.start({ source, mirror: directory.file('mirror.db') }, options);
  await work(mirror);
}

const position = { lsn: Lsn.of(1), token: '', lineage: '', bookmark: null };
const schema = { table: { schema: null, name: 't' }, dialect: 'sqlite', columns: [], key: [], identity: '' } as const;

/** Each of the five calls, asking for nothing much. */
const callAll = (client: MirrorClientService): readonly (() => Promise<unknown>)[] => [
  () => client.authenticate({ tenant: 'acme', clientState: '' }),
  () => client.tableSchema({ clientState: '', tables: [], leaveAlone: [] }),
  () => client.wipe({ clientState: '', schema, start: position }),
  () => client.rowData({ clientState: '', batches: [] }),
  () => client.replicationCompleted({ clientState: '', changedTables: [] }),
];

const refused = (about: string) => (error: Error & { readonly code?: string; readonly hint?: string | null }) => {
  assert.equal(error.code, 'TRUST_REFUSED', String(error));
  assert.equal(error.message.split(':')[0], about, error.message);
  assert.ok(error.hint, 'says what to do');
  return true;
};

type Sent = { readonly call?: CallName; readonly tenant?: string; readonly body: Uint8Array; readonly keys?: Keys };

/** A call as anybody could make it. */
async function signed(
  mirror: PushedMirror,
  { call = 'authenticate', tenant = 'acme', body, keys = mirror.center }: Sent,
) {
  const claims = { tenant, application: 'my-app', call, digest: bodyDigest(body), nonce: newNonce() };
  const token = signCallToken(keys.secret, keyId(keys.open), claims, runtime.clock);
  return { call, token, encoding: 'identity', body } as const;
}

const send = (mirror: PushedMirror, request: CallRequest): Promise<CallAnswer> =>
  mirror.exchange.send(request, noSignal);

const failureOf = ({ status, body }: CallAnswer) => ({ status, error: decodeError(body) });

const hello = encodeRequest('authenticate', { tenant: 'acme', clientState: '' });

/** An exchange with somebody in the middle. */
const through = (
  mirror: PushedMirror,
  middle: (request: CallRequest, send: Exchange['send']) => Promise<CallAnswer>,
) => ({
  display: 'somebody in the middle',
  send: (request: CallRequest) => middle(request, mirror.exchange.send),
});

test('each of the five calls is refused to whoever has another key', () =>
  pushed(async (mirror) => {
    for (const call of callAll(mirror.client({ signingKey: newKeys().secret })))
      await assert.rejects(call, refused('signature'));
    assert.deepEqual(
      mirror.calls.map(({ call }) => call),
      CALL_NAMES,
    );
    assert.deepEqual(new Set(mirror.calls.map(({ status }) => status)), new Set([401]));
  }));

test('each of the five calls is refused without a token, before its body is read', () =>
  pushed(async (mirror) => {
    for (const call of CALL_NAMES) {
      const url = new URL(pathOfCall(call), mirror.exchange.display);
      const answer = await fetch(url, { method: 'POST', body: hello });
      assert.equal(answer.status, 401);
      const error = decodeError(await answer.bytes());
      assert.equal(error.code, 'TRUST_REFUSED');
      assert.match(error.message, /the call has none/);
    }
  }));

test('nothing further is called when the application cannot prove itself', () =>
  pushed(async (mirror) => {
    const client = mirror.client({ clientPublicKey: newKeys().open });
    await assert.rejects(mirror.cycle(client), refused('signature'));
    assert.deepEqual(
      mirror.calls.map(({ call }) => call),
      ['authenticate'],
    );
  }));

test('a token of one application is refused by another', () =>
  pushed(async (mirror) => {
    await assert.rejects(mirror.cycle(mirror.client({ application: 'other' })), refused('audience'));
  }));

test('a body that names another tenant than the token is refused', () =>
  pushed(async (mirror) => {
    const body = encodeRequest('authenticate', { tenant: 'other', clientState: '' });
    const { status, error } = failureOf(await send(mirror, await signed(mirror, { body })));
    assert.equal(status, 401);
    refused('tenant')(error);
  }));

test('a call that was recorded and is sent again is refused', () =>
  pushed(async (mirror) => {
    const request = await signed(mirror, { body: hello });
    assert.equal((await send(mirror, request)).status, 200);
    refused('nonce')(failureOf(await send(mirror, request)).error);
  }));

test('a token of one call is refused for another, and for another body', () =>
  pushed(async (mirror) => {
    const request = await signed(mirror, { body: hello });
    refused('call')(failureOf(await send(mirror, { ...request, call: 'wipe' })).error);
    const changed = Buffer.from(hello);
    changed[changed.length - 2] = 0x20;
    refused('body')(failureOf(await send(mirror, { ...request, body: changed })).error);
  }));

test('an answer that was recorded and is given again is refused', () =>
  pushed(async (mirror) => {
    let recorded: CallAnswer | null = null;
    const exchange = through(mirror, async (request, on) => (recorded ??= await on(request, noSignal)));
    const client = mirror.client({ exchange });
    await client.authenticate({ tenant: 'acme', clientState: '' });
    await assert.rejects(client.authenticate({ tenant: 'acme', clientState: '' }), refused('nonce'));
  }));

test('an answer that was changed on the way is refused', () =>
  pushed(async (mirror) => {
    const exchange = through(mirror, async (request, on) => {
      const answer = await on(request, noSignal);
      return {
        ...answer,
        body: Buffer.from(Buffer.from(answer.body).toString('latin1').replace('test', 'best'), 'latin1'),
      };
    });
    await assert.rejects(
      mirror.client({ exchange }).authenticate({ tenant: 'acme', clientState: '' }),
      refused('body'),
    );
  }));

test('an answer without proof, and one that is none, is a broken contract', () =>
  pushed(async (mirror) => {
    for (const body of [hello, Buffer.from('<html>'), Buffer.alloc(0)]) {
      const exchange = through(mirror, async () => ({ status: 200, encoding: 'identity', body }));
      await assert.rejects(mirror.client({ exchange }).authenticate({ tenant: 'acme', clientState: '' }), {
        code: 'CONTRACT_BROKEN',
      });
    }
  }));

test('nothing is decompressed for whoever is not trusted, and no more than is taken for whoever is', () =>
  pushed(async (mirror) => {
    const bomb = zstdCompressSync(Buffer.alloc(80_000_000));
    const stranger = await signed(mirror, { body: bomb, keys: newKeys() });
    refused('signature')(failureOf(await send(mirror, { ...stranger, encoding: 'zstd' })).error);
    const trusted = await signed(mirror, { body: bomb });
    const { status, error } = failureOf(await send(mirror, { ...trusted, encoding: 'zstd' }));
    assert.deepEqual([status, error.code], [413, 'CALL_TOO_LARGE']);
  }));

test('what a trusted caller sends and nobody understands is answered 400', () =>
  pushed(async (mirror) => {
    for (const body of [
      Buffer.alloc(0),
      Buffer.from('nonsense'),
      encodeRequest('authenticate', { tenant: 'acme', clientState: '' }).subarray(0, 9),
    ]) {
      const { status, error } = failureOf(await send(mirror, await signed(mirror, { call: 'row-data', body })));
      assert.deepEqual([status, error.code], [400, 'CONTRACT_BROKEN']);
    }
  }));

test('the answer to authenticate says interface, build and bound; a client that asks not to be bothered is left alone', () =>
  pushed(
    async (mirror) => {
      const answer = await mirror.client().authenticate({ tenant: 'acme', clientState: '' });
      assert.deepEqual([answer.supportedInterface, answer.build, answer.callBytesMax], [1, 'test', 64_000_000]);
      const report = await mirror.cycle();
      assert.match(JSON.stringify(report), /moving house/);
      assert.deepEqual(new Set(mirror.calls.map(({ call }) => call)), new Set(['authenticate']));
    },
    { hooks: { onAuthenticate: () => ({ doNotReplicate: 'moving house' }) } },
  ));

test('what the client says at the beginning is handed back unchanged with every later call', async () => {
  const states: string[] = [];
  const clientState = 'Ünïcode "state"\n\u0000';
  await pushed(
    async (mirror) => {
      await mirror.cycle();
      assert.deepEqual(states, Array(3).fill(clientState));
    },
    {
      hooks: {
        onAuthenticate: () => ({ clientState }),
        onBeforeTable: (_table, _change, context) => void states.push(context.clientState),
        onWipe: (_table, context) => void states.push(context.clientState),
        onReplicationCompleted: (_changed, context) => void states.push(context.clientState),
      },
    },
  );
});
