import {
  ARRAYS_NAMESPACE,
  DATA_NAMESPACE,
  OPERATIONS,
  SERVICE_INTERFACE,
  SERVICE_NAMESPACE,
  soapAction,
} from './messages.ts';
import { escapeAttribute } from './xml.ts';

const SERVICE = 'MirroringClientService';

type Element = readonly [name: string, type: string, ...flags: readonly ('list' | 'plain')[]];

/** Elements of the types that messages hold; those that are not `plain` may be nil. */
const DATA_TYPES: Readonly<Record<string, readonly Element[]>> = {
  ArrayOfTableSchemaInfo: [['TableSchemaInfo', 'd:TableSchemaInfo', 'list']],
  TableSchemaInfo: [
    ['Columns', 'd:ArrayOfColumnInfo'],
    ['TableName', 'xs:string'],
  ],
  ArrayOfColumnInfo: [['ColumnInfo', 'd:ColumnInfo', 'list']],
  ColumnInfo: [
    ['DefaultValue', 'xs:string'],
    ['IsNullable', 'xs:boolean', 'plain'],
    ['Name', 'xs:string'],
    ['Type', 'xs:string'],
  ],
  ArrayOfTableLSN: [['TableLSN', 'd:TableLSN', 'list']],
  TableLSN: [
    ['LSN', 'xs:long', 'plain'],
    ['TableName', 'xs:string'],
  ],
  ArrayOfRowDataBatch: [['RowDataBatch', 'd:RowDataBatch', 'list']],
  RowDataBatch: [
    ['Data', 'd:ArrayOfRowData'],
    ['LSN', 'xs:long', 'plain'],
    ['TableInfo', 'd:TableSchemaInfo'],
  ],
  ArrayOfRowData: [['RowData', 'd:RowData', 'list']],
  RowData: [
    ['ColumnValues', 'a:ArrayOfstring'],
    ['Operation', 'xs:string'],
  ],
  ArrayOfReplicationSummary: [['ReplicationSummary', 'd:ReplicationSummary', 'list']],
  ReplicationSummary: [
    ['Deletes', 'xs:int', 'plain'],
    ['Inserts', 'xs:int', 'plain'],
    ['TableName', 'xs:string'],
    ['Updates', 'xs:int', 'plain'],
  ],
};

const CLIENT_STATE: Element = ['ClientState', 'xs:string'];
const OUTCOME: readonly Element[] = [
  ['IsSuccessful', 'xs:boolean', 'plain'],
  ['ErrorMessage', 'xs:string'],
];

const MESSAGES: Readonly<Record<string, readonly Element[]>> = {
  AuthenticateRequest: [CLIENT_STATE],
  AuthenticateResponse: [
    ...OUTCOME,
    ['SignedApplicationToken', 'xs:string'],
    ['SupportedInterfaces', 'xs:string'],
    ['SuperOfficeMirroringBuild', 'xs:string'],
    CLIENT_STATE,
    ['AdditionalInformationJson', 'xs:string'],
  ],
  TableSchemaRequest: [CLIENT_STATE, ['Tables', 'd:ArrayOfTableSchemaInfo']],
  TableSchemaResponse: [...OUTCOME, ['MirrorLSN', 'd:ArrayOfTableLSN']],
  RowDataRequest: [CLIENT_STATE, ['DataBatches', 'd:ArrayOfRowDataBatch']],
  RowDataResponse: OUTCOME,
  WipeRequest: [CLIENT_STATE, ['TableName', 'xs:string']],
  WipeResponse: OUTCOME,
  ReplicationCompletedRequest: [CLIENT_STATE, ['ChangedTables', 'd:ArrayOfReplicationSummary']],
  ReplicationCompletedResponse: OUTCOME,
};

function elementXml([name, type, ...flags]: Element): string {
  const many = flags.includes('list') ? ' maxOccurs="unbounded"' : '';
  const nil = flags.includes('plain') ? '' : ' nillable="true"';
  return `<xs:element minOccurs="0"${many} name="${name}"${nil} type="${type}"/>`;
}

const sequenceXml = (elements: readonly Element[]): string =>
  `<xs:sequence>${elements.map(elementXml).join('')}</xs:sequence>`;

const typeXml = (prefix: string, name: string, elements: readonly Element[]): string =>
  `<xs:complexType name="${name}">${sequenceXml(elements)}</xs:complexType>` +
  `<xs:element name="${name}" nillable="true" type="${prefix}:${name}"/>`;

