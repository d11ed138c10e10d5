import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, verify, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { selfSigned } from '../../../test/support/certificate.ts';
import { createKeyPair, keyId, kindOf, readPrivateKey, readPublicKey } from './keys.ts';

const pem = {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
} as const;
const usage = (message: RegExp) => ({ name: 'SpeilError', code: 'USAGE', message });

for (const kind of ['ed25519', 'rsa'] as const) {
  test(`a pair of keys for ${kind}: what one half signs the other verifies`, () => {
    const { privatePem, publicPem } = createKeyPair(kind);
    const [secret, open] = [readPrivateKey(privatePem, kind), readPublicKey(publicPem, kind)];
    assert.equal(kindOf(open), kind);
    const algorithm = kind === 'rsa' ? 'sha256' : null;
    assert.ok(verify(algorithm, Buffer.from('x'), open, sign(algorithm, Buffer.from('x'), secret)));
  });
}

test('both halves of a pair have one id, 43 characters, and no other pair has it', () => {
  const [one, other] = [createKeyPair('ed25519'), createKeyPair('ed25519')];
  assert.match(keyId(readPublicKey(one.publicPem)), /^[\w-]{43}$/);
  assert.equal(keyId(readPrivateKey(one.privatePem)), keyId(readPublicKey(one.publicPem)));
  assert.notEqual(keyId(readPublicKey(one.publicPem)), keyId(readPublicKey(other.publicPem)));
});

test('a certificate stands for the public key in it', () => {
  const { cert } = selfSigned({ kind: 'rsa' });
  assert.equal(keyId(readPublicKey(cert, 'rsa')), keyId(new X509Certificate(cert).publicKey));
});

test('one half given for the other is told apart, and not shown', () => {
  const { privatePem, publicPem } = createKeyPair('ed25519');
  assert.throws(() => readPrivateKey(publicPem), usage(/public key; a private one/));
  assert.throws(() => readPrivateKey(selfSigned().cert), usage(/public key; a private one/));
  const secretLine = privatePem.split('\n')[1] ?? '';
  assert.throws(
    () => readPublicKey(privatePem),
    (error: Error & { hint: string }) => {
      assert.match(error.message, /private key; a public one/);
      return !`${error.message}${error.hint}`.includes(secretLine);
    },
  );
});

test('what is no key, and keys of other kinds, are refused', () => {
  for (const text of ['', 'hello', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----']) {
    assert.throws(() => readPublicKey(text), usage(/not a public key/));
  }
  assert.throws(
    () => readPrivateKey('-----BEGIN PRIVATE KEY-----\n\n-----END PRIVATE KEY-----'),
    usage(/not a private/),
  );
  const elliptic = generateKeyPairSync('ec', { namedCurve: 'P-256', ...pem });
  assert.throws(() => readPublicKey(elliptic.publicKey), usage(/for ec; ed25519 or rsa/));
  const rsa = createKeyPair('rsa');
  assert.throws(() => readPublicKey(rsa.publicPem, 'ed25519'), usage(/for rsa; ed25519 is needed/));
  const short = generateKeyPairSync('rsa', { modulusLength: 1024, ...pem });
  assert.throws(() => readPrivateKey(short.privateKey), usage(/1024 bits is too short/));
});

test('a private key with a passphrase is explained', () => {
  const { privateKey } = generateKeyPairSync('ed25519', {
    ...pem,
    privateKeyEncoding: { ...pem.privateKeyEncoding, cipher: 'aes-256-cbc', passphrase: 'secret' },
  });
  assert.throws(() => readPrivateKey(privateKey), usage(/passphrase/));
});
