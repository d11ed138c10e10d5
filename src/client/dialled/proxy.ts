import { SpeilError } from '../../core/error.ts';

/** A proxy on the way to the center. */
export type ProxySettings = {
  /** `http://[user:password@]host[:port]`, or `https:`; it is asked to connect to the center (CONNECT). */
  readonly url: string;
  /** Hosts that are reached without it: names with all below them, `host:port`, or `*`; separated by commas. */
  readonly noProxy?: string | undefined;
};

/** As the usual environment variables say, in upper or lower case; undefined for none. */
export function proxyFromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  centerUrl: string,
): ProxySettings | undefined {
  const read = (name: string) => environment[name.toLowerCase()] || environment[name.toUpperCase()] || undefined;
  const isSecure = /^(?:https|wss):/i.test(centerUrl);
  const url = read(isSecure ? 'https_proxy' : 'http_proxy') ?? read('all_proxy');
  return url === undefined ? undefined : { url, noProxy: read('no_proxy') };
}

/** The proxy for a host; null when it is reached directly. Throws `USAGE` for a proxy that is none. */
export function proxyFor(host: string, port: number, settings: ProxySettings | undefined): URL | null {
  if (settings === undefined) return null;
  const exceptions = (settings.noProxy ?? '').split(/[\s,]+/).filter((exception) => exception !== '');
  if (exceptions.some((exception) => matches(exception.toLowerCase(), host.toLowerCase(), port))) return null;
  return readProxy(settings.url);
}

function matches(exception: string, host: string, port: number): boolean {
  if (exception === '*') return true;
  const [, name = exception, itsPort] = /^(.*[^:]|\[.*\]):(\d+)$/.exec(exception) ?? [];
  if (itsPort !== undefined && Number(itsPort) !== port) return false;
  const domain = name.replace(/^\*?\.|^\[|\]$/g, '');
  return host === domain || host.endsWith(`.${domain}`);
}

function readProxy(text: string): URL {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (url !== null && /^https?:$/.test(url.protocol) && url.hostname !== '') return url;
  throw new SpeilError('USAGE', 'the address of the proxy is none', {
    hint: 'HTTPS_PROXY=http://proxy.example.com:3128; proxies for SOCKS are not supported.',
  });
}

/** What a log may show of it. */
export const proxyDisplay = (proxy: URL): string => `${proxy.protocol}//${proxy.host}`;

/** The value of `Proxy-Authorization`; null without user and password. */
export function proxyCredentials({ username, password }: URL): string | null {
  if (username === '' && password === '') return null;
  const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(text).toString('base64')}`;
}