const schemaXml = (namespace: string, imported: string | null, content: string): string =>
  `<xs:schema elementFormDefault="qualified" targetNamespace="${namespace}">` +
  `${imported === null ? '' : `<xs:import namespace="${imported}"/>`}${content}</xs:schema>`;

function typesXml(): string {
  const messages = Object.entries(MESSAGES).map(
    ([name, elements]) =>
      `<xs:element name="${name}"><xs:complexType>${sequenceXml(elements)}</xs:complexType></xs:element>`,
  );
  const token = '<xs:element name="SignedToken" nillable="true" type="xs:string"/>';
  const data = Object.entries(DATA_TYPES).map(([name, elements]) => typeXml('d', name, elements));
  return [
    schemaXml(SERVICE_NAMESPACE, DATA_NAMESPACE, messages.join('') + token),
    schemaXml(DATA_NAMESPACE, ARRAYS_NAMESPACE, data.join('')),
    schemaXml(ARRAYS_NAMESPACE, null, typeXml('a', 'ArrayOfstring', [['string', 'xs:string', 'list']])),
  ].join('');
}

const messageXml = (name: string, part: string, element: string): string =>
  `<wsdl:message name="${name}"><wsdl:part name="${part}" element="tns:${element}"/></wsdl:message>`;

const messagesXml = (): string =>
  OPERATIONS.map(
    (name) =>
      messageXml(`${name}Request`, 'parameters', `${name}Request`) +
      messageXml(`${name}Request_Headers`, 'SignedToken', 'SignedToken') +
      messageXml(`${name}Response`, 'parameters', `${name}Response`),
  ).join('');

function portTypeXml(): string {
  const operations = OPERATIONS.map((name) => {
    const side = (kind: 'input' | 'output', message: string, action: string) =>
      `<wsdl:${kind} wsaw:Action="${action}" name="${message}" message="tns:${message}"/>`;
    const input = side('input', `${name}Request`, soapAction(name));
    const output = side('output', `${name}Response`, `${soapAction(name)}Response`);
    return `<wsdl:operation name="${name}">${input}${output}</wsdl:operation>`;
  });
  return `<wsdl:portType name="${SERVICE_INTERFACE}">${operations.join('')}</wsdl:portType>`;
}

function bindingXml(binding: string): string {
  const operations = OPERATIONS.map((name) => {
    const header = `<soap:header message="tns:${name}Request_Headers" part="SignedToken" use="literal"/>`;
    return (
      `<wsdl:operation name="${name}"><soap:operation soapAction="${soapAction(name)}" style="document"/>` +
      `<wsdl:input name="${name}Request">${header}<soap:body use="literal"/></wsdl:input>` +
      `<wsdl:output name="${name}Response"><soap:body use="literal"/></wsdl:output></wsdl:operation>`
    );
  });
  const transport = '<soap:binding transport="http://schemas.xmlsoap.org/soap/http"/>';
  return `<wsdl:binding name="${binding}" type="tns:${SERVICE_INTERFACE}">${transport}${operations.join('')}</wsdl:binding>`;
}

/** The contract, with the address under which this service was asked for it. */
export function wsdl(address: string): string {
  const kind = address.startsWith('https:') ? 'BasicHttpsBinding' : 'BasicHttpBinding';
  const binding = `${kind}_${SERVICE_INTERFACE}`;
  const namespaces = Object.entries({
    wsdl: 'http://schemas.xmlsoap.org/wsdl/',
    soap: 'http://schemas.xmlsoap.org/wsdl/soap/',
    wsaw: 'http://www.w3.org/2006/05/addressing/wsdl',
    xs: 'http://www.w3.org/2001/XMLSchema',
    tns: SERVICE_NAMESPACE,
    d: DATA_NAMESPACE,
    a: ARRAYS_NAMESPACE,
  }).map(([prefix, namespace]) => ` xmlns:${prefix}="${namespace}"`);
  const port = `<wsdl:port name="${binding}" binding="tns:${binding}"><soap:address location="${escapeAttribute(address)}"/></wsdl:port>`;
  return (
    `<?xml version="1.0" encoding="utf-8"?><wsdl:definitions name="${SERVICE}" targetNamespace="${SERVICE_NAMESPACE}"${namespaces.join('')}>` +
    `<wsdl:types>${typesXml()}</wsdl:types>${messagesXml()}${portTypeXml()}${bindingXml(binding)}` +
    `<wsdl:service name="${SERVICE}">${port}</wsdl:service></wsdl:definitions>`
  );
}
