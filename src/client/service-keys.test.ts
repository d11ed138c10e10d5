import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { readAnyKey, readServiceKeys } from './service-keys.ts';
import { createKeyPair, keyId } from './trust/keys.ts';

const [app, center, soap, vendor] = [
  createKeyPair('ed25519'),
  createKeyPair('ed25519'),
  createKeyPair('rsa'),
  createKeyPair('rsa'),
];
const idOf = (publicPem: string): string => keyId(createPublicKey(publicPem));

test('keys are sorted by the contract that they serve', () => {
  const keys = [soap.privatePem, app.privatePem];
  const trust = [vendor.publicPem, center.publicPem];
  const both = readServiceKeys({ keys, trust }, { soap: true });
  assert.equal(both.native && keyId(both.native), idOf(app.publicPem));
  assert.equal(both.soap && keyId(both.soap), idOf(soap.publicPem));
  assert.deepEqual(
    [both.trusted.map(keyId), both.trustedSoap.map(keyId)],
    [[idOf(center.publicPem)], [idOf(vendor.publicPem)]],
  );
  assert.equal(readServiceKeys({ keys, trust }, { soap: false }).soap, null);
  const only = readServiceKeys({ keys: [soap.privatePem], trust: [vendor.publicPem] }, { soap: true });
  assert.equal(only.native, null);
});

test('keys that do not fit together are refused, and why', () => {
  const cases: readonly (readonly [readonly string[], readonly string[], boolean, RegExp])[] = [
    [[soap.privatePem], [center.publicPem], false, /no private Ed25519 key/],
    [[], [center.publicPem], false, /no private Ed25519 key/],
    [[app.privatePem], [], false, /nobody is trusted/],
    [[app.privatePem], [vendor.publicPem], false, /nobody is trusted/],
    [[app.privatePem], [center.publicPem], true, /SOAP needs a private RSA key/],
    [[app.privatePem, soap.privatePem], [center.publicPem], true, /certificate or public RSA key/],
    [[app.privatePem, center.privatePem], [center.publicPem], false, /two private ed25519 keys/],
    [[app.privatePem], [center.publicPem, app.publicPem], false, /own public key is among those/],
    [[app.publicPem], [center.publicPem], false, /this is a public key/],
    [[app.privatePem], [center.privatePem], false, /this is a private key/],
    [['nonsense'], [center.publicPem], false, /not a private key/],
  ];
  for (const [keys, trust, isSoap, message] of cases) {
    assert.throws(() => readServiceKeys({ keys, trust }, { soap: isSoap }), { code: 'USAGE', message });
  }
});

test('either half of a key is read to name it', () => {
  for (const { privatePem, publicPem } of [app, soap]) {
    const [secret, open] = [readAnyKey(privatePem), readAnyKey(publicPem)];
    assert.deepEqual([secret.isPrivate, open.isPrivate, keyId(secret.key)], [true, false, keyId(open.key)]);
  }
});
