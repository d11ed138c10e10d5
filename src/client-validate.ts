import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { errorAnswer } from './client/call-handler.ts';
import { readCenterAddress } from './client/dialled/address.ts';
import { type DialEvent, dialCenter } from './client/dialled/dial.ts';
import { type ProxySettings, proxyFor } from './client/dialled/proxy.ts';
import { HOOK_NAMES, type Hooks } from './client/hooks.ts';
import { type KeyTexts, readServiceKeys, type ServiceKeys } from './client/service-keys.ts';
import { keyId } from './client/trust/keys.ts';
import { type Check, Checks, failed } from './client/validate/check.ts';
import { callChecks, centerChecks } from './client/validate/reach.ts';
import { SpeilError } from './core/error.ts';
import { fillTemplate, hasTenantPlaceholder } from './database/location-template.ts';
import { missingForProvision, openMirror, provisionedTenants, refuseTemplate, runtime } from './open.ts';
import { BUILD } from './runtime/build.ts';
import { refuseInsecureListen } from './service/listen-rule.ts';

export type { Check } from './client/validate/check.ts';

/** What `serveClient` or `connectClient` would be given; what comes from files is read when its check comes. */
export type ValidateClientOptions = {
  readonly mirror: string;
  readonly keys: () => KeyTexts;
  readonly application: string;
  readonly soap?: boolean | undefined;
  readonly hooks?: (() => Promise<Hooks>) | undefined;
  readonly listen?: { readonly host: string; readonly port: number } | undefined;
  readonly tls?: (() => { readonly cert: string; readonly key: string }) | undefined;
  readonly insecure?: boolean | undefined;
  /** Where the center reaches this client, when it listens. */
  readonly url?: string | undefined;
  /** Where this client dials, when it does. */
  readonly center?: string | undefined;
  readonly ca?: (() => string) | undefined;
  readonly proxy?: ProxySettings | undefined;
  readonly onCheck?: ((check: Check) => void) | undefined;
};

export type Validation = { readonly ok: boolean; readonly checks: readonly Check[] };

/** Looks at everything that a mirror client needs, and changes nothing. */
export async function validateClient(options: ValidateClientOptions): Promise<Validation> {
  const checks = new Checks(options.onCheck ?? (() => undefined));
  const { hooks, tls, listen, url, center } = options;
  const keys = await keyChecks(checks, options);
  if (hooks !== undefined) await checks.run('hooks', async () => namesOf(await hooks()));
  if (tls !== undefined) await checks.run('certificate', () => judgeCertificate(tls()));
  if (listen !== undefined) await checks.run('listen', () => judgeListen(listen, options));
  await checks.run('mirror', () => judgeMirror(options.mirror));
  if (url !== undefined) await publicChecks(checks, url, options);
  if (center !== undefined) await dialChecks(checks, center, keys, options);
  if (url === undefined && center === undefined) {
    checks.notChecked(['outside'], 'nothing outside was looked at: neither --url nor --center was given', OUTSIDE);
  }
  return { ok: checks.isOk, checks: checks.done };
}

const OUTSIDE =
  '--url <https://…>: the address at which the center calls this client. --center <https://…>: the center that it dials.';

async function keyChecks(checks: Checks, { keys, soap = false }: ValidateClientOptions): Promise<ServiceKeys | null> {
  let read: ServiceKeys | null = null;
  await checks.run('keys', () => {
    read = readServiceKeys(keys(), { soap });
    const own = [read.native, read.soap].filter((key) => key !== null).map(keyId);
    const trusted = [...read.trusted, ...read.trustedSoap].map(keyId);
    return `own ${own.join(', ')}; trusted ${trusted.join(', ')}`;
  });
  return read;
}

const namesOf = (hooks: Hooks): string => HOOK_NAMES.filter((name) => hooks[name] !== undefined).join(', ');

function judgeCertificate({ cert, key }: { readonly cert: string; readonly key: string }): string {
  const certificate = readCertificate(cert, key);
  const nowMs = runtime.clock.now();
  const { validFromDate, validToDate, subjectAltName = '' } = certificate;
  if (nowMs < validFromDate.getTime() || nowMs > validToDate.getTime()) {
    const when = `${validFromDate.toISOString()} to ${validToDate.toISOString()}`;
    throw failed('TLS_FAILED', `the certificate is valid from ${when}, and not now`, 'Renew it, or set the clock.');
  }
  return `for ${subjectAltName || certificate.subject}, valid to ${validToDate.toISOString()}`;
}

function readCertificate(cert: string, key: string): X509Certificate {
  try {
    createSecureContext({ cert, key });
    return new X509Certificate(cert);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SpeilError('USAGE', `certificate and key cannot be used: ${why}`, {
      hint: '--tls-cert takes the certificate and those between it and the authority as PEM, --tls-key its private key.',
      cause,
    });
  }
}

