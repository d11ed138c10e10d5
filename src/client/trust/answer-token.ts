import { createPublicKey, type KeyObject } from 'node:crypto';
import { CompactSign, compactVerify } from 'jose';
import * as z from 'zod';
import type { Clock } from '../../core/clock.ts';
import { TOKEN_CHARACTERS_MAX } from './call-token.ts';
import { bodyDigest, equalInConstantTime } from './digest.ts';
import { keyId, kindOf } from './keys.ts';
import { isoTime, trustRefused } from './refusal.ts';

/** The clocks of the two sides may differ by less than this, as in SuperOffice's contract. */
const DRIFT_MS = 15 * 60_000;

/** What an application says of itself when it answers `authenticate`. */
export type AnswerToProve = {
  /** That of the call's token. */
  readonly nonce: string;
  readonly tenant: string;
  readonly application: string;
  /** The bytes of the answer. */
  readonly body: Uint8Array;
};

const ClaimsShape = z.object({
  nonce: z.string().max(100),
  tenant: z.string().max(200),
  application: z.string().max(200),
  digest: z.string().max(100),
  /** Milliseconds since 1970. */
  time: z.number(),
});
type Claims = z.output<typeof ClaimsShape>;

/** An application may have one key for both contracts; which algorithm is right follows from the key alone. */
const algorithmOf = (key: KeyObject): string => (kindOf(key) === 'rsa' ? 'RS256' : 'EdDSA');

/** Proves that whoever answers has the application's private key, now and for this answer: a JWS. */
export function signAnswerToken(key: KeyObject, answer: AnswerToProve, clock: Clock): Promise<string> {
  const { nonce, tenant, application, body } = answer;
  const claims: Claims = { nonce, tenant, application, digest: bodyDigest(body), time: clock.now() };
  return new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: algorithmOf(key), kid: keyId(key) })
    .sign(key);
}

/** Throws `TRUST_REFUSED` unless the token proves the answer. */
export async function verifyAnswerToken(
  publicKey: KeyObject,
  token: string,
  answer: AnswerToProve,
  clock: Clock,
): Promise<void> {
  const claims = await readClaims(publicKey, token);
  if (!equalInConstantTime(claims.nonce, answer.nonce)) {
    throw trustRefused('nonce', 'the application proved another call than this one');
  }
  if (claims.application !== answer.application || claims.tenant !== answer.tenant) {
    throw trustRefused('audience', `the answer is that of ${claims.application} for the tenant ${claims.tenant}`);
  }
  const nowMs = clock.now();
  if (!(Math.abs(claims.time - nowMs) < DRIFT_MS)) {
    const clocks = `here it is ${isoTime(nowMs)}, at the application it is ${isoTime(claims.time)}`;
    throw trustRefused('time', `the clocks differ by 15 minutes or more: ${clocks}`);
  }
  if (!equalInConstantTime(claims.digest, bodyDigest(answer.body))) {
    throw trustRefused('body', 'the answer is not the one that the application proved');
  }
}

async function readClaims(publicKey: KeyObject, token: string): Promise<Claims> {
  try {
    if (token.length > TOKEN_CHARACTERS_MAX) throw new Error('too long');
    const key = publicKey.type === 'private' ? createPublicKey(publicKey) : publicKey;
    const { payload } = await compactVerify(token, key, { algorithms: [algorithmOf(key)] });
    return ClaimsShape.parse(JSON.parse(Buffer.from(payload).toString()));
  } catch {
    throw trustRefused('signature', 'whoever answered could not prove to be the application', {
      hint: `The public key that is registered for the application is ${keyId(publicKey)}; is it the other half of the client’s --key?`,
    });
  }
}
