import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SoapFault, writeFault } from './envelope.ts';
import {
  OPERATIONS,
  type Operation,
  type Requests,
  type Responses,
  readRequest,
  readResponse,
  soapAction,
  writeRequest,
  writeResponse,
} from './messages.ts';

const NAMESPACES =
  'xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns:m="http://www.superoffice.com/online/mirroring/0.1" xmlns:d="http://schemas.datacontract.org/2004/07/SuperOffice.Online.Mirroring.Contract.V1" xmlns:a="http://schemas.microsoft.com/2003/10/Serialization/Arrays"';
const envelope = (header: string, body: string) =>
  `<?xml version="1.0" encoding="utf-8"?><s:Envelope ${NAMESPACES}>${header}<s:Body>${body}</s:Body></s:Envelope>`;
const requestOf = (body: string) =>
  envelope('<s:Header><m:SignedToken s:mustUnderstand="1">a.b.c</m:SignedToken></s:Header>', body);
const responseOf = (body: string) => envelope('', body);

const TABLE = {
  columns: [
    { defaultValue: 'default ((0))', isNullable: false, name: 'appointment_id', type: 'int' },
    { defaultValue: '', isNullable: true, name: 'a<b', type: 'nvarchar(40)' },
  ],
  tableName: 'appointment',
};
const TABLE_XML =
  '<d:Columns><d:ColumnInfo><d:DefaultValue>default ((0))</d:DefaultValue><d:IsNullable>false</d:IsNullable><d:Name>appointment_id</d:Name><d:Type>int</d:Type></d:ColumnInfo>' +
  '<d:ColumnInfo><d:DefaultValue></d:DefaultValue><d:IsNullable>true</d:IsNullable><d:Name>a&lt;b</d:Name><d:Type>nvarchar(40)</d:Type></d:ColumnInfo></d:Columns><d:TableName>appointment</d:TableName>';

const STATE_XML = '<m:ClientState>s</m:ClientState>';
const OUTCOME_XML = '<m:IsSuccessful>true</m:IsSuccessful><m:ErrorMessage i:nil="true"/>';
const OUTCOME = { isSuccessful: true, errorMessage: null };

/** Every message of the contract, with invented values, as it stands on the wire. */
const REQUESTS: { readonly [O in Operation]: readonly [Requests[O], string] } = {
  Authenticate: [{ clientState: null }, '<m:ClientState i:nil="true"/>'],
  TableSchema: [
    { clientState: 's', tables: [TABLE] },
    `${STATE_XML}<m:Tables><d:TableSchemaInfo>${TABLE_XML}</d:TableSchemaInfo></m:Tables>`,
  ],
  RowData: [
    {
      clientState: 's',
      dataBatches: [
        {
          data: [
            { columnValues: ['[I:1]', ' x\ty&#\r'], operation: 'I' },
            { columnValues: ['[I:2]', ''], operation: 'U' },
            { columnValues: ['[I:3]', null], operation: 'D' },
          ],
          lsn: 9_007_199_254_740_993n,
          tableInfo: TABLE,
        },
      ],
    },
    `${STATE_XML}<m:DataBatches><d:RowDataBatch><d:Data>` +
      '<d:RowData><d:ColumnValues><a:string>[I:1]</a:string><a:string> x\ty&amp;#&#xD;</a:string></d:ColumnValues><d:Operation>I</d:Operation></d:RowData>' +
      '<d:RowData><d:ColumnValues><a:string>[I:2]</a:string><a:string></a:string></d:ColumnValues><d:Operation>U</d:Operation></d:RowData>' +
      '<d:RowData><d:ColumnValues><a:string>[I:3]</a:string><a:string i:nil="true"/></d:ColumnValues><d:Operation>D</d:Operation></d:RowData>' +
      `</d:Data><d:LSN>9007199254740993</d:LSN><d:TableInfo>${TABLE_XML}</d:TableInfo></d:RowDataBatch></m:DataBatches>`,
  ],
  Wipe: [{ clientState: 's', tableName: 'appointment' }, `${STATE_XML}<m:TableName>appointment</m:TableName>`],
  ReplicationCompleted: [
    { clientState: 's', changedTables: [{ deletes: 1, inserts: 2, tableName: 'appointment', updates: 3 }] },
    `${STATE_XML}<m:ChangedTables><d:ReplicationSummary><d:Deletes>1</d:Deletes><d:Inserts>2</d:Inserts><d:TableName>appointment</d:TableName><d:Updates>3</d:Updates></d:ReplicationSummary></m:ChangedTables>`,
  ],
};

