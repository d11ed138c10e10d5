import { readRsaPublicKey } from '../../client/soap/rsa-keys.ts';
import { readPublicKey } from '../../client/trust/keys.ts';
import { SpeilError } from '../../core/error.ts';
import { isLoopback } from '../../service/listen-rule.ts';
import type { ClientTransport } from '../model.ts';

/**
 * The key as PEM of the public part; an RSA key may come in .NET’s XML. Throws `USAGE` for what is no public key, or not of the kind that the transport's
 * proof needs; never repeats it, since it may be a private one.
 */
export const checkPublicKey = (pem: string, { kind }: ClientTransport): string =>
  (kind === 'soap' ? readRsaPublicKey(pem) : readPublicKey(pem, 'ed25519'))
    .export({ type: 'spki', format: 'pem' })
    .toString();

/** Throws `USAGE` for an address that cannot be called, or through which rows would travel unprotected. */
export function checkTransport(transport: ClientTransport, insecure: boolean): void {
  if (transport.kind === 'dialled') return;
  const url = URL.parse(transport.url);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new SpeilError('USAGE', 'the address of the client is not a URL of http or https', {
      hint: 'Write it as https://mirror.example:8400.',
    });
  }
  if (url.username !== '' || url.password !== '') {
    throw new SpeilError('USAGE', 'the address of the client has a user name or password in it', {
      hint: 'Leave it out: the center proves itself by its key.',
    });
  }
  if (url.protocol === 'https:' || insecure || isLoopback(url.hostname)) return;
  throw new SpeilError('USAGE', `${url.origin} is not encrypted, and not on this machine`, {
    hint: 'Give the client a certificate and write https://…, or start the center with --insecure.',
  });
}
