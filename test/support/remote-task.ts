import { createCallHandler } from '../../src/client/call-handler.ts';
import type { CallHandler, CallName, Exchange } from '../../src/client/exchange.ts';
import { httpExchange } from '../../src/client/http/call.ts';
import { serveCalls } from '../../src/client/http/serve.ts';
import { createRemoteClient, type RemoteClientOptions } from '../../src/client/remote-client.ts';
import { createTenantMirrors } from '../../src/client/tenants/create.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { SourceDatabase } from '../../src/database/source-database.ts';
import { openMirror, openSource, provisionMirror, thisProcess } from '../../src/open.ts';
import { systemClock } from '../../src/runtime/system-clock.ts';
import { systemRandom } from '../../src/runtime/system-random.ts';
import { runTask } from '../../src/task/mirroring-task.ts';
import { PREFERENCES_DEFAULT } from '../../src/task/preferences.ts';
import type { CycleReport, TaskEvent } from '../../src/task/report.ts';
import { never, newKey, TestCenter, TestDialler, type TestKey } from './dialled.ts';
import { type Direction, FaultProxy } from './fault-proxy.ts';

export type Transport = 'http' | 'dialled';

export const TRANSPORTS: readonly Transport[] = ['http', 'dialled'];

export const APPLICATION = 'app';
const CALL_BYTES_MAX = 10_000_000;

/** Small, so that a table of the tests takes several calls. */
export const BATCH_BYTES = 3_000;

/** The keys of the two sides. */
export type Trust = { readonly center: TestKey; readonly application: TestKey };

/** Where a mirror client is to be. `centerUrl` is for one that dials. */
export type ClientPlace = {
  readonly transport: Transport;
  /** Address with `{tenant}` in it. */
  readonly mirrors: string;
  /** What a client knows: its own private key and the center's public one. */
  readonly trust: {
    readonly application: Pick<TestKey, 'private'>;
    readonly center: Pick<TestKey, 'public'>;
  };
  readonly clock: Clock;
  readonly centerUrl: string;
};

/** A mirror client that runs. `port` is of one that listens, 0 of one that dials. */
export type RunningClient = AsyncDisposable & { readonly port: number };

export type StartClient = (place: ClientPlace & { readonly trust: Trust }) => Promise<RunningClient>;

