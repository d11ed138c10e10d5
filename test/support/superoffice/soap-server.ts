import { type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeJwt } from 'jose';
import * as soap from 'soap';

/** The contract as its owner published it. */
const WSDL = readFileSync(new URL('MirroringClientService.wsdl', import.meta.url), 'utf8');

/** How the library reads: numbers of 64 bits as text, elements that are nil as null, and white space as it is. */
const READING = { customDeserializer: { long: String }, handleNilAsNull: true };

export type Value = string | null;

export type Column = {
  readonly Name: string;
  readonly Type: string;
  readonly IsNullable: boolean;
  readonly DefaultValue: string;
};

export type Batch = {
  readonly table: string;
  readonly lsn: bigint;
  readonly rows: readonly { readonly operation: string; readonly values: readonly Value[] }[];
};

export type ReceivedCall = {
  readonly operation: string;
  readonly clientState: Value;
  readonly token: string;
  readonly soapAction: string;
  readonly bytes: number;
  /** What came, as the library read it. */
  readonly args: unknown;
  readonly batches: readonly Batch[];
};

type MirrorTable = { columns: string; readonly rows: Map<string, readonly Value[]>; lsn: bigint };

type Said = Readonly<Record<string, unknown>>;
type Interceptor = (operation: string, call: ReceivedCall) => Said | undefined;

/**
 * A mirror client made by a public SOAP library out of the published WSDL. It keeps rows as they came, by their first
 * column, and of positions nothing but the number.
 */
export class SoapServer implements AsyncDisposable {
  readonly calls: ReceivedCall[] = [];
  readonly tables = new Map<string, MirrorTable>();
  /** Answers in the place of the mirror when it answers anything. */
  intercept: Interceptor = () => undefined;
  /** The proof of the last answer to authenticate. */
  lastProof = '';
  /** What is added to the answer to authenticate. */
  authentication: Said = {};
  readonly #server = createServer();
  readonly #key: KeyObject;

  private constructor(key: KeyObject) {
    this.#key = key;
  }

