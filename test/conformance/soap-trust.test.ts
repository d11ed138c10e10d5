import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import {
  OPERATIONS,
  type Operation,
  type Requests,
  type Responses,
  readResponse,
  soapAction,
  writeRequest,
} from '../../src/client/soap/messages.ts';
import { rsaSigningKey } from '../../src/client/soap/rsa-keys.ts';
import { verifyApplicationToken } from '../../src/client/soap/signed-token.ts';
import { ManualClock } from '../support/manual-clock.ts';
import {
  APPLICATION_KEY,
  batch,
  columnInfo,
  insert,
  SoapService,
  STATED,
  sqlitePlace,
  TENANT,
  tableInfo,
} from '../support/soap-service.ts';

const PERSON = tableInfo('person', columnInfo('name', 'nvarchar(40)'));

const REQUESTS: { readonly [O in Operation]: Requests[O] } = {
  Authenticate: STATED,
  TableSchema: { ...STATED, tables: [tableInfo('stranger')] },
  RowData: { ...STATED, dataBatches: [batch(PERSON, 99n, insert('[I:99]', 'x'))] },
  Wipe: { ...STATED, tableName: 'person' },
  ReplicationCompleted: { ...STATED, changedTables: [] },
};

async function withToken<O extends Operation>(
  service: SoapService,
  operation: O,
  token: string | null,
): Promise<Responses[O]> {
  const message = writeRequest(operation, REQUESTS[operation], token ?? '');
  const body = token === null ? message.replace(/<s:Header>.*<\/s:Header>/, '') : message;
  const answer = await service.post(body, { soapaction: soapAction(operation) });
  assert.equal(answer.status, 200);
  return readResponse(operation, answer.body);
}

const nonceOf = (token: string): string =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).nonce;

async function filled(clock = new ManualClock()) {
  const service = await SoapService.start(await sqlitePlace(), { clock });
  await service.schema(PERSON);
  await service.rows(batch(PERSON, 5n, insert('[I:1]', 'a')));
  return { service, clock };
}

const untouched = async (service: SoapService) => {
  assert.deepEqual(await service.lsns(), [['person', 5]]);
  assert.deepEqual((await service.query('SELECT contact_id FROM person')).map(Object.values), [[1]]);
};

describe('a call is trusted by its own token alone', () => {
  test('none of the five is answered without, with another’s or with a broken one', async () => {
    const { service, clock } = await filled();
    await using _ = service;
    const stranger = rsaSigningKey(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, null);
    for (const operation of OPERATIONS) {
      const good = await service.token();
      const [head = '', claims = ''] = good.split('.');
      const tokens = [
        null,
        '',
        'a.b.c',
        `${head}.${claims}.`,
        await service.token(TENANT, { key: stranger }),
        await service.token(TENANT, { application: 'another' }),
        await service.token(TENANT, { issuer: 'somebody' }),
        await service.token(TENANT, { nowMs: clock.now() - 301_000 }),
        await service.token(TENANT, { nowMs: clock.now() + 61_000 }),
        'x'.repeat(60_000),
      ];
      for (const [at, token] of tokens.entries()) {
        const answer = await withToken(service, operation, token);
        assert.equal(answer.isSuccessful, false, `${operation} ${at}`);
        assert.match(answer.errorMessage ?? '', /TRUST_REFUSED/);
        if ('signedApplicationToken' in answer) assert.equal(answer.signedApplicationToken, null);
      }
    }
    await untouched(service);
  });

  test('a token holds from a minute before to five minutes after, and once', async () => {
    const clock = new ManualClock();
    await using service = await SoapService.start(await sqlitePlace(), { clock });
    const madeAt = clock.now();
    const at = async (offsetMs: number) => {
      const token = await service.token(TENANT, { nowMs: madeAt });
      clock.advance(offsetMs);
      const { isSuccessful } = await withToken(service, 'Authenticate', token);
      clock.advance(-offsetMs);
      return isSuccessful;
    };
    assert.equal(await at(4 * 60_000 + 59_000), true);
    assert.equal(await at(6 * 60_000), false);
    assert.equal(await at(-60_000), true);
    assert.equal(await at(-61_000), false);
    const token = await service.token();
    assert.equal((await withToken(service, 'Authenticate', token)).isSuccessful, true);
    const replayed = await withToken(service, 'Authenticate', token);
    assert.match(replayed.errorMessage ?? '', /nonce was used before/);
    assert.equal(replayed.signedApplicationToken, null);
  });

  test('the answer to authenticate is signed by the application over the nonce of the call', async () => {
    await using service = await SoapService.start(await sqlitePlace());
    const publicKey = createPublicKey(APPLICATION_KEY);
    const token = await service.token();
    const { signedApplicationToken } = await withToken(service, 'Authenticate', token);
    const rules = { nonce: nonceOf(token), publicKey, nowMs: service.clock.now() };
    verifyApplicationToken(signedApplicationToken ?? '', rules);
    assert.throws(() => verifyApplicationToken(signedApplicationToken ?? '', { ...rules, nonce: '0'.repeat(32) }));
  });

  test('the token says whose data it is: two tenants have two mirrors', async () => {
    await using service = await SoapService.start(await sqlitePlace());
    for (const tenant of ['Cust1', 'Cust2']) {
      await service.call('TableSchema', { ...STATED, tables: [PERSON] }, tenant);
      await service.call('RowData', { ...STATED, dataBatches: [batch(PERSON, 7n, insert('[I:1]', tenant))] }, tenant);
    }
    for (const tenant of ['Cust1', 'Cust2']) {
      assert.deepEqual((await service.query('SELECT name FROM person', tenant)).map(Object.values), [[tenant]]);
      assert.deepEqual(await service.lsns(tenant), [['person', 7]]);
    }
    for (const name of ['../x', 'a b', '', 'x'.repeat(100)]) {
      const answer = await withToken(service, 'Authenticate', await service.token(name));
      assert.equal(answer.isSuccessful, false);
    }
  });

  test('a stranger’s rows are not kept: the token is looked at before the body is there', async () => {
    await using service = await SoapService.start(await sqlitePlace());
    const message = writeRequest('RowData', REQUESTS.RowData, 'a.b.c');
    const at = message.indexOf('<m:DataBatches>');
    const long = `<m:ClientState>${'x'.repeat(300_000)}`;
    const answer = await service.post(`${message.slice(0, at)}${long}<<< what is no XML`);
    assert.equal(answer.status, 200);
    assert.match(answer.body.toString(), /TRUST_REFUSED/);
  });

  test('a stranger who does not come to an end is cut off', async () => {
    await using service = await SoapService.start(await sqlitePlace());
    const message = writeRequest('RowData', REQUESTS.RowData, 'a.b.c');
    const piece = Buffer.alloc(1024 * 1024, 'x');
    let sent = 0;
    function* body() {
      yield Buffer.from(message.slice(0, message.indexOf('<m:DataBatches>')));
      for (; sent < 1_000; sent++) yield piece;
    }
    await service.post(body()).catch(() => undefined);
    assert.ok(sent < 200, `${sent} MB`);
    assert.equal((await service.call('Authenticate', STATED)).isSuccessful, true);
  });
});

