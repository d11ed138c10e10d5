import { createCallHandler, errorAnswer, type TrustingCallHandler } from './client/call-handler.ts';
import { type DialEvent, dialCenter } from './client/dialled/dial.ts';
import { CALL_BYTES_MAX_DEFAULT } from './client/dialled/limits.ts';
import type { ProxySettings } from './client/dialled/proxy.ts';
import type { CallHandler } from './client/exchange.ts';
import { type HookContext, type Hooks, type NoticeKind, timedResolve } from './client/hooks.ts';
import { type CallServer, serveCalls } from './client/http/serve.ts';
import { type Refusal, tellFewRefusals } from './client/refusal-log.ts';
import { type KeyTexts, readServiceKeys, type ServiceKeys } from './client/service-keys.ts';
import { createSoapReceiver, type SoapReceiver } from './client/soap/receiver.ts';
import { createTenantMirrors, type PooledMirrors } from './client/tenants/create.ts';
import { trustRefused } from './client/trust/refusal.ts';
import type { WipeMode } from './client/write-batches.ts';
import { SpeilError } from './core/error.ts';
import { isFull, openMirror, provisionMirror, refuseTemplate, runtime, thisProcess } from './open.ts';
import { BUILD } from './runtime/build.ts';

/** What a mirror client tells while it serves. */
export type ClientServiceEvent =
  | { readonly event: 'listening'; readonly url: string; readonly application: string; readonly soap: boolean }
  | ({ readonly event: 'notice'; readonly kind: NoticeKind; readonly message: string } & Pick<HookContext, 'tenant'>)
  /** A call that was not trusted. */
  | ({ readonly event: 'call-refused' } & Refusal)
  | DialEvent
  | { readonly event: 'ended' };

export type ClientServiceOptions = KeyTexts & {
  /** Address of the mirrors. `{tenant}` in it stands for the tenant; without it there is one tenant only. */
  readonly mirror: string;
  /** The application's name, as the center has it. */
  readonly application: string;
  readonly hooks?: Hooks | undefined;
  /** `shadow`: readers never see a table that is being copied. `in-place`: emptied first. */
  readonly wipe?: WipeMode | undefined;
  /** Larger calls are refused; tasks are told. 128 MiB. */
  readonly callBytesMax?: number | undefined;
  readonly onEvent?: ((event: ClientServiceEvent) => void) | undefined;
};

export type ServeClientOptions = ClientServiceOptions & {
  /** Port 0: any that is free. */
  readonly listen: { readonly host: string; readonly port: number };
  /** PEM. Without it nothing listens beyond loopback, unless `insecure`. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  readonly insecure?: boolean | undefined;
  /** SuperOffice's published contract is spoken too: an RSA key among `keys`, the vendor's certificate in `trust`. */
  readonly soap?: boolean | undefined;
};

export type ConnectClientOptions = ClientServiceOptions & {
  /** `https://host[:port]` of the center. */
  readonly center: string;
  /** PEM; trusted beside the authorities that come with the platform. */
  readonly ca?: string | undefined;
  readonly proxy?: ProxySettings | undefined;
  readonly insecure?: boolean | undefined;
  /** Ends it: calls that run are answered first. */
  readonly signal: AbortSignal;
};

/**
 * Listens for the calls of mirroring tasks, and writes the mirrors of all tenants. Disposing ends it: calls that run are
 * answered first. Throws `USAGE` for keys or addresses that do not fit, `INSECURE_LISTEN` for an address that others reach without TLS.
 */
