import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { CompactSign } from 'jose';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { newKeys } from '../../../test/support/pushed-mirror.ts';
import { type CallTokenVerifierOptions, createCallTokenVerifier, newNonce, signCallToken } from './call-token.ts';
import { bodyDigest } from './digest.ts';
import { keyId } from './keys.ts';

const center = newKeys();
const body = Buffer.from('a body');
const START_MS = Date.UTC(2026, 0, 1, 12);
const MINUTE_MS = 60_000;

const callOf = (more: object = {}) => ({
  tenant: 'acme',
  application: 'my-app',
  call: 'row-data' as const,
  digest: bodyDigest(body),
  nonce: newNonce(),
  ...more,
});

const signed = (more: object = {}, keys = center): string =>
  signCallToken(keys.secret, keyId(keys.open), callOf(more), new ManualClock(START_MS));

const verifierAt = (nowMs: number, more: Partial<CallTokenVerifierOptions> = {}) =>
  createCallTokenVerifier({ trusted: [center.open], application: 'my-app', clock: new ManualClock(nowMs), ...more });

const verifiedAt = async (nowMs: number, token: string, more: Partial<CallTokenVerifierOptions> = {}) =>
  verifierAt(nowMs, more).verify(token, 'row-data', body);

const refused =
  (about: string, message: RegExp = /./) =>
  (error: Error & { code?: string }) => {
    assert.equal(error.code, 'TRUST_REFUSED', String(error));
    assert.equal(error.message.split(':')[0], about, error.message);
    assert.match(error.message, message);
    return true;
  };

/** A token whose claims are not those that we would make. */
const forged = (claims: object, header: object = {}) =>
  new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: 'EdDSA', kid: keyId(center.open), ...header })
    .sign(center.secret);

const claimsOf = (token: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());

test('a token proves tenant and nonce of its call', async () => {
  const nonce = newNonce();
  assert.match(nonce, /^[0-9A-F]{32}$/);
  assert.deepEqual(await verifiedAt(START_MS, signed({ nonce })), { tenant: 'acme', nonce });
});

test('a token holds from a minute before to five minutes after, to the second and without allowance', async () => {
  const at = async (offsetMs: number) => verifiedAt(START_MS + offsetMs, signed());
  for (const offsetMs of [-MINUTE_MS, 0, 4 * MINUTE_MS + 59_000]) assert.ok(await at(offsetMs));
  for (const offsetMs of [5 * MINUTE_MS, 6 * MINUTE_MS]) await assert.rejects(at(offsetMs), refused('time', /expired/));
  await assert.rejects(at(-MINUTE_MS - 1), refused('time', /not good yet/));
});

test('a refusal for the time names both clocks', async () => {
  const token = signed();
  await assert.rejects(verifiedAt(START_MS + 7 * MINUTE_MS, token), refused('time', /12:07:00\.000Z.*12:00:00\.000Z/));
});

test('an allowance for the clocks widens the window on both sides', async () => {
  const skewMs = 2 * MINUTE_MS;
  assert.ok(await verifiedAt(START_MS + 6 * MINUTE_MS, signed(), { skewMs }));
  assert.ok(await verifiedAt(START_MS - 3 * MINUTE_MS, signed(), { skewMs }));
  await assert.rejects(verifiedAt(START_MS + 7 * MINUTE_MS, signed(), { skewMs }), refused('time'));
});

test('a token is good once, also while it holds', async () => {
  const verifier = verifierAt(START_MS);
  const token = signed();
  await verifier.verify(token, 'row-data', body);
  await assert.rejects(verifier.verify(token, 'row-data', body), refused('nonce', /used before/));
});

test('of tokens that come at the same time with one nonce one is good', async () => {
  const verifier = verifierAt(START_MS);
  const token = signed();
  const results = await Promise.allSettled([1, 2, 3].map(() => verifier.verify(token, 'row-data', body)));
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
});

test('a token that is refused uses its nonce not up', async () => {
  const verifier = verifierAt(START_MS);
  const token = signed();
  await assert.rejects(verifier.verify(token, 'row-data', Buffer.from('another')), refused('body'));
  assert.ok(await verifier.verify(token, 'row-data', body));
});

