import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createClientAsync } from 'soap';
import { OPERATIONS, readResponse, soapAction, writeRequest } from '../../src/client/soap/messages.ts';
import {
  batch,
  columnInfo,
  insert,
  SoapService,
  STATED,
  sqlitePlace,
  TENANT,
  tableInfo,
} from '../support/soap-service.ts';

const PERSON = tableInfo('person', columnInfo('name', 'nvarchar(40)'), columnInfo('seen', 'datetime'));
const SERVICE = 'http://www.superoffice.com/online/mirroring/0.1';

describe('the service over HTTP', () => {
  test('takes a SOAPAction in quotes, without, or none, and refuses one that does not fit', async () => {
    await using service = await SoapService.start(await sqlitePlace());
    const body = async () => writeRequest('Authenticate', STATED, await service.token());
    for (const header of [`"${soapAction('Authenticate')}"`, soapAction('Authenticate'), '""', '']) {
      const answer = await service.post(await body(), { soapaction: header });
      assert.equal(answer.status, 200, header);
      assert.match(answer.type, /^text\/xml/);
      assert.equal(readResponse('Authenticate', answer.body).isSuccessful, true);
    }
    assert.equal((await service.post(await body())).status, 200);
    assert.equal((await service.post(await body(), { expect: '100-continue' })).status, 200);
    for (const header of ['urn:other', soapAction('Wipe')]) {
      const answer = await service.post(await body(), { soapaction: header });
      assert.equal(answer.status, 500);
      assert.match(answer.body.toString(), /<faultcode>s:Client<\/faultcode>/);
    }
  });

  test('answers what is not understood with a fault of SOAP, and goes on', async () => {
    await using service = await SoapService.start(await sqlitePlace(), { callBytesMax: 100_000 });
    const token = await service.token();
    const good = writeRequest('Wipe', { ...STATED, tableName: 'x' }, token);
    const cases: readonly (readonly [string, number, string, Readonly<Record<string, string>>?])[] = [
      ['', 500, 'Client'],
      ['hello', 500, 'Client'],
      [good.slice(0, -30), 500, 'Client'],
      ['<a>'.repeat(30_000), 500, 'Client'],
      [`<!DOCTYPE x [<!ENTITY y "z">]>${good}`, 500, 'Client'],
      [good.replace('schemas.xmlsoap.org/soap/envelope', 'www.w3.org/2003/05/soap-envelope'), 500, 'VersionMismatch'],
      [good, 500, 'VersionMismatch', { 'content-type': 'application/soap+xml' }],
      [good, 500, 'Client', { 'content-type': 'multipart/related' }],
      [good, 500, 'Client', { 'content-encoding': 'gzip' }],
      [good.replace('<s:Header>', '<s:Header><q:Q xmlns:q="urn:q" s:mustUnderstand="1"/>'), 500, 'MustUnderstand'],
      [`${good}${' '.repeat(100_000)}`, 413, 'Client'],
    ];
    for (const [body, status, fault, headers] of cases) {
      const answer = await service.post(body, headers);
      assert.equal(answer.status, status, body.slice(0, 100));
      assert.match(answer.body.toString(), new RegExp(`<faultcode>s:${fault}</faultcode>`), body.slice(0, 100));
    }
    const fresh = writeRequest('Wipe', { ...STATED, tableName: 'x' }, await service.token());
    async function* unannounced() {
      yield Buffer.from(fresh);
      for (let count = 0; count < 10; count++) yield Buffer.alloc(20_000, ' ');
    }
    assert.equal((await service.post(unannounced())).status, 413);
    assert.equal((await service.call('Authenticate', STATED)).isSuccessful, true);
  });

  test('a call that breaks off has changed nothing', async () => {
    await using service = await SoapService.start(await sqlitePlace());
    await service.schema(PERSON);
    const rows = Array.from({ length: 1_000 }, (_, at) => insert(`[I:${at}]`, 'x', null));
    const dataBatches = [batch(PERSON, 5n, ...rows), batch(PERSON, 6n, ...rows)];
    const message = writeRequest('RowData', { ...STATED, dataBatches }, await service.token());
    const cut = message.slice(0, message.lastIndexOf('<d:LSN>6'));
    assert.equal((await service.post(cut)).status, 500);
    async function* broken() {
      yield Buffer.from(cut);
      throw new Error('the line is dead');
    }
    await service.post(broken()).catch(() => undefined);
    assert.deepEqual(await service.lsns(), [['person', -1]]);
    assert.equal((await service.query('SELECT 1 FROM person')).length, 0);
  });

  test('says what it is to who only looks, and shows its contract', async () => {
    await using service = await SoapService.start(await sqlitePlace());
    const looked = await service.send('GET', service.url);
    assert.equal(looked.status, 200);
    assert.match(looked.body.toString(), /\?wsdl/);
    for (const query of ['?wsdl', '?WSDL', '?singleWsdl']) {
      const { status, type, body } = await service.send('GET', service.url + query);
      assert.equal(status, 200);
      assert.match(type, /^text\/xml/);
      const text = body.toString();
      assert.ok(text.includes(`<soap:address location="${service.url}"/>`));
      for (const operation of OPERATIONS) assert.ok(text.includes(`soapAction="${soapAction(operation)}"`));
    }
    const behind = await service.send('GET', `${service.url}?wsdl`, {
      host: 'mirror.example"<',
      'x-forwarded-proto': 'https',
    });
    assert.ok(
      behind.body.toString().includes('location="https://mirror.example&quot;&lt;/MirroringClientService.svc"'),
    );
    assert.equal((await service.send('PUT', service.url)).status, 405);
    assert.equal((await service.send('GET', service.url.replace('Service.svc', ''))).status, 404);
    assert.equal((await service.send('GET', service.url.replace('MirroringClientService.svc', 'soap'))).status, 200);
  });
});

