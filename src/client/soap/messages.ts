import { SpeilError } from '../../core/error.ts';
import { EnvelopeReader, type SoapFault, writeEnvelope } from './envelope.ts';
import { bool, count, list, long, object, type Shape, type Sinks, text, writeElement } from './shape.ts';
import { notUnderstood } from './xml.ts';

/** Namespace of the service and of its messages. */
export const SERVICE_NAMESPACE = 'http://www.superoffice.com/online/mirroring/0.1';
/** Namespace of the types that messages hold. */
export const DATA_NAMESPACE = 'http://schemas.datacontract.org/2004/07/SuperOffice.Online.Mirroring.Contract.V1';
export const ARRAYS_NAMESPACE = 'http://schemas.microsoft.com/2003/10/Serialization/Arrays';
/** The service's interface as its actions spell it. */
export const SERVICE_INTERFACE = 'IMirroringClientService';

/** The LSN that says: this table holds nothing that counts, send every row. */
export const NO_LSN = -1n;

/** Names and values as the contract has them; null for an element that is missing or nil. */
export type ColumnInfo = {
  /** `default (…)` in SQL Server's words; empty or null for none. */
  readonly defaultValue: string | null;
  readonly isNullable: boolean;
  readonly name: string | null;
  /** A type in SQL Server's words: `nvarchar(40)`. */
  readonly type: string | null;
};

export type TableSchemaInfo = { readonly columns: readonly ColumnInfo[]; readonly tableName: string | null };

export type TableLsn = { readonly lsn: bigint; readonly tableName: string | null };

export type RowData = {
  /** By position, as the columns of the batch. */
  readonly columnValues: readonly (string | null)[];
  /** `I`, `U` or `D`. */
  readonly operation: string | null;
};

export type RowDataBatch = {
  readonly data: readonly RowData[];
  /** 0 when there is none. */
  readonly lsn: bigint;
  readonly tableInfo: TableSchemaInfo;
};

export type ReplicationSummary = {
  readonly deletes: number;
  readonly inserts: number;
  readonly tableName: string | null;
  readonly updates: number;
};

type Stated = { readonly clientState: string | null };
type Outcome = { readonly isSuccessful: boolean; readonly errorMessage: string | null };

/** What each operation is asked. */
export type Requests = {
  readonly Authenticate: Stated;
  readonly TableSchema: Stated & { readonly tables: readonly TableSchemaInfo[] };
  readonly RowData: Stated & { readonly dataBatches: readonly RowDataBatch[] };
  readonly Wipe: Stated & { readonly tableName: string | null };
  readonly ReplicationCompleted: Stated & { readonly changedTables: readonly ReplicationSummary[] };
};

/** What each operation answers. */
export type Responses = {
  readonly Authenticate: Outcome & {
    readonly signedApplicationToken: string | null;
    readonly supportedInterfaces: string | null;
    readonly superOfficeMirroringBuild: string | null;
    readonly clientState: string | null;
    readonly additionalInformationJson: string | null;
  };
  readonly TableSchema: Outcome & { readonly mirrorLsn: readonly TableLsn[] };
  readonly RowData: Outcome;
  readonly Wipe: Outcome;
  readonly ReplicationCompleted: Outcome;
};

export type Operation = keyof Requests;

export const OPERATIONS = [
  'Authenticate',
  'TableSchema',
  'RowData',
  'Wipe',
  'ReplicationCompleted',
] as const satisfies readonly Operation[];

/** The SOAPAction of an operation, without quotes. */
export const soapAction = (operation: Operation): string => `${SERVICE_NAMESPACE}/${SERVICE_INTERFACE}/${operation}`;

const columnInfo = object<ColumnInfo>(DATA_NAMESPACE, {
  defaultValue: ['DefaultValue', text],
  isNullable: ['IsNullable', bool],
  name: ['Name', text],
  type: ['Type', text],
});

const tableSchemaInfo = object<TableSchemaInfo>(DATA_NAMESPACE, {
  columns: ['Columns', list(DATA_NAMESPACE, 'ColumnInfo', columnInfo)],
  tableName: ['TableName', text],
});

const tableLsn = object<TableLsn>(DATA_NAMESPACE, { lsn: ['LSN', long], tableName: ['TableName', text] });

const rowData = object<RowData>(DATA_NAMESPACE, {
  columnValues: ['ColumnValues', list(ARRAYS_NAMESPACE, 'string', text)],
  operation: ['Operation', text],
});

/** Sinks of the parts of a `RowData` request that may be too large to be collected. */
export const ROW_SINK = 'rows';
export const BATCH_SINK = 'batches';

const rowDataBatch = object<RowDataBatch>(DATA_NAMESPACE, {
  data: ['Data', list(DATA_NAMESPACE, 'RowData', rowData, ROW_SINK)],
  lsn: ['LSN', long],
  tableInfo: ['TableInfo', tableSchemaInfo],
});

const replicationSummary = object<ReplicationSummary>(DATA_NAMESPACE, {
  deletes: ['Deletes', count],
  inserts: ['Inserts', count],
  tableName: ['TableName', text],
  updates: ['Updates', count],
});

const clientState = ['ClientState', text] as const;
const outcome = { isSuccessful: ['IsSuccessful', bool], errorMessage: ['ErrorMessage', text] } as const;

