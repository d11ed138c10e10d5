import type { KeyObject } from 'node:crypto';
import type { DialledClients } from '../client/dialled/accept.ts';
import type { Exchange } from '../client/exchange.ts';
import { httpExchange } from '../client/http/call.ts';
import { createRemoteClient } from '../client/remote-client.ts';
import { readRsaPublicKey } from '../client/soap/rsa-keys.ts';
import { createSoapClient } from '../client/soap/sender.ts';
import { keyId, readPublicKey } from '../client/trust/keys.ts';
import type { Clock } from '../core/clock.ts';
import { SpeilError } from '../core/error.ts';
import { isLoopback } from '../service/listen-rule.ts';
import type { MirrorClientService } from '../task/contract.ts';
import type { Mirror, Tenant } from './model.ts';

/** A mirror client for the time of a cycle. */
export type CycleClient = AsyncDisposable & { readonly client: MirrorClientService };

/** Reaches the mirror clients of all mirrors, over whatever transport each has. */
export interface CycleClients extends AsyncDisposable {
  /** Connects nothing yet. Throws `USAGE` for a mirror whose key or address cannot be used. */
  connect(mirror: Mirror, tenant: Pick<Tenant, 'preferences'>, signal: AbortSignal): CycleClient;
  /** False for a mirror whose client dials out and is not connected to this center; it may be to another. */
  isReachable(mirror: Mirror): boolean;
}

export type CycleClientsOptions = {
  /** The center's private key (Ed25519). */
  readonly signingKey: KeyObject;
  readonly dialled: Pick<DialledClients, 'exchange' | 'isConnected' | 'connected'>;
  /** With what calls of SuperOffice's contract are signed; null when the center has no RSA key. */
  readonly soap?: { readonly signingKey: KeyObject; readonly certificate?: string | undefined } | undefined;
  readonly clock: Clock;
  /** PEM; trusted instead of the authorities that come with the platform. */
  readonly ca?: string | undefined;
  readonly insecure?: boolean | undefined;
};

export const createCycleClients = (options: CycleClientsOptions): CycleClients => new Clients(options);

/** Exchanges whose connections are kept open between cycles: a client serves many tenants under one address. */
const EXCHANGES_MAX = 100;
/** Cycles that share an exchange. Each makes one call at a time, and an exchange has as many connections. */
const USERS_MAX = 16;

type HttpExchange = Exchange & AsyncDisposable;
type Kept = { readonly url: string; readonly exchange: HttpExchange; users: number };

class Clients implements CycleClients {
  readonly #options: CycleClientsOptions;
  /** Those used last are last. */
  readonly #kept = new Set<Kept>();

  constructor(options: CycleClientsOptions) {
    this.#options = options;
  }

  isReachable({ transport, application, publicKey }: Mirror): boolean {
    return transport.kind !== 'dialled' || this.#options.dialled.isConnected(application, publicKey);
  }

  connect(mirror: Mirror, tenant: Pick<Tenant, 'preferences'>, signal: AbortSignal): CycleClient {
    const { transport, application, publicKey } = mirror;
    switch (transport.kind) {
      case 'soap':
        return this.#soap(mirror, transport.url, tenant, signal);
      case 'dialled':
        return this.#native(mirror, this.#options.dialled.exchange(application, publicKey), signal, async () => {});
      case 'http': {
        const kept = this.#use(transport.url);
        return this.#native(mirror, kept.exchange, signal, () => this.#leave(kept));
      }
    }
  }

  #native(mirror: Mirror, exchange: Exchange, signal: AbortSignal, leave: () => Promise<void>): CycleClient {
    const { tenant, application, publicKey } = mirror;
    const { signingKey, clock } = this.#options;
    const clientPublicKey = readPublicKey(publicKey, 'ed25519');
    const compress = !this.#isOnThisMachine(mirror);
    const parties = { tenant, application, signingKey, clientPublicKey };
    const client = createRemoteClient({ exchange, ...parties, clock, signal, compress });
    return { client, [Symbol.asyncDispose]: leave };
  }

  /** Compressing costs more than it spares where no network lies between. */
  #isOnThisMachine({ transport, application, publicKey }: Mirror): boolean {
    if (transport.kind !== 'dialled') return isLoopback(new URL(transport.url).hostname);
    const id = keyId(readPublicKey(publicKey));
    return this.#options.dialled
      .connected()
      .some((there) => there.application === application && there.keyId === id && isLoopback(there.remoteAddress));
  }

  #soap(mirror: Mirror, url: string, tenant: Pick<Tenant, 'preferences'>, signal: AbortSignal): CycleClient {
    const { soap, clock, ca, insecure } = this.#options;
    if (soap === undefined) throw noRsaKey(mirror);
    const client = createSoapClient({
      url,
      tenant: mirror.tenant,
      application: mirror.application,
      ...soap,
      clientPublicKey: readRsaPublicKey(mirror.publicKey),
      clock,
      batchBytes: tenant.preferences.batchBytes,
      ca,
      insecure,
      signal,
    });
    return { client, [Symbol.asyncDispose]: () => client[Symbol.asyncDispose]() };
  }

  #use(url: string): Kept {
    const { clock, ca, insecure } = this.#options;
    const free = [...this.#kept].find((kept) => kept.url === url && kept.users < USERS_MAX);
    const kept = free ?? { url, exchange: httpExchange({ url, clock, ca, insecure }), users: 0 };
    kept.users += 1;
    this.#kept.delete(kept);
    this.#kept.add(kept);
    return kept;
  }

  async #leave(left: Kept): Promise<void> {
    left.users -= 1;
    for (const kept of this.#kept) {
      if (this.#kept.size <= EXCHANGES_MAX) return;
      if (kept.users > 0) continue;
      this.#kept.delete(kept);
      await kept.exchange[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exchanges = [...this.#kept];
    this.#kept.clear();
    for (const { exchange } of exchanges) await exchange[Symbol.asyncDispose]();
  }
}

const noRsaKey = ({ tenant, application }: Mirror): SpeilError =>
  new SpeilError('USAGE', `the mirror ${application} of ${tenant} is reached by SOAP, and this center has no RSA key`, {
    hint: 'Start the center with an RSA key for SOAP, or change how the mirror is reached: speil center mirror set.',
  });