/** The same cycle by a client that knows nothing but the WSDL. */
test('a client made from the WSDL by another library delivers a cycle', async () => {
  await using service = await SoapService.start(await sqlitePlace());
  const client = await createClientAsync(`${service.url}?wsdl`);
  const call = async (operation: string, request: object): Promise<Record<string, unknown>> => {
    client.clearSoapHeaders();
    client.addSoapHeader({ 'tns:SignedToken': await service.token() }, '', 'tns', SERVICE);
    const [answer] = await client[`${operation}Async`](request);
    return answer;
  };
  assert.deepEqual(
    Object.keys(client.describe()['MirroringClientService']['BasicHttpBinding_IMirroringClientService']),
    [...OPERATIONS],
  );
  const authenticated = await call('Authenticate', { ClientState: 'kept' });
  assert.equal(authenticated['IsSuccessful'], true);
  assert.equal(String(authenticated['SignedApplicationToken']).split('.').length, 3);
  assert.equal(authenticated['ClientState'], 'kept');
  const info = {
    Columns: {
      ColumnInfo: [
        { DefaultValue: '', IsNullable: false, Name: 'contact_id', Type: 'int' },
        { DefaultValue: "default (N'')", IsNullable: false, Name: 'name', Type: 'nvarchar(40)' },
      ],
    },
    TableName: 'person',
  };
  const schema = await call('TableSchema', { ClientState: 'kept', Tables: { TableSchemaInfo: [info] } });
  assert.equal(schema['IsSuccessful'], true);
  assert.deepEqual(schema['MirrorLSN'], { TableLSN: [{ LSN: -1, TableName: 'person' }] });
  assert.equal((await call('Wipe', { ClientState: 'kept', TableName: 'person' }))['IsSuccessful'], true);
  const Data = {
    RowData: ['Ann & Bo', '<[I:5]>'].map((name, at) => ({
      ColumnValues: { string: [`[I:${at}]`, name] },
      Operation: 'I',
    })),
  };
  const batches = { ClientState: 'kept', DataBatches: { RowDataBatch: [{ Data, LSN: 12, TableInfo: info }] } };
  assert.equal((await call('RowData', batches))['IsSuccessful'], true);
  const summary = { Deletes: 0, Inserts: 2, TableName: 'person', Updates: 0 };
  const completed = { ClientState: 'kept', ChangedTables: { ReplicationSummary: [summary] } };
  assert.equal((await call('ReplicationCompleted', completed))['IsSuccessful'], true);
  assert.deepEqual(await service.lsns(), [['person', 12]]);
  const rows = await service.query('SELECT contact_id, name FROM person ORDER BY 1');
  assert.deepEqual(rows.map(Object.values), [
    [0, 'Ann & Bo'],
    [1, '<[I:5]>'],
  ]);
  const completedAt = await service.query(`SELECT completed_at FROM "${TENANT}_mirroring"`);
  assert.notEqual(completedAt[0]?.['completed_at'], null);
});