const REQUESTS: { readonly [O in Operation]: Shape<Requests[O]> } = {
  Authenticate: object<Requests['Authenticate']>(SERVICE_NAMESPACE, { clientState }),
  TableSchema: object<Requests['TableSchema']>(SERVICE_NAMESPACE, {
    clientState,
    tables: ['Tables', list(DATA_NAMESPACE, 'TableSchemaInfo', tableSchemaInfo)],
  }),
  RowData: object<Requests['RowData']>(SERVICE_NAMESPACE, {
    clientState,
    dataBatches: ['DataBatches', list(DATA_NAMESPACE, 'RowDataBatch', rowDataBatch, BATCH_SINK)],
  }),
  Wipe: object<Requests['Wipe']>(SERVICE_NAMESPACE, { clientState, tableName: ['TableName', text] }),
  ReplicationCompleted: object<Requests['ReplicationCompleted']>(SERVICE_NAMESPACE, {
    clientState,
    changedTables: ['ChangedTables', list(DATA_NAMESPACE, 'ReplicationSummary', replicationSummary)],
  }),
};

const RESPONSES: { readonly [O in Operation]: Shape<Responses[O]> } = {
  Authenticate: object<Responses['Authenticate']>(SERVICE_NAMESPACE, {
    ...outcome,
    signedApplicationToken: ['SignedApplicationToken', text],
    supportedInterfaces: ['SupportedInterfaces', text],
    superOfficeMirroringBuild: ['SuperOfficeMirroringBuild', text],
    clientState,
    additionalInformationJson: ['AdditionalInformationJson', text],
  }),
  TableSchema: object<Responses['TableSchema']>(SERVICE_NAMESPACE, {
    ...outcome,
    mirrorLsn: ['MirrorLSN', list(DATA_NAMESPACE, 'TableLSN', tableLsn)],
  }),
  RowData: object<Responses['RowData']>(SERVICE_NAMESPACE, outcome),
  Wipe: object<Responses['Wipe']>(SERVICE_NAMESPACE, outcome),
  ReplicationCompleted: object<Responses['ReplicationCompleted']>(SERVICE_NAMESPACE, outcome),
};

const PREFIXES: ReadonlyMap<string, string> = new Map([
  [SERVICE_NAMESPACE, 'm'],
  [DATA_NAMESPACE, 'd'],
  [ARRAYS_NAMESPACE, 'a'],
]);

/** The envelope of a call, with its token in the header; UTF-8 when it is sent. */
export const writeRequest = <O extends Operation>(operation: O, request: Requests[O], signedToken: string): string =>
  writeEnvelope(
    PREFIXES,
    signedToken,
    writeElement<Requests[O]>(`m:${operation}Request`, REQUESTS[operation], request, PREFIXES),
  );

/** The envelope of an answer. */
export const writeResponse = <O extends Operation>(operation: O, response: Responses[O]): string =>
  writeEnvelope(
    PREFIXES,
    null,
    writeElement<Responses[O]>(`m:${operation}Response`, RESPONSES[operation], response, PREFIXES),
  );

/** The element of a request, and what it is read as. */
export const operationOfElement = (name: string): Operation | undefined =>
  OPERATIONS.find((operation) => name === `${operation}Request`);

/** Reads a request as it comes in. The rows and batches of a `RowData` go to the sinks, where there are any. */
export const requestReader = (sinks: Sinks): EnvelopeReader =>
  new EnvelopeReader({
    token: { namespace: SERVICE_NAMESPACE, name: 'SignedToken' },
    bodies: new Map(OPERATIONS.map((operation) => [`${operation}Request`, REQUESTS[operation]])),
    namespace: SERVICE_NAMESPACE,
    sinks,
  });

export type ReadRequest = {
  readonly [O in Operation]: {
    readonly operation: O;
    readonly request: Requests[O];
    readonly signedToken: string | null;
  };
}[Operation];

/** Reads a whole request. Throws `CONTRACT_BROKEN` or a `SoapFault`. */
export function readRequest(body: Uint8Array): ReadRequest {
  const reader = requestReader({});
  reader.write(body);
  const { name, value } = reader.end();
  const operation = operationOfElement(name);
  if (operation === undefined) throw notUnderstood(`${name} is no operation`);
  return { operation, request: value, signedToken: reader.token } as ReadRequest;
}

/** Larger than the answer for any number of tables that a database has. */
const RESPONSE_BYTES_MAX = 64 * 1024 * 1024;

/** Reads a whole answer. Throws `CONTRACT_BROKEN`, also with the words of a SOAP fault. */
export function readResponse<O extends Operation>(operation: O, body: Uint8Array): Responses[O] {
  if (body.length > RESPONSE_BYTES_MAX) throw notUnderstood('it is too large for an answer');
  const reader = new EnvelopeReader({
    token: null,
    bodies: new Map([[`${operation}Response`, RESPONSES[operation]]]),
    namespace: SERVICE_NAMESPACE,
    sinks: {},
  });
  reader.write(body);
  const { fault, value } = reader.end();
  if (fault !== null) throw faultAsError(fault);
  return value as Responses[O];
}

const faultAsError = ({ message }: SoapFault): SpeilError =>
  new SpeilError('CONTRACT_BROKEN', `the other side answered with a SOAP fault: ${message}`, {
    hint: 'Look at the log of the other side.',
    recovery: 'retry',
  });