export async function serveClient(options: ServeClientOptions): Promise<CallServer> {
  const { listen, tls, insecure, soap = false, application, onEvent } = options;
  const keys = readServiceKeys(options, { soap });
  await using parts = new AsyncDisposableStack();
  const mirrors = parts.use(openMirrors(options));
  const callBytesMax = options.callBytesMax ?? CALL_BYTES_MAX_DEFAULT;
  const server = parts.use(
    await serveCalls({
      listen,
      tls,
      insecure,
      callBytesMax,
      clock: runtime.clock,
      handler: nativeHandler(options, keys, mirrors),
      extra: soapReceiver(options, keys, mirrors),
    }),
  );
  onEvent?.({ event: 'listening', url: server.url, application, soap });
  parts.defer(() => onEvent?.({ event: 'ended' }));
  const kept = parts.move();
  return { url: server.url, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/**
 * Dials out to a center and serves the calls that come through that connection, until the signal is aborted. Connects
 * again whenever the connection is lost. Throws `USAGE` for keys or an address that cannot be used.
 */
export async function connectClient(options: ConnectClientOptions): Promise<void> {
  const keys = readServiceKeys(options, { soap: false });
  await using mirrors = openMirrors(options);
  const { native } = keys;
  if (native === null) return;
  await dialCenter({
    centerUrl: options.center,
    application: options.application,
    key: native,
    trusted: keys.trusted,
    handler: nativeHandler(options, keys, mirrors),
    clock: runtime.clock,
    random: runtime.random,
    signal: options.signal,
    onEvent: options.onEvent,
    ca: options.ca,
    version: BUILD,
    callBytesMax: options.callBytesMax ?? CALL_BYTES_MAX_DEFAULT,
    proxy: options.proxy,
    insecure: options.insecure,
  });
  options.onEvent?.({ event: 'ended' });
}

function openMirrors(options: ClientServiceOptions): PooledMirrors {
  refuseTemplate(options.mirror);
  if (options.application === '') throw namelessApplication();
  return createTenantMirrors({
    template: options.mirror,
    open: openMirror,
    provision: provisionMirror,
    isFull,
    holder: thisProcess,
    clock: runtime.clock,
    resolveMirror: timedResolve(options.hooks?.resolveMirror, runtime.clock, noticing(options)),
  });
}

const namelessApplication = (): SpeilError =>
  new SpeilError('USAGE', 'the application has no name', {
    hint: '--application takes the name under which the center has this client.',
  });

const noticing =
  ({ onEvent }: ClientServiceOptions) =>
  ({ tenant }: HookContext, kind: NoticeKind, message: string): void =>
    onEvent?.({ event: 'notice', tenant, kind, message });

/** What both contracts and both transports share. */
function sharedOptions(options: ClientServiceOptions, mirrors: PooledMirrors) {
  const { application, hooks, wipe, onEvent } = options;
  return {
    mirrors,
    application,
    clock: runtime.clock,
    build: BUILD,
    hooks,
    wipeMode: wipe,
    callBytesMax: options.callBytesMax ?? CALL_BYTES_MAX_DEFAULT,
    onEvent: noticing(options),
    refused: tellFewRefusals(runtime.clock, (refusal) => onEvent?.({ event: 'call-refused', ...refusal })),
  };
}

function nativeHandler(
  options: ClientServiceOptions,
  { native, trusted }: ServiceKeys,
  mirrors: PooledMirrors,
): CallHandler | TrustingCallHandler {
  if (native === null) return async () => errorAnswer(trustRefused('token', 'this mirror client speaks SOAP only'));
  const { refused, ...shared } = sharedOptions(options, mirrors);
  return createCallHandler({
    ...shared,
    key: native,
    trusted,
    log: ({ tenant, error }) => {
      if (tenant === null && error !== null) refused(error);
    },
  });
}

/** Null when SuperOffice's contract is not spoken. */
function soapReceiver(
  options: ClientServiceOptions,
  { soap, trustedSoap }: ServiceKeys,
  mirrors: PooledMirrors,
): SoapReceiver | undefined {
  if (soap === null) return undefined;
  const { refused, callBytesMax: _ofNativeCalls, ...shared } = sharedOptions(options, mirrors);
  return createSoapReceiver({
    ...shared,
    key: soap,
    trusted: trustedSoap,
    log: ({ tenant, error }) => {
      if (tenant === null && error !== null) refused(error);
    },
  });
}
