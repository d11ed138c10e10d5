import assert from 'node:assert/strict';
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  X509Certificate,
} from 'node:crypto';
import { test } from 'node:test';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { selfSigned } from '../../../test/support/certificate.ts';
import { SpeilError } from '../../core/error.ts';
import { createNonceMemory } from '../trust/nonces.ts';
import { readRsaPrivateKey, readRsaPublicKey, rsaSigningKey } from './rsa-keys.ts';
import {
  signApplicationToken,
  signSignedToken,
  TENANT_CLAIM,
  type TokenRules,
  verifyApplicationToken,
  verifySignedToken,
} from './signed-token.ts';

const MINUTE = 60_000;
const NOW = Date.UTC(2026, 10, 22, 12, 0, 0);
const vendor = generateKeyPairSync('rsa', { modulusLength: 2048 });
const app = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = rsaSigningKey(vendor.privateKey, null);

const signed = (more: { readonly application?: string; readonly issuer?: string; readonly tenant?: string } = {}) =>
  signSignedToken({ key, tenant: 'Cust10195', application: 'app-1', nowMs: NOW, ...more });

const rules = (more: Partial<TokenRules> = {}): TokenRules => {
  const nowMs = more.nowMs ?? NOW;
  const clock = { now: () => nowMs, monotonicMs: () => 0, sleep: async () => {} };
  return {
    trusted: [vendor.publicKey],
    application: 'app-1',
    nowMs,
    nonces: createNonceMemory(clock),
    ...more,
  };
};

const refused = (why: RegExp) => (error: unknown) => {
  assert.ok(error instanceof SpeilError, String(error));
  assert.equal(error.code, 'TRUST_REFUSED');
  assert.match(error.message, why);
  return true;
};

/** A token that differs from a good one in its claims or header. */
const forged = (claims: Record<string, unknown>, by: KeyObject | Uint8Array = vendor.privateKey, alg = 'RS256') =>
  new SignJWT({
    sub: 'Cust10195',
    nonce: 'A'.repeat(32),
    [TENANT_CLAIM]: 'Cust10195',
    nbf: NOW / 1000 - 60,
    exp: NOW / 1000 + 300,
    iss: 'SuperOffice AS',
    aud: 'spn:app-1',
    ...claims,
  })
    .setProtectedHeader({ alg, typ: 'JWT' })
    .sign(by);

test('the token is the one of the contract', async () => {
  const { token, nonce } = await signed();
  assert.match(nonce, /^[0-9A-F]{32}$/);
  assert.deepEqual(decodeProtectedHeader(token), { alg: 'RS256', kid: key.keyId, typ: 'JWT' });
  assert.deepEqual(decodeJwt(token), {
    sub: 'Cust10195',
    nonce,
    [TENANT_CLAIM]: 'Cust10195',
    nbf: NOW / 1000 - 60,
    exp: NOW / 1000 + 300,
    iss: 'SuperOffice AS',
    aud: 'spn:app-1',
  });
  assert.notEqual((await signed()).nonce, nonce);
  assert.deepEqual(await verifySignedToken(token, rules()), { tenant: 'Cust10195', nonce });
});

test('a certificate is named in the header by its thumbprint', async () => {
  const { cert: certificate, key: privateKey } = selfSigned({ kind: 'rsa' });
  const thumbprint = new X509Certificate(certificate).fingerprint.replaceAll(':', '');
  const named = rsaSigningKey(createPrivateKey(privateKey), certificate);
  const { token } = await signSignedToken({ key: named, tenant: 't', application: 'app-1', nowMs: NOW });
  assert.deepEqual(decodeProtectedHeader(token), {
    alg: 'RS256',
    kid: thumbprint,
    x5t: Buffer.from(thumbprint, 'hex').toString('base64url'),
    typ: 'JWT',
  });
  const trusted = [readRsaPublicKey(certificate)];
  assert.equal((await verifySignedToken(token, rules({ trusted }))).tenant, 't');
  assert.throws(() => rsaSigningKey(vendor.privateKey, certificate), { code: 'USAGE' });
});