test('a token for another application, call or body is refused', async () => {
  await assert.rejects(verifiedAt(START_MS, signed({ application: 'other' })), refused('audience', /other.*my-app/));
  await assert.rejects(verifiedAt(START_MS, signed({ call: 'wipe' })), refused('call', /wipe.*row-data/));
  await assert.rejects(verifiedAt(START_MS, signed({ digest: bodyDigest(Buffer.from('a bodY')) })), refused('body'));
});

test('a key that is not trusted is refused, and one that says it is another', async () => {
  const stranger = newKeys();
  await assert.rejects(verifiedAt(START_MS, signed({}, stranger)), refused('signature', /not among the trusted/));
  const pretender = { secret: stranger.secret, open: center.open };
  await assert.rejects(verifiedAt(START_MS, signed({}, pretender)), refused('signature'));
});

test('several keys may be trusted, so that one can take the place of the other', async () => {
  const next = newKeys();
  const trusted = [center.open, next.open];
  for (const keys of [center, next]) assert.ok(await verifiedAt(START_MS, signed({}, keys), { trusted }));
});

test('other algorithms are refused, whatever the header says', async () => {
  const [, payload = ''] = signed().split('.');
  const header = (alg: string) => Buffer.from(JSON.stringify({ alg, kid: keyId(center.open) })).toString('base64url');
  await assert.rejects(verifiedAt(START_MS, `${header('none')}.${payload}.`), refused('signature'));
  const secret = center.open.export({ type: 'spki', format: 'pem' });
  const unsigned = `${header('HS256')}.${payload}`;
  const mac = createHmac('sha256', secret).update(unsigned).digest('base64url');
  await assert.rejects(verifiedAt(START_MS, `${unsigned}.${mac}`), refused('signature'));
});

test('a changed token is refused', async () => {
  const [header, payload = '', signature] = signed().split('.');
  const claims = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), sub: 'other' };
  const changed = Buffer.from(JSON.stringify(claims)).toString('base64url');
  await assert.rejects(verifiedAt(START_MS, `${header}.${changed}.${signature}`), refused('signature'));
});

test('what is no token is refused', async () => {
  for (const token of ['', 'x', 'a.b', 'a.b.c', '....', 'ey'.repeat(10_000)]) {
    await assert.rejects(verifiedAt(START_MS, token), refused('token'), token.slice(0, 10));
  }
});

test('claims that are not those of a call are refused, also when a trusted key signed them', async () => {
  const good = claimsOf(signed());
  const wrong = [
    { iss: 'other' },
    { sub: '../../etc' },
    { sub: '1st' },
    { sub: '' },
    { aud: ['my-app'] },
    { jti: 'short' },
    { jti: 'abcdef'.padEnd(32, '0') },
    { call: 'drop-everything' },
    { exp: '9999999999' },
    { nbf: -1 },
    { iat: undefined },
    { digest: 5 },
  ];
  for (const claims of wrong) {
    await assert.rejects(
      verifiedAt(START_MS, await forged({ ...good, ...claims })),
      refused('token'),
      JSON.stringify(claims),
    );
  }
  await assert.rejects(verifiedAt(START_MS, await forged([1])), refused('token'));
});

test('a token that would hold longer than six minutes is refused', async () => {
  const good = claimsOf(signed());
  const long = await forged({ ...good, exp: Number(good['exp']) + 1 });
  await assert.rejects(verifiedAt(START_MS, long), refused('time', /longer than six minutes/));
});

test('what can be said before the body has come is said then, and uses nothing up', async () => {
  const verifier = verifierAt(START_MS);
  const token = signed();
  await verifier.verifyHead(token, 'row-data');
  await verifier.verifyHead(token, 'row-data');
  await assert.rejects(verifier.verifyHead(token, 'wipe'), refused('call'));
  assert.ok(await verifier.verify(token, 'row-data', body));
});

test('when no more nonces can be remembered, calls are refused and may be repeated', async () => {
  const nonces = { use: () => 'full' as const };
  await assert.rejects(verifiedAt(START_MS, signed(), { nonces }), { code: 'TRUST_REFUSED', recovery: 'retry' });
});