describe('the owner of the mirror has a say', () => {
  test('not now: the answer says so, and the next cycle asks again', async () => {
    let calls = 0;
    const hooks = { onAuthenticate: () => (++calls === 1 ? { doNotReplicate: 'moving house' } : undefined) };
    await using service = await SoapService.start(await sqlitePlace(), { hooks });
    const first = await service.call('Authenticate', STATED);
    assert.equal(first.isSuccessful, true);
    assert.deepEqual(JSON.parse(first.additionalInformationJson ?? ''), { doNotReplicate: 'true' });
    assert.equal((await service.call('Authenticate', STATED)).additionalInformationJson, null);
    assert.ok(service.notices.some(({ message }) => /moving house/.test(message)));
  });

  test('what it has the task carry comes unchanged to every hook', async () => {
    const state = 'a <state> & "more" \n å';
    const seen: string[] = [];
    const see = (...args: readonly unknown[]) => {
      const { clientState, tenant } = args.at(-1) as { clientState: string; tenant: string };
      seen.push(`${tenant} ${clientState}`);
    };
    const hooks = {
      onAuthenticate: () => ({ clientState: state }),
      onBeforeTable: see,
      onWipe: see,
      onReplicationCompleted: see,
    };
    await using service = await SoapService.start(await sqlitePlace(), { hooks });
    const { clientState } = await service.call('Authenticate', STATED);
    assert.equal(clientState, state);
    await service.call('TableSchema', { clientState, tables: [PERSON] });
    await service.call('Wipe', { clientState, tableName: 'person' });
    await service.call('ReplicationCompleted', { clientState, changedTables: [] });
    assert.deepEqual(seen, Array(3).fill(`${TENANT} ${state}`));
  });

  test('a hook that throws is told and changes nothing; the one that admits a cycle refuses it', async () => {
    const broken = () => {
      throw new Error('out of order');
    };
    const hooks = { onBeforeTable: broken, onWipe: broken, onReplicationCompleted: broken };
    await using service = await SoapService.start(await sqlitePlace(), { hooks });
    assert.equal((await service.schema(PERSON)).isSuccessful, true);
    assert.equal((await service.call('Wipe', { ...STATED, tableName: 'person' })).isSuccessful, true);
    assert.equal((await service.call('ReplicationCompleted', { ...STATED, changedTables: [] })).isSuccessful, true);
    assert.equal(service.notices.filter(({ message }) => /out of order/.test(message)).length, 3);
    await using shut = await SoapService.start(await sqlitePlace(), { hooks: { onAuthenticate: broken } });
    const answer = await shut.call('Authenticate', STATED);
    assert.deepEqual([answer.isSuccessful, answer.signedApplicationToken], [false, null]);
  });
});
