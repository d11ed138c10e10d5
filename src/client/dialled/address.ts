import { SpeilError } from '../../core/error.ts';
import { isLoopback } from '../../service/listen-rule.ts';

/** Where clients dial in. */
export const CLIENTS_PATH = '/v1/clients';
/** What both sides call the protocol. */
export const SUBPROTOCOL = 'speil.client.1';
/** The header that carries the client's nonce. */
export const NONCE_HEADER = 'speil-nonce';

export type CenterAddress = {
  readonly host: string;
  readonly port: number;
  readonly isSecure: boolean;
  /** For WebSocket. */
  readonly url: string;
  /** For people. */
  readonly display: string;
};

const SCHEMES: ReadonlyMap<string, boolean> = new Map([
  ['https:', true],
  ['wss:', true],
  ['http:', false],
  ['ws:', false],
]);

/** Throws `USAGE` for what is no address of a center, or would go over a network without TLS. Never repeats a password. */
export function readCenterAddress(text: string, insecure: boolean): CenterAddress {
  const { url, isSecure } = parse(text);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (!isSecure && !insecure && !isLoopback(url.hostname)) {
    throw new SpeilError('USAGE', `${host} would be reached without TLS`, {
      hint: `--center https://${url.host}, or --insecure if something else protects the way.`,
    });
  }
  const path = `${url.pathname.replace(/\/+$/, '')}${CLIENTS_PATH}`;
  return {
    host,
    port: Number(url.port) || (isSecure ? 443 : 80),
    isSecure,
    url: `${isSecure ? 'wss' : 'ws'}://${url.host}${path}`,
    display: `${isSecure ? 'https' : 'http'}://${url.host}${url.pathname.replace(/\/+$/, '')}`,
  };
}

const EXAMPLE = '--center https://center.example.com:8500';
const PORT_MAX = 65_535;

function parse(text: string): { readonly url: URL; readonly isSecure: boolean } {
  if (text.trim() === '') throw noAddress(text, 'it is empty', EXAMPLE);
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) throw noScheme(text);
  if (text.includes('@')) {
    throw noAddress(
      text,
      'a center takes no login',
      'Leave name and password away; the key of --key proves the client.',
    );
  }
  if (/[?#]/.test(text)) throw noAddress(text, 'it ends before ? and #', 'Leave away what follows the path.');
  const port = portOf(text);
  if (port !== null && !isPort(port)) throw noAddress(text, `its port is no number from 1 to ${PORT_MAX}`, EXAMPLE);
  const url = URL.parse(text);
  if (url === null || url.hostname === '') throw noAddress(text, 'the host name is none', EXAMPLE);
  const isSecure = SCHEMES.get(url.protocol);
  if (isSecure === undefined) throw noAddress(text, `${url.protocol}// is not how a center is reached`, EXAMPLE);
  return { url, isSecure };
}

/** What follows the host's colon; null without a colon. */
const portOf = (text: string): string | null => /^[^/]*\/\/(?:\[[^\]/]*\]|[^/:]*):([^/]*)/.exec(text)?.[1] ?? null;

const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) > 0 && Number(text) <= PORT_MAX;

function noScheme(text: string): SpeilError {
  const url = /[@?#\s]/.test(text) ? null : URL.parse(`https://${text}`);
  if (url === null) return noAddress(text, 'https:// is missing at its beginning', EXAMPLE);
  const scheme = isLoopback(url.hostname) ? 'http' : 'https';
  return noAddress(text, `${scheme}:// is missing at its beginning`, `--center ${scheme}://${text}`);
}

const noAddress = (text: string, why: string, hint: string): SpeilError =>
  new SpeilError('USAGE', `${withoutSecrets(text)} is no address of a center: ${why}`, { hint });

/** Characters of a text that is repeated. */
const REPEATED_MAX = 200;

/** A login and what follows a question mark may hold secrets; where both may be, nothing is repeated. */
const withoutSecrets = (text: string): string => {
  const [scheme = ''] = /^[a-z][a-z0-9+.-]*:\/\//i.exec(text) ?? [];
  const rest = text.slice(scheme.length);
  const isPlain = !(rest.includes('@') && /[?#]/.test(rest));
  const known = isPlain ? rest.replace(/^.*@/s, '…@').replace(/[?#].*$/s, '?…') : '…';
  return `"${`${scheme}${known}`.replace(/[\p{Cc}\p{Cf}]/gu, '').slice(0, REPEATED_MAX)}"`;
};
