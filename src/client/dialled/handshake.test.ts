import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newKey, offBy } from '../../../test/support/dialled.ts';
import { systemClock } from '../../runtime/system-clock.ts';
import { signAnswerToken } from '../trust/answer-token.ts';
import { newNonce as newCallNonce, signCallToken } from '../trust/call-token.ts';
import { bodyDigest } from '../trust/digest.ts';
import { createKeyPair, keyId, readPrivateKey, readPublicKey } from '../trust/keys.ts';
import {
  claimedApplication,
  newNonce,
  readSigned,
  type Signed,
  signHello,
  signProof,
  signWelcome,
  verifyHello,
  verifyProof,
  verifyWelcome,
} from './handshake.ts';

const [center, application, other] = [newKey(), newKey(), newKey()];
const nonces = { nonce: newNonce(), clientNonce: newNonce() };
const claims = { application: 'app', ...nonces, version: '1', instance: newNonce(), callBytesMax: 1_000 };
const expected = { ...nonces, application: 'app', keys: [application.public] };
const hello = { trusted: [center.public], clientNonce: nonces.clientNonce };
const refused = (about: string) => ({ code: 'TRUST_REFUSED', message: new RegExp(`^${about}: `) });

test('each step is taken by the other side', async () => {
  await verifyHello(await signHello(center.private, nonces, systemClock), hello, systemClock);
  const signed = await signProof(application.private, claims, systemClock);
  assert.equal(claimedApplication(readSigned(JSON.parse(JSON.stringify(signed)))), 'app');
  assert.equal((await verifyProof(signed, expected, systemClock)).callBytesMax, 1_000);
  await verifyWelcome(await signWelcome(center.private, nonces), [center.public], nonces);
});

test('an application whose key is RSA proves itself as well', async () => {
  const { privatePem, publicPem } = createKeyPair('rsa');
  const signed = await signProof(readPrivateKey(privatePem), claims, systemClock);
  await verifyProof(signed, { ...expected, keys: [readPublicKey(publicPem)] }, systemClock);
});

test('a hello of another center, or for another connection, is refused', async () => {
  await assert.rejects(
    verifyHello(await signHello(other.private, nonces, systemClock), hello, systemClock),
    refused('signature'),
  );
  const forged: Signed = { ...(await signHello(other.private, nonces, systemClock)), keyId: keyId(center.public) };
  await assert.rejects(verifyHello(forged, hello, systemClock), refused('signature'));
  const replayed = await signHello(center.private, { ...nonces, clientNonce: newNonce() }, systemClock);
  await assert.rejects(verifyHello(replayed, hello, systemClock), refused('nonce'));
});

test('a proof with another key, of another application or for another connection is refused', async () => {
  const byOther = await signProof(other.private, claims, systemClock);
  await assert.rejects(verifyProof(byOther, expected, systemClock), refused('signature'));
  const forged: Signed = { ...byOther, keyId: keyId(application.public) };
  await assert.rejects(verifyProof(forged, expected, systemClock), refused('signature'));
  const replayed = await signProof(application.private, { ...claims, nonce: newNonce() }, systemClock);
  await assert.rejects(verifyProof(replayed, expected, systemClock), refused('nonce'));
});

test('clocks may differ as those of call tokens may', async () => {
  const late = 5 * 60_000 - 1_000;
  for (const ms of [-59_000, late]) {
    await verifyProof(await signProof(application.private, claims, offBy(-ms)), expected, systemClock);
    await verifyHello(await signHello(center.private, nonces, offBy(-ms)), hello, systemClock);
  }
  for (const ms of [-61_000, 5 * 60_000 + 1_000]) {
    const proof = await signProof(application.private, claims, offBy(-ms));
    await assert.rejects(verifyProof(proof, expected, systemClock), refused('time'));
    const early = await signHello(center.private, nonces, offBy(-ms));
    await assert.rejects(verifyHello(early, hello, systemClock), refused('time'));
  }
});

test('what was signed for something else is good for nothing here', async () => {
  const token = signCallToken(
    center.private,
    keyId(center.public),
    { tenant: 't', application: 'app', call: 'wipe', digest: bodyDigest(Buffer.alloc(0)), nonce: newCallNonce() },
    systemClock,
  );
  const callToken: Signed = { keyId: keyId(center.public), jws: token };
  await assert.rejects(verifyHello(callToken, hello, systemClock), refused('signature'));
  await assert.rejects(verifyWelcome(callToken, [center.public], nonces), refused('signature'));
  const answer = { nonce: nonces.nonce, tenant: 't', application: 'app', body: Buffer.alloc(0) };
  const jws = await signAnswerToken(application.private, answer, systemClock);
  const proof: Signed = { keyId: keyId(application.public), jws };
  await assert.rejects(verifyProof(proof, expected, systemClock), refused('signature'));
  const asWelcome = await signHello(center.private, nonces, systemClock);
  await assert.rejects(verifyWelcome(asWelcome, [center.public], nonces), refused('signature'));
});

test('messages that are no proofs are refused', () => {
  for (const json of [undefined, null, 1, {}, { keyId: 'x' }, { keyId: 'x', jws: 'y'.repeat(5_000) }]) {
    assert.throws(() => readSigned(json), refused('token'));
  }
  for (const jws of ['', 'a.b.c', `a.${Buffer.from('{}').toString('base64url')}.c`]) {
    assert.throws(() => claimedApplication({ keyId: 'x', jws }), refused('token'));
  }
});
