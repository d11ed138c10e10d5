import { createPublicKey } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import {
  type ClientsEvent,
  createDialledClients,
  type DialledClients,
  type DialledClientsOptions,
} from '../../src/client/dialled/accept.ts';
import { type DialEvent, type DialOptions, dialCenter } from '../../src/client/dialled/dial.ts';
import type { CallHandler, CallRequest, Exchange } from '../../src/client/exchange.ts';
import { createKeyPair, readPrivateKey, readPublicKey } from '../../src/client/trust/keys.ts';
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/runtime/system-clock.ts';
import { systemRandom } from '../../src/runtime/system-random.ts';
import { eventually } from './workload.ts';

export type TestKey = ReturnType<typeof keyOf>;

/** Both halves of a key. */
export const keyOf = (privatePem: string) => {
  const half = createPublicKey(privatePem);
  const publicPem = half.export({ type: 'spki', format: 'pem' }).toString();
  return { publicPem, privatePem, private: readPrivateKey(privatePem), public: readPublicKey(publicPem) };
};

export const newKey = (): TestKey => keyOf(createKeyPair('ed25519').privatePem);

/** Durations pass a number of times faster; the time of day is the true one. */
export const hurried = (times: number): Clock => ({
  ...systemClock,
  monotonicMs: () => systemClock.monotonicMs() * times,
  sleep: (durationMs, signal) => systemClock.sleep(durationMs / times, signal),
});

/** A clock that is wrong by so much. */
export const offBy = (ms: number): Clock => ({ ...systemClock, now: () => systemClock.now() + ms });

export const never: AbortSignal = new AbortController().signal;

/** Answers a call with its own body. */
export const echo: CallHandler = async ({ encoding, body }) => ({ status: 200, encoding, body });

export const aCall = (body: Uint8Array, more: Partial<CallRequest> = {}): CallRequest => ({
  call: 'row-data',
  token: 'a token',
  encoding: 'identity',
  body,
  ...more,
});

export type TestCenterOptions = Partial<DialledClientsOptions> & {
  readonly tls?: { readonly cert: string; readonly key: string };
};

/** The part of a center where clients dial in, on a port of its own. */
export class TestCenter implements AsyncDisposable {
  readonly key: TestKey;
  readonly events: ClientsEvent[] = [];
  readonly clients: DialledClients;
  readonly #server: Server;
  readonly #scheme: string;

  private constructor(key: TestKey, { tls, ...options }: TestCenterOptions) {
    this.key = key;
    this.#scheme = tls === undefined ? 'http' : 'https';
    this.clients = createDialledClients({
      key: key.private,
      clock: systemClock,
      publicKeysOf: async () => [],
      onEvent: (event) => this.events.push(event),
      ...options,
    });
    this.#server = tls === undefined ? createServer() : createTlsServer(tls);
    this.#server.on('request', (_request, response) => response.writeHead(404).end());
    this.#server.on('upgrade', (request, socket, head) => this.clients.handleUpgrade(request, socket, head));
  }

  static async start(
    options: TestCenterOptions & { readonly center?: TestKey; readonly port?: number } = {},
  ): Promise<TestCenter> {
    const { center = newKey(), port = 0, ...more } = options;
    const started = new TestCenter(center, more);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    started.#server.once('error', reject);
    started.#server.listen(port, '127.0.0.1', resolve);
    await promise;
    return started;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}`;
  }

  /** Resolves when so many clients are there. */
  connected(count: number): Promise<void> {
    return eventually(() => {
      const there = this.clients.connected().length;
      if (there !== count) throw new Error(`${there} clients are connected, not ${count}`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.clients[Symbol.asyncDispose]();
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** A client that dials, until it is disposed. */
export class TestDialler implements AsyncDisposable {
  readonly events: DialEvent[] = [];
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(options: Pick<DialOptions, 'centerUrl' | 'key' | 'trusted'> & Partial<DialOptions>) {
    this.#done = dialCenter({
      application: 'app',
      handler: echo,
      clock: systemClock,
      random: systemRandom,
      signal: this.#stop.signal,
      version: 'test',
      onEvent: (event) => this.events.push(event),
      ...options,
    });
  }

  /** The first event of this kind, past or to come, after so many others of the kind. */
  event<E extends DialEvent['event']>(kind: E, nth = 0): Promise<Extract<DialEvent, { event: E }>> {
    return eventually(() => {
      const found = this.events.filter(({ event }) => event === kind)[nth];
      if (found === undefined) throw new Error(`no ${kind} among ${JSON.stringify(this.events)}`);
      return found as Extract<DialEvent, { event: E }>;
    });
  }

  /** Ends as a client ends when it is told to. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** A center and a client that has dialled in to it. */
export class DialledPair implements AsyncDisposable {
  readonly center: TestCenter;
  readonly dialler: TestDialler;
  readonly key: TestKey;

  private constructor(center: TestCenter, dialler: TestDialler, key: TestKey) {
    this.center = center;
    this.dialler = dialler;
    this.key = key;
  }

  static async start(options: Partial<DialOptions> = {}): Promise<DialledPair> {
    const key = newKey();
    const center = await TestCenter.start({
      publicKeysOf: async (application) => (application === 'app' ? [key.publicPem] : []),
      ...(options.clock === undefined ? {} : { clock: options.clock }),
    });
    const trusted = [center.key.public];
    const dialler = new TestDialler({ centerUrl: center.url, key: key.private, trusted, ...options });
    await center.connected(1);
    return new DialledPair(center, dialler, key);
  }

  get exchange(): Exchange {
    return this.center.clients.exchange('app', this.key.publicPem);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dialler[Symbol.asyncDispose]();
    await this.center[Symbol.asyncDispose]();
  }
}

/** A handler whose answers wait until they are let go. */
export class HeldHandler {
  readonly calls: CallRequest[] = [];
  readonly #waiting: (() => void)[] = [];

  readonly handle: CallHandler = async (request) => {
    this.calls.push(request);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    await promise;
    return echo(request);
  };

  letGo(count = Number.POSITIVE_INFINITY): void {
    for (const resolve of this.#waiting.splice(0, count)) resolve();
  }

  /** Resolves when so many calls have come in all. */
  came(count: number): Promise<void> {
    return eventually(() => {
      if (this.calls.length !== count) throw new Error(`${this.calls.length} calls came, not ${count}`);
    });
  }
}