const RESPONSES: { readonly [O in Operation]: readonly [Responses[O], string] } = {
  Authenticate: [
    {
      ...OUTCOME,
      signedApplicationToken: 'n.t.s',
      supportedInterfaces: '1',
      superOfficeMirroringBuild: 'b',
      clientState: 's',
      additionalInformationJson: '{"doNotReplicate":"true"}',
    },
    `${OUTCOME_XML}<m:SignedApplicationToken>n.t.s</m:SignedApplicationToken><m:SupportedInterfaces>1</m:SupportedInterfaces><m:SuperOfficeMirroringBuild>b</m:SuperOfficeMirroringBuild>${STATE_XML}<m:AdditionalInformationJson>{"doNotReplicate":"true"}</m:AdditionalInformationJson>`,
  ],
  TableSchema: [
    {
      ...OUTCOME,
      mirrorLsn: [
        { lsn: -1n, tableName: 'a' },
        { lsn: 2n ** 62n, tableName: 'b' },
      ],
    },
    `${OUTCOME_XML}<m:MirrorLSN><d:TableLSN><d:LSN>-1</d:LSN><d:TableName>a</d:TableName></d:TableLSN><d:TableLSN><d:LSN>4611686018427387904</d:LSN><d:TableName>b</d:TableName></d:TableLSN></m:MirrorLSN>`,
  ],
  RowData: [OUTCOME, OUTCOME_XML],
  Wipe: [OUTCOME, OUTCOME_XML],
  ReplicationCompleted: [
    { isSuccessful: false, errorMessage: 'a & b' },
    '<m:IsSuccessful>false</m:IsSuccessful><m:ErrorMessage>a &amp; b</m:ErrorMessage>',
  ],
};

for (const operation of OPERATIONS) {
  test(`${operation} is written and read as the contract has it`, () => {
    const [request, requestXml] = REQUESTS[operation];
    const wholeRequest = requestOf(`<m:${operation}Request>${requestXml}</m:${operation}Request>`);
    assert.equal(writeRequest<Operation>(operation, request, 'a.b.c'), wholeRequest);
    assert.deepEqual(readRequest(Buffer.from(wholeRequest)), { operation, request, signedToken: 'a.b.c' });
    const [response, responseXml] = RESPONSES[operation];
    const wholeResponse = responseOf(`<m:${operation}Response>${responseXml}</m:${operation}Response>`);
    assert.equal(writeResponse<Operation>(operation, response), wholeResponse);
    assert.deepEqual(readResponse(operation, Buffer.from(wholeResponse)), response);
  });
}

test('actions are those of the contract', () => {
  assert.equal(
    soapAction('RowData'),
    'http://www.superoffice.com/online/mirroring/0.1/IMirroringClientService/RowData',
  );
});

describe('a message is read', () => {
  const read = (body: string) => readRequest(Buffer.from(requestOf(body))).request;

  test('with elements missing, in another order, unknown, and with other prefixes', () => {
    assert.deepEqual(read('<m:WipeRequest/>'), { clientState: null, tableName: null });
    assert.deepEqual(
      read(
        '<WipeRequest xmlns="http://www.superoffice.com/online/mirroring/0.1"> <TableName>t</TableName><New><TableName>no</TableName> text</New><ClientState/></WipeRequest>',
      ),
      {
        clientState: '',
        tableName: 't',
      },
    );
    assert.deepEqual(
      read(
        '<m:RowDataRequest><m:DataBatches><d:RowDataBatch/><d:RowDataBatch i:nil="true"/></m:DataBatches></m:RowDataRequest>',
      ),
      {
        clientState: null,
        dataBatches: [1, 2].map(() => ({ data: [], lsn: 0n, tableInfo: { columns: [], tableName: null } })),
      },
    );
    assert.deepEqual(read('<m:TableSchemaRequest><m:Tables i:nil="true"/></m:TableSchemaRequest>'), {
      clientState: null,
      tables: [],
    });
  });

  test('with headers that only say where it goes', () => {
    const to = '<To s:mustUnderstand="1" xmlns="http://schemas.microsoft.com/ws/2005/05/addressing/none">x</To>';
    const message = envelope(`<s:Header>${to}<x:Trace xmlns:x="urn:t"><x:a/></x:Trace></s:Header>`, '<m:WipeRequest/>');
    assert.deepEqual(readRequest(Buffer.from(message)).signedToken, null);
  });
});

