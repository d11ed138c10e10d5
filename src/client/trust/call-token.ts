import { createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';
import { compactVerify, decodeProtectedHeader } from 'jose';
import * as z from 'zod';
import type { Clock } from '../../core/clock.ts';
import { isTenantName } from '../../core/tenant-name.ts';
import { CALL_NAMES, type CallName } from '../exchange.ts';
import { bodyDigest, equalInConstantTime } from './digest.ts';
import { keyId } from './keys.ts';
import { createNonceMemory, type NonceMemory } from './nonces.ts';
import { isoTime, trustRefused } from './refusal.ts';

/** A token holds from a minute before it was made to five minutes after, as in SuperOffice's contract. */
const BEFORE_S = 60;
const AFTER_S = 300;
/** Ours have 600 to 700 characters. */
export const TOKEN_CHARACTERS_MAX = 4_096;

/** Random, 16 bytes as 32 upper-case hex digits; one for each call. */
export const newNonce = (): string => randomBytes(16).toString('hex').toUpperCase();

export type CallToSign = {
  readonly tenant: string;
  readonly application: string;
  readonly call: CallName;
  /** `bodyDigest` of the body as it is sent, compressed if so. */
  readonly digest: string;
  readonly nonce: string;
};

/**
 * A token for one call and its body: a JWS, EdDSA. Made at once: a call that waited for its token would let a source that
 * reads in this process have the next turn, and would be sent when that has read its next chunk.
 */
export function signCallToken(key: KeyObject, kid: string, call: CallToSign, clock: Clock): string {
  const nowS = Math.floor(clock.now() / 1000);
  const claims: Claims = {
    iss: 'speil',
    sub: call.tenant,
    aud: call.application,
    jti: call.nonce,
    call: call.call,
    digest: call.digest,
    iat: nowS,
    nbf: nowS - BEFORE_S,
    exp: nowS + AFTER_S,
  };
  const signed = `${asPart({ alg: 'EdDSA', kid, typ: 'JWT' })}.${asPart(claims)}`;
  return `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`;
}

const asPart = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

const Seconds = z.int().min(0).max(8e12);
const ClaimsShape = z.object({
  iss: z.literal('speil'),
  sub: z.string().refine(isTenantName),
  aud: z.string().min(1).max(200),
  jti: z.string().regex(/^[0-9A-F]{32}$/),
  call: z.enum(CALL_NAMES),
  digest: z.string().max(100),
  iat: Seconds,
  nbf: Seconds,
  exp: Seconds,
});
type Claims = z.output<typeof ClaimsShape>;

/** What a token proves. */
export type ProvedCall = { readonly tenant: string; readonly nonce: string };

export type CallTokenVerifierOptions = {
  readonly trusted: readonly KeyObject[];
  readonly application: string;
  readonly clock: Clock;
  readonly nonces?: NonceMemory | undefined;
  /** How far the two clocks may differ beyond what the token's window forgives; 0. */
  readonly skewMs?: number | undefined;
};

/** Both throw `TRUST_REFUSED` that says what it was: signature, audience, time, nonce, call, body or tenant. */
export interface CallTokenVerifier {
  /** Everything but body and nonce: what can be known before the body has come. */
  verifyHead(token: string, call: CallName): Promise<void>;
  /** Everything. A token is good once. */
  verify(token: string, call: CallName, body: Uint8Array): Promise<ProvedCall>;
}

export function createCallTokenVerifier(options: CallTokenVerifierOptions): CallTokenVerifier {
  const { application, clock, skewMs = 0, nonces = createNonceMemory(clock) } = options;
  const keys = new Map(options.trusted.map((key) => [keyId(key), key.type === 'private' ? createPublicKey(key) : key]));
  const verifyHead = async (token: string, call: CallName): Promise<Claims> => {
    const claims = readClaims(await verifySignature(token, keys));
    refuseOther(claims, application, call);
    refuseUntimely(claims, clock.now(), skewMs);
    return claims;
  };
  return {
    async verifyHead(token, call) {
      await verifyHead(token, call);
    },
    async verify(token, call, body) {
      const claims = await verifyHead(token, call);
      if (!equalInConstantTime(claims.digest, bodyDigest(body))) {
        throw trustRefused('body', 'the token was made for another body than the one that came');
      }
      refuseUsed(nonces.use(claims.jti, claims.exp * 1000 + skewMs));
      return { tenant: claims.sub, nonce: claims.jti };
    },
  };
}

async function verifySignature(token: string, keys: ReadonlyMap<string, KeyObject>): Promise<Uint8Array> {
  if (token.length > TOKEN_CHARACTERS_MAX) throw trustRefused('token', 'it is too long to be one of ours');
  const kid = keyNamedBy(token);
  const key = keys.get(kid);
  if (key === undefined) {
    throw trustRefused(
      'signature',
      `the key ${kid.slice(0, 43)} is not among the trusted (${[...keys.keys()].join(', ')})`,
    );
  }
  try {
    return (await compactVerify(token, key, { algorithms: ['EdDSA'] })).payload;
  } catch {
    throw trustRefused('signature', 'the token was not signed with the key that it names');
  }
}

function keyNamedBy(token: string): string {
  try {
    const { alg, kid } = decodeProtectedHeader(token);
    if (alg === 'EdDSA' && typeof kid === 'string') return kid;
  } catch {
    throw trustRefused('token', token === '' ? 'the call has none' : 'it cannot be read');
  }
  throw trustRefused('signature', 'the token is not signed by EdDSA with a key that it names');
}

function readClaims(payload: Uint8Array): Claims {
  try {
    return ClaimsShape.parse(JSON.parse(Buffer.from(payload).toString()));
  } catch {
    throw trustRefused('token', 'its claims are not those of a call, or its tenant’s name is none');
  }
}

function refuseOther(claims: Claims, application: string, call: CallName): void {
  if (claims.aud !== application) {
    throw trustRefused('audience', `the token is for the application ${claims.aud}, this is ${application}`);
  }
  if (claims.call !== call) throw trustRefused('call', `the token is for ${claims.call}, the call is ${call}`);
}

function refuseUntimely({ nbf, exp, iat }: Claims, nowMs: number, skewMs: number): void {
  const clocks = `here it is ${isoTime(nowMs)}, the token was made at ${isoTime(iat * 1000)} by the caller’s clock`;
  if (exp - nbf > BEFORE_S + AFTER_S) throw trustRefused('time', 'the token holds longer than six minutes');
  if (nowMs < nbf * 1000 - skewMs) throw trustRefused('time', `the token is not good yet: ${clocks}`);
  if (nowMs >= exp * 1000 + skewMs) throw trustRefused('time', `the token has expired: ${clocks}`);
}

function refuseUsed(use: 'fresh' | 'used' | 'full'): void {
  if (use === 'used') throw trustRefused('nonce', 'this token was used before');
  if (use === 'full') {
    throw trustRefused('nonce', 'more calls came within six minutes than can be remembered', {
      recovery: 'retry',
      hint: 'Larger batches make fewer calls.',
    });
  }
}