function judgeListen(
  { host, port }: { readonly host: string; readonly port: number },
  { tls, insecure = false }: ValidateClientOptions,
): string {
  refuseInsecureListen({ host, tls: tls !== undefined, insecure });
  return `${host}:${port}${tls === undefined ? ', without TLS' : ', with TLS'}`;
}

/** Mirrors that are looked at; the others are made in the same way. */
const MIRRORS_LOOKED_AT_MAX = 20;

async function judgeMirror(template: string): Promise<string> {
  refuseTemplate(template);
  const perTenant = hasTenantPlaceholder(template);
  const tenants = perTenant ? await provisionedTenants(template) : [];
  for (const tenant of tenants.slice(0, MIRRORS_LOOKED_AT_MAX)) await judgeOne(fillTemplate(template, tenant), tenant);
  if (!perTenant && (await isThere(template))) {
    await judgeOne(template, 'speil');
    return 'there, and can be written; without {tenant} in its address it is for one tenant';
  }
  const grant = await missingForProvision(fillTemplate(template, 'tenant'));
  if (grant === null) return `${tenants.length} tenants have one; new ones can be made`;
  if (!perTenant) throw failed('PRIVILEGE_MISSING', 'the mirror is not there, and cannot be made', grant);
  if (tenants.length > 0) return `${tenants.length} tenants have one; new ones cannot be made here without ${grant}`;
  throw failed('PRIVILEGE_MISSING', 'mirrors of new tenants cannot be made', grant);
}

async function isThere(address: string): Promise<boolean> {
  try {
    await using _mirror = await openMirror(address, { tenant: 'speil', readOnly: true });
    return true;
  } catch (error) {
    if (error instanceof SpeilError && ['FILE_MISSING', 'DATABASE_MISSING'].includes(error.code)) return false;
    throw error;
  }
}

async function judgeOne(address: string, tenant: string): Promise<void> {
  await using mirror = await openMirror(address, { tenant, readOnly: true });
  const missing = (await mirror.check()).find(({ required }) => required);
  if (missing === undefined) return;
  throw failed('PRIVILEGE_MISSING', `${mirror.display}: ${missing.what} is missing`, missing.grant);
}

async function publicChecks(checks: Checks, url: string, { ca }: ValidateClientOptions): Promise<void> {
  const parsed = URL.parse(url.endsWith('/') ? url : `${url}/`);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    checks.fail('url', { message: 'this is no address of a mirror client', hint: '--url https://mirror.example.com' });
    return;
  }
  await callChecks(checks, { url: parsed, ca: ca?.(), clock: runtime.clock });
}

async function dialChecks(
  checks: Checks,
  center: string,
  keys: ServiceKeys | null,
  options: ValidateClientOptions,
): Promise<void> {
  const isAddress = await checks.run('center', () => readCenterAddress(center, options.insecure ?? false).display);
  if (!isAddress) return;
  const { host, port, display } = readCenterAddress(center, options.insecure ?? false);
  const isDirect = proxyFor(host, port, options.proxy) === null;
  const url = new URL(`${display}/`);
  const target = { url, ca: options.ca?.(), clock: runtime.clock };
  if (isDirect && !(await centerChecks(checks, target))) return;
  if (keys?.native == null) return checks.notChecked(['key'], 'there is no key to prove');
  await checks.run('key', () => dialOnce(options, center, keys));
}

/** Goes through the proof of both sides, and hangs up. */
async function dialOnce(options: ValidateClientOptions, center: string, keys: ServiceKeys): Promise<string> {
  const { native } = keys;
  if (native === null) throw new Error('there is a native key by now');
  const end = new AbortController();
  const { promise, resolve } = Promise.withResolvers<DialEvent>();
  const dialling = dialCenter({
    centerUrl: center,
    application: options.application,
    key: native,
    trusted: keys.trusted,
    handler: async () => errorAnswer(new SpeilError('UNREACHABLE', 'the client is only validating')),
    clock: runtime.clock,
    random: runtime.random,
    signal: end.signal,
    onEvent: (event) => {
      if (event.event !== 'connecting') resolve(event);
    },
    ca: options.ca?.(),
    version: BUILD,
    proxy: options.proxy,
    insecure: options.insecure,
  });
  try {
    const event = await Promise.race([promise, dialling.then(() => promise)]);
    if (event.event === 'connected') return `both sides proved themselves; the center’s key is ${event.keyId}`;
    if (event.event === 'connecting') throw new Error('that is no outcome');
    const { code, message, hint } = event.error;
    throw failed(code, message, hint ?? '');
  } finally {
    end.abort();
    await dialling.catch(() => undefined);
  }
}
