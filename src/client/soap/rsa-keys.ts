import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { SpeilError } from '../../core/error.ts';
import { keyId, readPrivateKey, readPublicKey } from '../trust/keys.ts';

/** A private RSA key of this contract and how its signatures name it. */
export type RsaSigningKey = {
  readonly privateKey: KeyObject;
  /** `kid` of the token: the certificate's thumbprint in upper-case hex, or a digest of the public key. */
  readonly keyId: string;
  /** `x5t` of the token: the certificate's thumbprint in base64url; null without a certificate. */
  readonly thumbprint: string | null;
};

/** Reads a private RSA key: PEM, or the XML text that .NET writes. Throws `USAGE`; never shows the key. */
export const readRsaPrivateKey = (text: string): KeyObject =>
  readPrivateKey(isXml(text) ? pemOfXml(text, 'private') : text, 'rsa');

/** Reads a public RSA key: PEM, a certificate in PEM, or the XML text that .NET writes. Throws `USAGE`. */
export const readRsaPublicKey = (text: string): KeyObject =>
  readPublicKey(isXml(text) ? pemOfXml(text, 'public') : text, 'rsa');

/** A key to sign with. `certificate` is PEM and must be of that key. Throws `USAGE`. */
export function rsaSigningKey(privateKey: KeyObject, certificate: string | null): RsaSigningKey {
  if (certificate === null) return { privateKey, keyId: keyId(privateKey), thumbprint: null };
  const parsed = parseCertificate(certificate);
  if (!parsed.checkPrivateKey(privateKey)) throw unusable('the certificate does not belong to the private key');
  const thumbprint = Buffer.from(parsed.fingerprint.replaceAll(':', ''), 'hex');
  return {
    privateKey,
    keyId: thumbprint.toString('hex').toUpperCase(),
    thumbprint: thumbprint.toString('base64url'),
  };
}

function parseCertificate(text: string): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch {
    throw unusable('this is not a certificate in PEM');
  }
}

const unusable = (why: string): SpeilError =>
  new SpeilError('USAGE', why, {
    hint: 'SuperOffice’s contract wants RSA keys, as PEM or as <RSAKeyValue>…</RSAKeyValue>.',
  });

const isXml = (text: string): boolean => /^(?:\uFEFF|<\?xml[^>]*>|\s)*<RSAKeyValue>/.test(text);

/** The text of a key of 16,384 bits is shorter. */
const XML_CHARS_MAX = 32_000;
/** Elements of the XML form, and what a JSON web key calls them. */
const PUBLIC_PARTS = { Modulus: 'n', Exponent: 'e' } as const;
const PRIVATE_PARTS = { ...PUBLIC_PARTS, P: 'p', Q: 'q', DP: 'dp', DQ: 'dq', InverseQ: 'qi', D: 'd' } as const;

function pemOfXml(xml: string, half: 'private' | 'public'): string {
  if (half === 'public' && xml.includes('<D>')) {
    throw unusable('this is a private key; a public one is needed here');
  }
  try {
    return half === 'private'
      ? createPrivateKey(jwkOf(xml, PRIVATE_PARTS)).export({ type: 'pkcs8', format: 'pem' })
      : createPublicKey(jwkOf(xml, PUBLIC_PARTS)).export({ type: 'spki', format: 'pem' });
  } catch {
    throw unusable(`this is not a ${half} RSA key in XML`);
  }
}

function jwkOf(xml: string, parts: Readonly<Record<string, string>>) {
  if (xml.length > XML_CHARS_MAX) throw new Error('too long');
  const key: Record<string, string> = { kty: 'RSA' };
  for (const [element, name] of Object.entries(parts)) {
    const base64 = new RegExp(`<${element}>([A-Za-z0-9+/=\\s]+)</${element}>`).exec(xml)?.[1];
    if (base64 === undefined) throw new Error(`${element} is missing`);
    key[name] = Buffer.from(base64, 'base64').toString('base64url');
  }
  return { key, format: 'jwk' } as const;
}
