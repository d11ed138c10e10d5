import { createPublicKey, type KeyObject } from 'node:crypto';
import { SpeilError } from '../core/error.ts';
import { readRsaPrivateKey, readRsaPublicKey } from './soap/rsa-keys.ts';
import { keyId, kindOf, readPrivateKey, readPublicKey } from './trust/keys.ts';

/** The keys of a mirror client, sorted by the contract that they serve. */
export type ServiceKeys = {
  /** Ed25519: proves the answers of the native contract; null when only SOAP is spoken. */
  readonly native: KeyObject | null;
  /** RSA: the same for SuperOffice's contract; null when it is not spoken. */
  readonly soap: KeyObject | null;
  /** Whose native calls are taken. */
  readonly trusted: readonly KeyObject[];
  /** Whose SOAP calls are taken. */
  readonly trustedSoap: readonly KeyObject[];
};

export type KeyTexts = {
  /** Private keys: PEM, or for RSA the XML text that .NET writes. At most one of each kind. */
  readonly keys: readonly string[];
  /** Public keys or certificates of those who may call. */
  readonly trust: readonly string[];
};

const isXml = (text: string): boolean => text.includes('<RSAKeyValue>');

/** Either half of a key, to name it. Throws `USAGE`. */
export function readAnyKey(text: string): { readonly key: KeyObject; readonly isPrivate: boolean } {
  const isPrivate = /PRIVATE KEY-----|<D>/.test(text);
  const [fromXml, fromPem] = isPrivate ? [readRsaPrivateKey, readPrivateKey] : [readRsaPublicKey, readPublicKey];
  return { key: isXml(text) ? fromXml(text) : fromPem(text), isPrivate };
}

/** Throws `USAGE` for keys that do not fit together. With `soap` there has to be an RSA key, without it an Ed25519 key. */
export function readServiceKeys({ keys, trust }: KeyTexts, { soap }: { readonly soap: boolean }): ServiceKeys {
  const own = keys.map((text) => (isXml(text) ? readRsaPrivateKey(text) : readPrivateKey(text)));
  const trusted = trust.map((text) => (isXml(text) ? readRsaPublicKey(text) : readPublicKey(text)));
  const read: ServiceKeys = {
    native: only(own, 'ed25519'),
    soap: soap ? only(own, 'rsa') : null,
    trusted: trusted.filter((key) => kindOf(key) === 'ed25519'),
    trustedSoap: trusted.filter((key) => kindOf(key) === 'rsa'),
  };
  refuseUseless(read, soap);
  refuseOwn(own, trusted);
  return read;
}

function only(keys: readonly KeyObject[], kind: 'ed25519' | 'rsa'): KeyObject | null {
  const [key, second] = keys.filter((candidate) => kindOf(candidate) === kind);
  if (second === undefined) return key ?? null;
  throw usage(`there are two private ${kind} keys`, 'A mirror client proves itself with one key for each contract.');
}

function refuseUseless({ native, soap: rsa, trusted, trustedSoap }: ServiceKeys, soap: boolean): void {
  if (soap && rsa === null) {
    throw usage('SOAP needs a private RSA key', 'Make one: speil keys create soap.key --rsa; then --key soap.key');
  }
  if (soap && trustedSoap.length === 0) {
    throw usage('SOAP needs the certificate or public RSA key of who may call', 'Name its file with --trust.');
  }
  if (!soap && native === null) {
    throw usage('there is no private Ed25519 key', 'Make one: speil keys create app.key; then --key app.key');
  }
  if (native !== null && trusted.length === 0) {
    throw usage('nobody is trusted: there is no public Ed25519 key of a center', 'Name its center.pub with --trust.');
  }
}

/** A public key that is the application's own is a mistake that would let the application call itself. */
function refuseOwn(own: readonly KeyObject[], trusted: readonly KeyObject[]): void {
  const ids = new Set(own.map((key) => keyId(createPublicKey(key))));
  if (!trusted.some((key) => ids.has(keyId(key)))) return;
  throw usage('the application’s own public key is among those that are trusted', '--trust takes the center’s key.');
}

const usage = (message: string, hint: string): SpeilError => new SpeilError('USAGE', message, { hint });
