import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { createCallHandler, type TrustingCallHandler } from '../../src/client/call-handler.ts';
import type { CallName, CallRequest, Exchange } from '../../src/client/exchange.ts';
import type { Hooks } from '../../src/client/hooks.ts';
import { httpExchange } from '../../src/client/http/call.ts';
import { serveCalls } from '../../src/client/http/serve.ts';
import { createRemoteClient, type RemoteClientOptions } from '../../src/client/remote-client.ts';
import type { TenantMirrors } from '../../src/client/tenant-mirrors.ts';
import { createKeyPair, type KeyKind } from '../../src/client/trust/keys.ts';
import type { MirrorDatabase } from '../../src/database/mirror-database.ts';
import { openMirror, openSource, runtime } from '../../src/open.ts';
import type { MirrorClientService } from '../../src/task/contract.ts';
import { runTask } from '../../src/task/mirroring-task.ts';
import { PREFERENCES_DEFAULT } from '../../src/task/preferences.ts';
import type { CycleReport } from '../../src/task/report.ts';
import type { TestCertificate } from './certificate.ts';

export type Keys = { readonly secret: KeyObject; readonly open: KeyObject };

export function newKeys(kind: KeyKind = 'ed25519'): Keys {
  const { privatePem, publicPem } = createKeyPair(kind);
  return { secret: createPrivateKey(privatePem), open: createPublicKey(publicPem) };
}

/** One mirror database for whatever tenant calls. */
export const onlyMirror = (mirror: MirrorDatabase): TenantMirrors => ({
  use: (_tenant, _clientState, work) => work(mirror),
  async [Symbol.asyncDispose]() {},
});

export type PushOptions = {
  readonly tls?: TestCertificate;
  readonly compress?: boolean;
  readonly batchBytes?: number;
  readonly hooks?: Hooks;
};

/** A mirror that is served over HTTP(S) on loopback, and the task that pushes into it: each with keys of its own. */
export class PushedMirror implements AsyncDisposable {
  readonly source: string;
  readonly center: Keys = newKeys();
  readonly application: Keys = newKeys();
  readonly calls: { readonly call: CallName; readonly status: number }[] = [];
  readonly #options: PushOptions;
  readonly #opened: AsyncDisposableStack;
  #exchange: Exchange | null = null;

  private constructor(source: string, options: PushOptions, opened: AsyncDisposableStack) {
    this.source = source;
    this.#options = options;
    this.#opened = opened;
  }

  static async start(addresses: { source: string; mirror: string }, options: PushOptions = {}): Promise<PushedMirror> {
    await using opened = new AsyncDisposableStack();
    const mirror = opened.use(await openMirror(addresses.mirror, { tenant: 'acme' }));
    const pushed = new PushedMirror(addresses.source, options, opened.move());
    await pushed.#serve(mirror);
    return pushed;
  }

  async #serve(mirror: MirrorDatabase): Promise<void> {
    const { tls, hooks } = this.#options;
    const server = await serveCalls({
      listen: { host: '127.0.0.1', port: 0 },
      handler: this.#noted(mirror, hooks),
      callBytesMax: 64_000_000,
      clock: runtime.clock,
      tls,
    });
    this.#opened.use(server);
    this.#exchange = this.#opened.use(httpExchange({ url: server.url, ca: tls?.cert, clock: runtime.clock }));
  }

  #noted(mirror: MirrorDatabase, hooks: Hooks | undefined): TrustingCallHandler {
    const handler = createCallHandler({
      mirrors: onlyMirror(mirror),
      application: 'my-app',
      key: this.application.secret,
      trusted: [this.center.open],
      clock: runtime.clock,
      build: 'test',
      callBytesMax: 64_000_000,
      hooks,
    });
    const note = (call: CallName, status: number) => this.calls.push({ call, status });
    return Object.assign(
      async (request: CallRequest) => {
        const answer = await handler(request);
        note(request.call, answer.status);
        return answer;
      },
      {
        refusal: async (call: CallName, token: string) => {
          const answer = await handler.refusal(call, token);
          if (answer !== null) note(call, answer.status);
          return answer;
        },
      },
    );
  }

  get exchange(): Exchange {
    if (this.#exchange === null) throw new Error('not served');
    return this.#exchange;
  }

  client(overrides: Partial<RemoteClientOptions> = {}): MirrorClientService {
    return createRemoteClient({
      exchange: this.exchange,
      tenant: 'acme',
      application: 'my-app',
      signingKey: this.center.secret,
      clientPublicKey: this.application.open,
      clock: runtime.clock,
      compress: this.#options.compress,
      ...overrides,
    });
  }

  async cycle(client: MirrorClientService = this.client()): Promise<CycleReport> {
    await using source = await openSource(this.source);
    const { batchBytes = PREFERENCES_DEFAULT.batchBytes } = this.#options;
    const context = {
      ...runtime,
      source,
      client,
      tenant: 'acme',
      preferences: { ...PREFERENCES_DEFAULT, batchBytes },
      selection: { schemas: null },
      takeOver: false,
      emit: () => undefined,
      signal: new AbortController().signal,
    };
    return await runTask(context, { kind: 'once' });
  }

  /** The names of the calls in their order; row data one after another counts once. */
  callNames(): readonly CallName[] {
    const names = this.calls.map(({ call }) => call);
    return names.filter((name, at) => name !== 'row-data' || names[at - 1] !== 'row-data');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#opened.disposeAsync();
  }
}