/** A mirror client in this process; `around` sees each call before and after it is handled. */
export async function startClient(
  place: ClientPlace,
  around: (handler: CallHandler) => CallHandler = (handler) => handler,
): Promise<RunningClient> {
  const { transport, trust, clock, centerUrl } = place;
  await using parts = new AsyncDisposableStack();
  const tenants = parts.use(openTenants(place.mirrors));
  const handler = around(
    createCallHandler({
      mirrors: tenants,
      application: APPLICATION,
      key: trust.application.private,
      trusted: [trust.center.public],
      clock,
      build: 'test',
      callBytesMax: CALL_BYTES_MAX,
    }),
  );
  let port = 0;
  if (transport === 'http') {
    const listen = { host: '127.0.0.1', port };
    const server = parts.use(await serveCalls({ listen, handler, callBytesMax: CALL_BYTES_MAX, clock }));
    port = Number(new URL(server.url).port);
  } else {
    const trusted = [trust.center.public];
    parts.use(new TestDialler({ centerUrl, key: trust.application.private, trusted, handler, clock }));
  }
  const kept = parts.move();
  return { port, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

const openTenants = (template: string) =>
  createTenantMirrors({
    template,
    clock: systemClock,
    open: openMirror,
    provision: provisionMirror,
    holder: thisProcess,
  });

/** Something happens before a call is sent; `nth` counts the calls of that name since the cycle began. */
export type OnCall = (call: CallName, nth: number) => void | Promise<void>;

export type Cycle = { readonly report: CycleReport; readonly events: readonly TaskEvent[] };

export type RemoteTaskOptions = Omit<ClientPlace, 'trust' | 'centerUrl'> & {
  readonly source: string;
  readonly client?: StartClient;
  /** Told when the center looks for the keys of a client that is dialling in. */
  readonly onHandshake?: () => void;
};

type CycleOptions = {
  readonly onCall?: OnCall;
  /** It begins, also again, when the client is there: as a center begins one when a client has dialled in. */
  readonly waits?: boolean;
};

/** A task at one side of a fault proxy, a mirror client at the other. */
export class RemoteTask implements AsyncDisposable {
  readonly transport: Transport;
  readonly proxy: FaultProxy;
  /** Where clients dial in; nobody does when they are called. */
  readonly center: TestCenter;
  readonly trust: Trust;
  readonly exchange: Exchange;
  readonly #options: RemoteTaskOptions;
  readonly #source: SourceDatabase;
  readonly #parts: AsyncDisposableStack;

  private constructor(
    options: RemoteTaskOptions,
    ends: Pick<RemoteTask, 'proxy' | 'center' | 'trust'>,
    owned: { readonly source: SourceDatabase; readonly parts: AsyncDisposableStack },
  ) {
    this.transport = options.transport;
    this.proxy = ends.proxy;
    this.center = ends.center;
    this.trust = ends.trust;
    this.#options = options;
    this.#source = owned.source;
    this.#parts = owned.parts;
    this.exchange = this.#openExchange();
  }

  static async start(options: RemoteTaskOptions): Promise<RemoteTask> {
    const { clock, onHandshake } = options;
    const trust: Trust = { center: newKey(), application: newKey() };
    await using parts = new AsyncDisposableStack();
    const source = parts.use(await openSource(options.source));
    const publicKeysOf = async () => {
      onHandshake?.();
      return [trust.application.publicPem];
    };
    const center = parts.use(await TestCenter.start({ center: trust.center, publicKeysOf, clock }));
    const proxy = parts.use(await FaultProxy.start(center.port));
    const task = new RemoteTask(options, { proxy, center, trust }, { source, parts: parts.move() });
    await task.startClient(options.client ?? ((place) => startClient(place)));
    return task;
  }

  /** Starts a client and waits until it can be reached. It ends with the task. */
  async startClient(start: StartClient): Promise<RunningClient> {
    const { transport, mirrors, clock } = this.#options;
    const centerUrl = `http://127.0.0.1:${this.proxy.port}`;
    const client = this.#parts.use(await start({ transport, mirrors, clock, trust: this.trust, centerUrl }));
    if (transport === 'http') this.proxy.targetPort = client.port;
    await this.reachable();
    return client;
  }

  /** Waits until a client that dials is there. */
  async reachable(): Promise<void> {
    if (this.transport === 'dialled') await this.center.connected(1);
  }

  #openExchange(): Exchange {
    if (this.transport === 'dialled')
      return this.center.clients.exchange(APPLICATION, this.trust.application.publicPem);
    return this.#parts.use(httpExchange({ url: `http://127.0.0.1:${this.proxy.port}`, clock: this.#options.clock }));
  }

  /** Which way the calls go through the proxy; answers go the other. */
  direction(what: 'call' | 'answer'): Direction {
    return (this.transport === 'http') === (what === 'call') ? 'up' : 'down';
  }

  /** One cycle, which the task itself repeats while what hinders it may pass. */
  cycle(tenant: string, { onCall = () => undefined, waits = false }: CycleOptions = {}): Promise<Cycle> {
    const { center, application } = this.trust;
    return runRemoteCycle({
      source: this.#source,
      exchange: counting(this.exchange, onCall, async () => (waits ? this.reachable() : undefined)),
      tenant,
      signingKey: center.private,
      clientPublicKey: application.public,
      clock: this.#options.clock,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

export async function runRemoteCycle(
  options: Pick<RemoteClientOptions, 'exchange' | 'tenant' | 'signingKey' | 'clientPublicKey' | 'clock'> & {
    readonly source: SourceDatabase;
  },
): Promise<Cycle> {
  const { source, tenant, clock } = options;
  const events: TaskEvent[] = [];
  const context = {
    source,
    client: createRemoteClient({ ...options, application: APPLICATION }),
    tenant,
    clock,
    random: systemRandom,
    preferences: { ...PREFERENCES_DEFAULT, batchBytes: BATCH_BYTES },
    selection: { schemas: null },
    takeOver: false,
    emit: (event: TaskEvent) => void events.push(event),
    signal: never,
  };
  return { report: await runTask(context, { kind: 'once' }), events };
}

function counting(exchange: Exchange, onCall: OnCall, reachable: () => Promise<void>): Exchange {
  const counts = new Map<CallName, number>();
  return {
    display: exchange.display,
    send: async (request, signal) => {
      if (request.call === 'authenticate') await reachable();
      const nth = (counts.get(request.call) ?? 0) + 1;
      counts.set(request.call, nth);
      await onCall(request.call, nth);
      return await exchange.send(request, signal);
    },
  };
}