describe('a message is refused', () => {
  const refuses = (message: string, why: RegExp) => assert.throws(() => readRequest(Buffer.from(message)), why);
  const asBody = (body: string, why: RegExp) => refuses(requestOf(body), why);

  test('that is no envelope of SOAP 1.1', () => {
    refuses('<a/>', /no SOAP envelope/);
    const soap12 = requestOf('<m:WipeRequest/>').replace(
      'schemas.xmlsoap.org/soap/envelope',
      'www.w3.org/2003/05/soap-envelope',
    );
    assert.throws(() => readRequest(Buffer.from(soap12)), { name: 'SoapFault', code: 'VersionMismatch' });
    refuses(`<s:Envelope ${NAMESPACES}/>`, /body is empty/);
    refuses(`<s:Envelope ${NAMESPACES}><s:Body/></s:Envelope>`, /body is empty/);
    refuses(`<s:Envelope ${NAMESPACES}><s:Body/><s:Header/></s:Envelope>`, /Header is not where/);
    refuses(`<s:Envelope ${NAMESPACES}><m:Body/></s:Envelope>`, /no part of an envelope/);
    asBody('<m:WipeRequest/><m:WipeRequest/>', /more than one/);
    asBody('<m:DropRequest/>', /no message of the contract/);
    asBody('<d:WipeRequest/>', /no message of the contract/);
  });

  test('with a header that must be understood and is not', () => {
    const message = envelope(
      '<s:Header><x:Security xmlns:x="urn:s" s:mustUnderstand="1"/></s:Header>',
      '<m:WipeRequest/>',
    );
    assert.throws(() => readRequest(Buffer.from(message)), { name: 'SoapFault', code: 'MustUnderstand' });
    const twice = '<m:SignedToken>a</m:SignedToken><m:SignedToken>b</m:SignedToken>';
    refuses(envelope(`<s:Header>${twice}</s:Header>`, '<m:WipeRequest/>'), /twice/);
  });

  test('whose parts are of another namespace, there twice, or of another type', () => {
    asBody('<m:WipeRequest><d:TableName>t</d:TableName></m:WipeRequest>', /another namespace/);
    asBody('<m:WipeRequest><m:TableName>t</m:TableName><m:TableName>u</m:TableName></m:WipeRequest>', /twice/);
    asBody('<m:WipeRequest>t</m:WipeRequest>', /holds text/);
    const withLsn = (lsn: string) =>
      `<m:RowDataRequest><m:DataBatches><d:RowDataBatch><d:LSN>${lsn}</d:LSN></d:RowDataBatch></m:DataBatches></m:RowDataRequest>`;
    for (const lsn of ['1.5', 'x', '9223372036854775808', '0x10', '1'.repeat(30)]) asBody(withLsn(lsn), /another type/);
    asBody(
      '<m:RowDataRequest><m:DataBatches><m:RowDataBatch/></m:DataBatches></m:RowDataRequest>',
      /another namespace/,
    );
  });
});

test('a fault of the other side is an error with its words', () => {
  const fault = writeFault(new SoapFault('Client', 'no <such> thing'));
  assert.throws(() => readResponse('Wipe', Buffer.from(fault)), {
    code: 'CONTRACT_BROKEN',
    message: /no <such> thing/,
  });
});
