import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { HookContext, Hooks, NoticeKind } from '../../src/client/hooks.ts';
import {
  type ColumnInfo,
  type Operation,
  type Requests,
  type Responses,
  type RowData,
  type RowDataBatch,
  readResponse,
  soapAction,
  type TableSchemaInfo,
  writeRequest,
} from '../../src/client/soap/messages.ts';
import { createSoapReceiver, type SoapReceiverOptions } from '../../src/client/soap/receiver.ts';
import { rsaSigningKey } from '../../src/client/soap/rsa-keys.ts';
import { signSignedToken } from '../../src/client/soap/signed-token.ts';
import type { TenantMirrors } from '../../src/client/tenant-mirrors.ts';
import { createTenantMirrors } from '../../src/client/tenants/create.ts';
import type { Clock } from '../../src/core/clock.ts';
import { openMirror, provisionMirror, runtime, thisProcess } from '../../src/open.ts';
import { close as closeClient, connect } from './postgres-client.ts';
import type { PostgresServer } from './postgres-server.ts';

export const APPLICATION = 'f00d4a11';
export const TENANT = 'Cust4711';

const newKey = () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
/** Of the vendor's cloud, and of the application. */
export const VENDOR_KEY = newKey();
export const APPLICATION_KEY = newKey();

export type SoapServiceOptions = Partial<Pick<SoapReceiverOptions, 'callBytesMax'>> & {
  readonly hooks?: Hooks;
  readonly clock?: Clock;
  readonly application?: string;
  readonly trusted?: readonly KeyObject[];
  /** Connections on which nothing is heard for so long are cut by the server. */
  readonly silenceMs?: number;
  /** Stands between the receiver and the mirrors. */
  readonly around?: (mirrors: TenantMirrors) => TenantMirrors;
};

export type Notice = { readonly tenant: string; readonly kind: NoticeKind; readonly message: string };

export type HttpAnswer = { readonly status: number; readonly type: string; readonly body: Buffer };

/** A receiver of the contract on loopback, with mirrors of one kind, and a task's side that calls it. */
export class SoapService implements AsyncDisposable {
  notices: readonly Notice[] = [];
  readonly url: string;
  readonly clock: Clock;
  readonly #server: Server;
  readonly #parts: AsyncDisposableStack;

  readonly place: MirrorPlace;

  private constructor(server: Server, place: MirrorPlace, parts: AsyncDisposableStack, clock: Clock) {
    this.#server = server;
    this.#parts = parts;
    this.place = place;
    this.clock = clock;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/MirroringClientService.svc`;
  }

  static async start(place: MirrorPlace, options: SoapServiceOptions = {}): Promise<SoapService> {
    await using parts = new AsyncDisposableStack();
    parts.use(place);
    const { clock = runtime.clock, hooks, around = (mirrors: TenantMirrors) => mirrors } = options;
    const notices: Notice[] = [];
    const mirrors = parts.use(
      createTenantMirrors({
        template: place.template,
        open: openMirror,
        provision: provisionMirror,
        holder: thisProcess,
        clock: runtime.clock,
        resolveMirror: hooks?.resolveMirror,
      }),
    );
    const receive = createSoapReceiver({
      mirrors: around(mirrors),
      application: options.application ?? APPLICATION,
      key: APPLICATION_KEY,
      trusted: options.trusted ?? [createPublicKey(VENDOR_KEY)],
      clock,
      build: '1.2.3',
      hooks,
      callBytesMax: options.callBytesMax,
      onEvent: ({ tenant }: HookContext, kind, message) => void notices.push({ tenant, kind, message }),
    });
    const server = createServer((request, response) => {
      if (!receive(request, response)) response.writeHead(404).end();
    });
    server.timeout = options.silenceMs ?? 0;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    parts.defer(async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    const service = new SoapService(server, place, parts.move(), clock);
    service.notices = notices;
    return service;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }

  get isListening(): boolean {
    return this.#server.listening;
  }

  async token(tenant = TENANT, more: Partial<Parameters<typeof signSignedToken>[0]> = {}): Promise<string> {
    const key = rsaSigningKey(VENDOR_KEY, null);
    const request = { key, tenant, application: APPLICATION, nowMs: this.clock.now(), ...more };
    return (await signSignedToken(request)).token;
  }

  /** One call as a task makes it. */
  async call<O extends Operation>(operation: O, request: Requests[O], tenant = TENANT): Promise<Responses[O]> {
    const body = writeRequest(operation, request, await this.token(tenant));
    const answer = await this.post(body, { soapaction: `"${soapAction(operation)}"` });
    if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.body}`);
    return readResponse(operation, answer.body);
  }

  schema(...tables: readonly TableSchemaInfo[]): Promise<Responses['TableSchema']> {
    return this.call('TableSchema', { clientState: null, tables });
  }

  rows(...dataBatches: readonly RowDataBatch[]): Promise<Responses['RowData']> {
    return this.call('RowData', { clientState: null, dataBatches });
  }

  query: MirrorPlace['query'] = (sql, tenant) => this.place.query(sql, tenant);

  /** What the metadata table holds. */
  async lsns(tenant = TENANT): Promise<readonly (readonly [unknown, number])[]> {
    const rows = await this.query(`SELECT table_name, lsn FROM "${tenant}_mirroring" ORDER BY table_name`, tenant);
    return rows.map((row) => [row['table_name'], Number(row['lsn'])]);
  }

  post(
    body: string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<HttpAnswer> {
    return this.send('POST', this.url, { 'content-type': 'text/xml; charset=utf-8', ...headers }, body);
  }

  async send(
    method: string,
    url: string,
    headers: Readonly<Record<string, string>> = {},
    body: string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array> = '',
  ): Promise<HttpAnswer> {
    const request = httpRequest(url, { method, headers });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.on('response', resolve);
      request.on('error', reject);
    });
    answered.catch(() => undefined);
    if (typeof body === 'string' || body instanceof Uint8Array) request.end(body);
    else await pour(body, request, answered);
    const response = await answered;
    const pieces: Buffer[] = [];
    for await (const piece of response) pieces.push(piece);
    return {
      status: response.statusCode ?? 0,
      type: String(response.headers['content-type']),
      body: Buffer.concat(pieces),
    };
  }
}