test('the window is a minute before and five minutes after, with nothing added', async () => {
  const { token } = await signed();
  const at = (ms: number) => verifySignedToken(token, rules({ nowMs: NOW + ms }));
  await at(-MINUTE);
  await at(4 * MINUTE + 59_000);
  await assert.rejects(at(-MINUTE - 1000), refused(/not valid yet/));
  await assert.rejects(at(5 * MINUTE), refused(/no longer valid/));
  await assert.rejects(at(6 * MINUTE), refused(/no longer valid/));
});

test('a nonce is taken once, and none when there is no room for it', async () => {
  const { token } = await signed();
  const known = rules();
  await verifySignedToken(token, known);
  await assert.rejects(verifySignedToken(token, known), refused(/used before/));
  const clock = { now: () => NOW, monotonicMs: () => 0, sleep: async () => {} };
  await assert.rejects(verifySignedToken(token, rules({ nonces: createNonceMemory(clock, 0) })), refused(/too many/));
  const refusedFirst = rules();
  await assert.rejects(verifySignedToken(token, { ...refusedFirst, application: 'other' }), refused(/another app/));
  await verifySignedToken(token, refusedFirst);
});

test('tokens for others, by others, and of other kinds are refused', async () => {
  const verify = (token: string, more: Partial<TokenRules> = {}) => verifySignedToken(token, rules(more));
  await assert.rejects(
    signed({ application: 'app-2' }).then(({ token }) => verify(token)),
    refused(/another app/),
  );
  await assert.rejects(
    signed({ issuer: 'Somebody' }).then(({ token }) => verify(token)),
    refused(/another issuer/),
  );
  await assert.rejects(verify(await forged({}, app.privateKey)), refused(/no trusted key/));
  await assert.rejects(verify(await forged({}), { trusted: [] }), refused(/no signed token/));
  const publicPem = Buffer.from(vendor.publicKey.export({ type: 'spki', format: 'pem' }));
  await assert.rejects(verify(await forged({}, publicPem, 'HS256')), refused(/not signed by RS256/));
  await assert.rejects(verify(await forged({}, vendor.privateKey, 'RS512')), refused(/not signed by RS256/));
  const [, payload] = (await forged({})).split('.');
  const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`;
  await assert.rejects(verify(none), refused(/./));
  for (const garbage of ['', 'a', 'a.b.c', '...', 'x'.repeat(20_000)])
    await assert.rejects(verify(garbage), refused(/./));
});

test('claims are all there and agree', async () => {
  const verify = async (claims: Record<string, unknown>) => verifySignedToken(await forged(claims), rules());
  assert.equal((await verify({})).tenant, 'Cust10195');
  await assert.rejects(verify({ sub: 'Cust1' }), refused(/two tenants/));
  await assert.rejects(verify({ [TENANT_CLAIM]: 'Cust1' }), refused(/two tenants/));
  await assert.rejects(verify({ [TENANT_CLAIM]: undefined }), refused(/missing/));
  await assert.rejects(verify({ [TENANT_CLAIM]: 5, sub: 5 }), refused(/./));
  await assert.rejects(verify({ [TENANT_CLAIM]: '', sub: '' }), refused(/no tenant/));
  await assert.rejects(verify({ nonce: undefined }), refused(/missing/));
  await assert.rejects(verify({ nonce: 'A'.repeat(31) }), refused(/32 hex/));
  await assert.rejects(verify({ nbf: undefined }), refused(/missing/));
  await assert.rejects(verify({ exp: undefined }), refused(/missing/));
  await assert.rejects(verify({ exp: NOW / 1000 + 86_400 }), refused(/too long/));
});

test('a key is changed without a pause: either may have signed', async () => {
  const trusted = [app.publicKey, vendor.publicKey];
  assert.equal((await verifySignedToken(await forged({}), rules({ trusted }))).tenant, 'Cust10195');
});

const answer = (nowMs = NOW) => signApplicationToken('ABC', nowMs, app.privateKey);
const check = (text: string, nowMs = NOW) =>
  verifyApplicationToken(text, { nonce: 'ABC', publicKey: app.publicKey, nowMs });

test('the answer is nonce, minute and signature', () => {
  const [nonce, time, signature = ''] = answer().split('.');
  assert.deepEqual([nonce, time], ['ABC', '202611221200']);
  const expected = sign('RSA-SHA256', Buffer.from('ABC.202611221200'), app.privateKey).toString('base64');
  assert.equal(signature, expected);
  check(answer());
});

test('an answer is taken up to 14 minutes away, not from 15 on', () => {
  for (const side of [-1, 1]) {
    check(answer(NOW + side * 14 * MINUTE));
    assert.throws(() => check(answer(NOW + side * 15 * MINUTE)), refused(/15 minutes/));
    assert.throws(() => check(answer(NOW + side * 600 * MINUTE)), refused(/15 minutes/));
  }
});

test('an answer that is not of this form, nonce or key is refused, and nothing else is thrown', () => {
  const [nonce = '', time = '', signature = ''] = answer().split('.');
  const signedAs = (text: string) => `${text}.${sign('sha256', Buffer.from(text), app.privateKey).toString('base64')}`;
  const bad: readonly [string, RegExp][] = [
    ['', /1 parts/],
    [`${nonce}.${time}`, /2 parts/],
    [`${answer()}.x`, /4 parts/],
    [`OTHER.${time}.${signature}`, /another nonce/],
    [signedAs(`OTHER.${time}`), /another nonce/],
    [`${nonce}.${time}.!!!!`, /not base64/],
    [`${nonce}.${time}.${signature.slice(0, -1)}`, /not base64/],
    [`${nonce}.${time}.`, /not base64/],
    [`${nonce}.${time}.${Buffer.from('short').toString('base64')}`, /did not sign/],
    [`${nonce}.202611221201.${signature}`, /did not sign/],
    [signApplicationToken('ABC', NOW, vendor.privateKey), /did not sign/],
    [signedAs('ABC.20261122120'), /yyyyMMddHHmm/],
    [signedAs('ABC.202613221200'), /yyyyMMddHHmm/],
    [signedAs('ABC.202611311200'), /yyyyMMddHHmm/],
    [signedAs('ABC.2026-11-22'), /yyyyMMddHHmm/],
    ['x'.repeat(20_000), /too long/],
  ];
  for (const [text, why] of bad) assert.throws(() => check(text), refused(why), text.slice(0, 60));
});

const base64 = (base64url = '') => Buffer.from(base64url, 'base64url').toString('base64');

test('keys are read in the XML form of .NET, and as PEM', () => {
  const { n, e, d, p, q, dp, dq, qi } = app.privateKey.export({ format: 'jwk' });
  const half = `<Modulus>${base64(n)}</Modulus><Exponent>${base64(e)}</Exponent>`;
  const rest = `<P>${base64(p)}</P><Q>${base64(q)}</Q><DP>${base64(dp)}</DP><DQ>${base64(dq)}</DQ><InverseQ>${base64(qi)}</InverseQ><D>${base64(d)}</D>`;
  const publicXml = `<RSAKeyValue>${half}</RSAKeyValue>`;
  const privateXml = `\uFEFF<RSAKeyValue>${half}${rest}</RSAKeyValue>`;
  const text = signApplicationToken('ABC', NOW, readRsaPrivateKey(privateXml));
  assert.equal(text, answer());
  verifyApplicationToken(text, { nonce: 'ABC', publicKey: readRsaPublicKey(publicXml), nowMs: NOW });
  const pem = app.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  assert.ok(readRsaPublicKey(pem).equals(createPublicKey(app.privateKey)));
  const unreadable = (read: () => unknown) =>
    assert.throws(read, (error: unknown) => {
      assert.ok(error instanceof SpeilError);
      assert.equal(error.code, 'USAGE');
      assert.equal(error.message.includes(base64(d).slice(0, 20)), false);
      return true;
    });
  unreadable(() => readRsaPublicKey(privateXml));
  unreadable(() => readRsaPrivateKey(publicXml));
  unreadable(() => readRsaPrivateKey('<RSAKeyValue></RSAKeyValue>'));
  unreadable(() => readRsaPrivateKey('nothing'));
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
  unreadable(() =>
    readRsaPublicKey(
      `<RSAKeyValue><Modulus>${base64(small.n)}</Modulus><Exponent>${base64(small.e)}</Exponent></RSAKeyValue>`,
    ),
  );
});