  static async start(key: KeyObject): Promise<SoapServer> {
    const made = new SoapServer(key);
    await new Promise<void>((resolve) => made.#server.listen(0, '127.0.0.1', resolve));
    const operation =
      (name: string) =>
      (args: Said, reply: (answer: Said) => void, headers: Said, request: IncomingMessage): void =>
        reply(made.#take(name, { args, headers, request }));
    const names = ['Authenticate', 'TableSchema', 'RowData', 'Wipe', 'ReplicationCompleted'];
    const port = Object.fromEntries(names.map((name) => [name, operation(name)]));
    const services = { MirroringClientService: { BasicHttpsBinding_IMirroringClientService: port } };
    const options = { path: '/MirroringClientService.svc', services, xml: WSDL, ...READING };
    const listening: unknown = soap.listen(made.#server, options as unknown as soap.IServerOptions);
    (listening as { wsdl: soap.WSDL }).wsdl.options.preserveWhitespace = true;
    return made;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/MirroringClientService.svc`;
  }

  /** The names of the calls, in their order; those of the same name one after another count once. */
  get order(): readonly string[] {
    const names = this.calls.map(({ operation }) => operation);
    return names.filter((name, index) => name !== names[index - 1]);
  }

  of(operation: string): readonly ReceivedCall[] {
    return this.calls.filter((call) => call.operation === operation);
  }

  /** The rows of a table by their key, values as they were sent. */
  rows(table: string): Readonly<Record<string, readonly Value[]>> {
    return Object.fromEntries(this.tables.get(table)?.rows ?? []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #take(operation: string, { args, headers, request }: Taken): Said {
    const call: ReceivedCall = {
      operation,
      clientState: text(args['ClientState']),
      token: text(headers['SignedToken']) ?? '',
      soapAction: String(request.headers['soapaction']),
      bytes: Number(request.headers['content-length']),
      args,
      batches: batchesOf(args),
    };
    this.calls.push(call);
    return this.intercept(operation, call) ?? this.#answer(operation, args, call);
  }

  #answer(operation: string, args: Said, call: ReceivedCall): Said {
    switch (operation) {
      case 'Authenticate':
        return { ...this.#proof(call), ...this.authentication };
      case 'TableSchema':
        return { IsSuccessful: true, MirrorLSN: { 'q2:TableLSN': this.#adapt(args) } };
      case 'Wipe':
        this.#wipe(text(args['TableName']) ?? '');
        break;
      case 'RowData':
        for (const batch of call.batches) this.#store(batch);
        break;
    }
    return { IsSuccessful: true };
  }

  #proof({ token }: ReceivedCall): Said {
    const time = new Date().toISOString().replace(/\D/g, '').slice(0, 12);
    const signed = `${decodeJwt(token)['nonce']}.${time}`;
    const signature = sign('RSA-SHA256', Buffer.from(signed), this.#key).toString('base64');
    this.lastProof = `${signed}.${signature}`;
    return {
      IsSuccessful: true,
      SignedApplicationToken: this.lastProof,
      SupportedInterfaces: '1',
      SuperOfficeMirroringBuild: '4.0.0.0/Release_1',
      ClientState: 'state of the mirror',
    };
  }

  /** Tables that are gone are dropped; those that changed are made anew. The library must be told the namespace. */
  #adapt(args: Said): readonly Said[] {
    const sent = new Map(tablesOf(args).map(({ name, columns }) => [name, JSON.stringify(columns)]));
    for (const name of this.tables.keys()) if (!sent.has(name)) this.tables.delete(name);
    for (const [name, columns] of sent) {
      if (this.tables.get(name)?.columns !== columns) this.tables.set(name, { columns, rows: new Map(), lsn: -1n });
    }
    return [...this.tables].map(([name, { lsn }]) => ({ 'q2:LSN': String(lsn), 'q2:TableName': name }));
  }

  #wipe(name: string): void {
    const table = this.#table(name);
    table.rows.clear();
    table.lsn = -1n;
  }

  #store({ table: name, lsn, rows }: Batch): void {
    const table = this.#table(name);
    for (const { operation, values } of rows) {
      if (operation === 'D') table.rows.delete(values[0] ?? '');
      else table.rows.set(values[0] ?? '', values);
    }
    if (lsn > 0n) table.lsn = lsn;
  }

  #table(name: string): MirrorTable {
    const found = this.tables.get(name);
    if (found === undefined) throw new Error(`there is no table ${name}`);
    return found;
  }
}

type Taken = {
  readonly args: Said;
  readonly headers: Said;
  readonly request: IncomingMessage;
};

/** The library gives elements with attributes as objects, and single ones of a list without the list. */
const text = (value: unknown): Value => {
  if (value === null || value === undefined) return null;
  if (typeof value !== 'object') return String(value);
  return '$value' in value ? String(value.$value) : null;
};

const listOf = (value: unknown, name: string): readonly Said[] => {
  const found = (value as Said | null | undefined)?.[name];
  return found === undefined ? [] : Array.isArray(found) ? (found as Said[]) : [found as Said];
};

export const tablesOf = (args: unknown): readonly { readonly name: string; readonly columns: readonly Column[] }[] =>
  listOf((args as Said)['Tables'], 'TableSchemaInfo').map((table) => ({
    name: text(table['TableName']) ?? '',
    columns: listOf(table['Columns'], 'ColumnInfo').map((column) => ({
      Name: text(column['Name']) ?? '',
      Type: text(column['Type']) ?? '',
      IsNullable: column['IsNullable'] === true,
      DefaultValue: text(column['DefaultValue']) ?? '',
    })),
  }));

const batchesOf = (args: Said): readonly Batch[] =>
  listOf(args['DataBatches'], 'RowDataBatch').map((batch) => ({
    table: text((batch['TableInfo'] as Said)['TableName']) ?? '',
    lsn: BigInt(text(batch['LSN']) ?? '0'),
    rows: listOf(batch['Data'], 'RowData').map((row) => ({
      operation: text(row['Operation']) ?? '',
      values: listOf(row['ColumnValues'], 'string').map(text),
    })),
  }));
