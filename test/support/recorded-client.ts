import { createCallHandler, errorAnswer, type TrustingCallHandler } from '../../src/client/call-handler.ts';
import type { CallHandler, CallName } from '../../src/client/exchange.ts';
import type { Hooks } from '../../src/client/hooks.ts';
import { serveCalls } from '../../src/client/http/serve.ts';
import type { Operation } from '../../src/client/soap/messages.ts';
import { createSoapReceiver, type SoapReceiver } from '../../src/client/soap/receiver.ts';
import { readRsaPublicKey } from '../../src/client/soap/rsa-keys.ts';
import type { TenantMirrors } from '../../src/client/tenant-mirrors.ts';
import { createTenantMirrors } from '../../src/client/tenants/create.ts';
import { createKeyPair, readPrivateKey, readPublicKey } from '../../src/client/trust/keys.ts';
import { SpeilError } from '../../src/core/error.ts';
import { TableName } from '../../src/core/table.ts';
import { openMirror, provisionMirror, runtime, thisProcess } from '../../src/open.ts';
import type { ClientTransport } from '../../src/operation-center/model.ts';
import { TestDialler } from './dialled.ts';

export type TransportKind = ClientTransport['kind'];

/** Where the center is, and what its clients trust. */
export type CenterPlace = {
  readonly url: string;
  /** PEM. */
  readonly publicKey: string;
  readonly rsaPublicKey: string;
};

const CALL_BYTES_MAX = 10_000_000;

const CALL_OF: Readonly<Record<Operation, CallName>> = {
  Authenticate: 'authenticate',
  TableSchema: 'table-schema',
  Wipe: 'wipe',
  RowData: 'row-data',
  ReplicationCompleted: 'replication-completed',
};

/** A mirror client of one transport, with an application and keys of its own, that notes every call that reaches it. */
export class RecordedClient implements AsyncDisposable {
  readonly kind: TransportKind;
  readonly application: string;
  /** PEM; what the center is to have of this client. */
  readonly publicKey: string;
  readonly folder: string;
  /** In the order in which they were answered, also calls that were not trusted. */
  readonly calls: { readonly call: CallName; readonly tenant: string | null }[] = [];
  /** Tables that a call of schemas made to fit, and the call that was answered last before. */
  readonly adapted: { readonly table: string; readonly after: CallName | undefined }[] = [];
  /** While on, the client's disk is full from the schemas on. */
  isFull = false;
  dialler: TestDialler | null = null;
  #url = '';
  readonly #keys: ReturnType<typeof createKeyPair>;
  readonly #center: CenterPlace;
  readonly #parts = new AsyncDisposableStack();
  readonly #mirrors: TenantMirrors;

  private constructor(kind: TransportKind, application: string, folder: string, center: CenterPlace) {
    this.kind = kind;
    this.application = application;
    this.#keys = createKeyPair(keyKindOf(kind));
    this.publicKey = this.#keys.publicPem;
    this.folder = folder;
    this.#center = center;
    this.#mirrors = this.#failing(this.#parts.use(openMirrors(`sqlite:${folder}/${application}-{tenant}.db`)));
  }

  static async start(kind: TransportKind, folder: string, center: CenterPlace): Promise<RecordedClient> {
    const client = new RecordedClient(kind, `app-${kind}`, folder, center);
    if (kind === 'dialled') await client.dial();
    else await client.#serve();
    return client;
  }

  get transport(): ClientTransport {
    const { kind } = this;
    if (kind === 'dialled') return { kind };
    return { kind, url: kind === 'soap' ? `${this.#url}/MirroringClientService.svc` : this.#url };
  }

  mirror(tenant: string): string {
    return `sqlite:${this.folder}/${this.application}-${tenant}.db`;
  }

  /**
   * Dials, again when it did before; it is connected only once the center knows its key. `answerKey` (PEM) is another than
   * the one with which it dials.
   */
  async dial(answerKey: string = this.#keys.privatePem): Promise<void> {
    await this.dialler?.stop();
    const { application } = this;
    this.dialler = this.#parts.use(
      new TestDialler({
        ...{ application, centerUrl: this.#center.url, handler: this.#handler(answerKey) },
        key: readPrivateKey(this.#keys.privatePem),
        trusted: [readPublicKey(this.#center.publicKey)],
      }),
    );
  }

  /** The names of the calls for a tenant since they were asked for last; row data one after another counts once. */
  takeCalls(tenant: string): readonly CallName[] {
    const names = this.calls.splice(0).flatMap((noted) => (noted.tenant === tenant ? [noted.call] : []));
    return names.filter((name, at) => name !== 'row-data' || names[at - 1] !== 'row-data');
  }

  async #serve(): Promise<void> {
    const listen = { host: '127.0.0.1', port: 0 };
    const { clock } = runtime;
    const what = this.kind === 'soap' ? { extra: this.#receiver(), handler: noCalls } : { handler: this.#handler() };
    this.#url = this.#parts.use(await serveCalls({ listen, clock, callBytesMax: CALL_BYTES_MAX, ...what })).url;
  }

  #receiver(): SoapReceiver {
    return createSoapReceiver({
      ...this.#shared(),
      key: readPrivateKey(this.#keys.privatePem, 'rsa'),
      trusted: [readRsaPublicKey(this.#center.rsaPublicKey)],
      log: ({ operation, tenant }) => {
        if (operation !== null) this.#note({ call: CALL_OF[operation], tenant });
      },
    });
  }

  #handler(privatePem: string = this.#keys.privatePem): TrustingCallHandler {
    return createCallHandler({
      ...this.#shared(),
      key: readPrivateKey(privatePem),
      trusted: [readPublicKey(this.#center.publicKey)],
      callBytesMax: CALL_BYTES_MAX,
      log: (entry) => this.#note(entry),
    });
  }

  #shared() {
    const onBeforeTable: Hooks['onBeforeTable'] = (table) => {
      this.adapted.push({ table: TableName.toText(table), after: this.calls.at(-1)?.call });
    };
    const { application } = this;
    return { mirrors: this.#mirrors, application, clock: runtime.clock, build: 'test', hooks: { onBeforeTable } };
  }

  #note({ call, tenant }: { readonly call: CallName; readonly tenant: string | null }): void {
    this.calls.push({ call, tenant });
  }

  #failing(mirrors: TenantMirrors): TenantMirrors {
    const hasSchemas = () => ['table-schema', 'wipe', 'row-data'].includes(this.calls.at(-1)?.call ?? '');
    return {
      use: async (tenant, clientState, work) => {
        if (this.isFull && hasSchemas()) throw new SpeilError('DISK_FULL', 'the disk of the mirror is full');
        return await mirrors.use(tenant, clientState, work);
      },
      [Symbol.asyncDispose]: () => mirrors[Symbol.asyncDispose](),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

const keyKindOf = (kind: TransportKind) => (kind === 'soap' ? 'rsa' : 'ed25519');

const noCalls: CallHandler = async () => errorAnswer(new SpeilError('TRUST_REFUSED', 'only SOAP is spoken here'));

const openMirrors = (template: string): TenantMirrors =>
  createTenantMirrors({
    template,
    open: openMirror,
    provision: provisionMirror,
    holder: thisProcess,
    clock: runtime.clock,
  });
