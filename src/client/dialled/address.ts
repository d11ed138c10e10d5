import { SpeilError } from '../../core/error.ts';
import { isLoopback } from '../http/listen-rule.ts';

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

/** Throws `USAGE` for what is no address of a center, or would go over a network without TLS. */
export function readCenterAddress(text: string, insecure: boolean): CenterAddress {
  const url = URL.parse(text);
  const isSecure = url === null ? undefined : SCHEMES.get(url.protocol);
  if (url === null || isSecure === undefined || url.username !== '' || url.password !== '') {
    throw new SpeilError('USAGE', 'the address of the center is none', {
      hint: '--center https://center.example.com:8500',
    });
  }
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