async function pour(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  request: ReturnType<typeof httpRequest>,
  answered: Promise<unknown>,
): Promise<void> {
  let isOver = false;
  answered.then(
    () => (isOver = true),
    () => (isOver = true),
  );
  for await (const piece of pieces) {
    if (isOver) return;
    if (!request.write(piece)) await Promise.race([new Promise((resolve) => request.once('drain', resolve)), answered]);
  }
  request.end();
}

/** Where mirrors are, and how a test looks into them. */
export type MirrorPlace = AsyncDisposable & {
  readonly kind: 'sqlite' | 'postgres';
  readonly template: string;
  /** Rows as the database prints them. */
  readonly query: (sql: string, tenant?: string) => Promise<readonly Readonly<Record<string, unknown>>[]>;
};

export async function sqlitePlace(): Promise<MirrorPlace> {
  const folder = await mkdtemp(join(tmpdir(), 'speil-soap-'));
  const pathOf = (tenant: string) => join(folder, `${tenant}.db`);
  return {
    kind: 'sqlite',
    template: `sqlite:${join(folder, '{tenant}.db')}`,
    query: async (sql, tenant = TENANT) => {
      using database = new DatabaseSync(pathOf(tenant), { timeout: 5000 });
      return database.prepare(sql).all() as Readonly<Record<string, unknown>>[];
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

let places = 0;

export async function postgresPlace(server: PostgresServer): Promise<MirrorPlace> {
  const prefix = `soap_${++places}_`;
  const urlOf = (tenant: string) => server.url(`${prefix}${tenant}`);
  return {
    kind: 'postgres',
    template: urlOf('TENANT').replace('TENANT', '{tenant}'),
    query: async (sql, tenant = TENANT) => {
      const client = await connect(urlOf(tenant));
      try {
        return (await client.query(sql)).rows as Readonly<Record<string, unknown>>[];
      } finally {
        await closeClient(client);
      }
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

export const columnInfo = (name: string, type: string, more: Partial<ColumnInfo> = {}): ColumnInfo => ({
  name,
  type,
  isNullable: true,
  defaultValue: null,
  ...more,
});

export const KEY: ColumnInfo = columnInfo('contact_id', 'int', { isNullable: false });

export const tableInfo = (tableName: string, ...columns: readonly ColumnInfo[]): TableSchemaInfo => ({
  tableName,
  columns: [KEY, ...columns],
});

export const insert = (...columnValues: readonly (string | null)[]): RowData => ({ operation: 'I', columnValues });
export const update = (...columnValues: readonly (string | null)[]): RowData => ({ operation: 'U', columnValues });
export const remove = (...columnValues: readonly (string | null)[]): RowData => ({ operation: 'D', columnValues });

export const batch = (info: TableSchemaInfo, lsn: bigint, ...data: readonly RowData[]): RowDataBatch => ({
  tableInfo: info,
  lsn,
  data,
});

export const STATED = { clientState: null } as const;
