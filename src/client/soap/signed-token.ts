import { sign as cryptoSign, verify as cryptoVerify, type KeyObject, randomBytes } from 'node:crypto';
import { errors, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import { SpeilError } from '../../core/error.ts';
import type { NonceMemory } from '../trust/nonces.ts';
import type { RsaSigningKey } from './rsa-keys.ts';

/** Who signs in the vendor's cloud. */
export const TOKEN_ISSUER = 'SuperOffice AS';
/** The claim that says whose data it is. */
export const TENANT_CLAIM = 'http://schemes.superoffice.net/identity/ctx';

const VALID_BEFORE_MS = 60_000;
const VALID_AFTER_MS = 300_000;
/** A token's nonce is remembered until it ends; one that lives longer than this would have to be remembered too long. */
const LIFETIME_MS_MAX = 15 * 60_000;
/** Larger than any token of this contract. */
const TOKEN_CHARS_MAX = 16_384;
const TENANT_CHARS_MAX = 200;
/** From here on the clocks of both sides are too far apart. */
const DRIFT_MS = 15 * 60_000;

export type SignedTokenRequest = {
  readonly key: RsaSigningKey;
  readonly tenant: string;
  /** The client id of the application at the other end. */
  readonly application: string;
  /** Wall clock, milliseconds since 1970. */
  readonly nowMs: number;
  readonly issuer?: string | undefined;
};

export type SignedToken = { readonly token: string; readonly nonce: string };

/** The token of one call, with a nonce of its own. */
export async function signSignedToken(request: SignedTokenRequest): Promise<SignedToken> {
  const { key, tenant, application, nowMs, issuer = TOKEN_ISSUER } = request;
  const nonce = randomBytes(16).toString('hex').toUpperCase();
  const claims = { sub: tenant, nonce, [TENANT_CLAIM]: tenant };
  const token = await new SignJWT(claims)
    .setProtectedHeader({
      alg: 'RS256',
      kid: key.keyId,
      ...(key.thumbprint === null ? {} : { x5t: key.thumbprint }),
      typ: 'JWT',
    })
    .setNotBefore(new Date(nowMs - VALID_BEFORE_MS))
    .setExpirationTime(new Date(nowMs + VALID_AFTER_MS))
    .setIssuer(issuer)
    .setAudience(audienceOf(application))
    .sign(key.privateKey);
  return { token, nonce };
}

const audienceOf = (application: string): string => `spn:${application}`;

export type TokenRules = {
  /** Public keys of the environments that may send; any of them may have signed. */
  readonly trusted: readonly KeyObject[];
  /** Our own client id. */
  readonly application: string;
  readonly issuer?: string | undefined;
  readonly nowMs: number;
  readonly nonces: NonceMemory;
};

export type TokenIdentity = { readonly tenant: string; readonly nonce: string };

/** Checks the token of one call on its own. Throws `TRUST_REFUSED`, whatever is wrong with it. */
export async function verifySignedToken(token: string, rules: TokenRules): Promise<TokenIdentity> {
  const claims = await verifiedClaims(token, rules);
  const identity = { tenant: tenantOf(claims), nonce: nonceOf(claims) };
  const { exp = 0, nbf = 0 } = claims;
  if ((exp - nbf) * 1000 > LIFETIME_MS_MAX) throw refusedToken('it is valid for too long');
  const use = rules.nonces.use(identity.nonce.toUpperCase(), exp * 1000);
  if (use === 'used') throw refusedToken('its nonce was used before');
  if (use === 'full') throw refusedToken('too many calls came within minutes');
  return identity;
}

/** Times are compared with no allowance: the window of the token is wide enough. */
async function verifiedClaims(token: string, rules: TokenRules): Promise<JWTPayload> {
  if (token.length > TOKEN_CHARS_MAX) throw refusedToken('it is too long');
  let failure: unknown = new Error('no key is trusted');
  for (const key of rules.trusted) {
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: ['RS256'],
        issuer: rules.issuer ?? TOKEN_ISSUER,
        audience: audienceOf(rules.application),
        requiredClaims: ['sub', 'nonce', 'nbf', 'exp', TENANT_CLAIM],
        clockTolerance: 0,
        currentDate: new Date(rules.nowMs),
      });
      return payload;
    } catch (error) {
      failure = error;
      if (!isOtherKey(error)) break;
    }
  }
  throw refusedToken(reasonOf(failure), failure);
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

const isOtherKey = (error: unknown): boolean => codeOf(error) === 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED';

/** In our words: those of a library may repeat what a stranger sent. */
function reasonOf(error: unknown): string {
  switch (codeOf(error)) {
    case 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED':
      return 'no trusted key signed it';
    case 'ERR_JOSE_ALG_NOT_ALLOWED':
      return 'it is not signed by RS256';
    case 'ERR_JWT_EXPIRED':
      return 'it is no longer valid';
    case 'ERR_JWT_CLAIM_VALIDATION_FAILED':
      return claimReason(error);
    default:
      return 'it is no signed token';
  }
}

function claimReason(error: unknown): string {
  const isWrong = error instanceof errors.JWTClaimValidationFailed && error.reason === 'check_failed';
  return (isWrong && CLAIM_REASONS[error.claim]) || 'a claim is missing or of another type';
}

const CLAIM_REASONS: Readonly<Record<string, string>> = {
  nbf: 'it is not valid yet',
  exp: 'it is no longer valid',
  iss: 'another issuer made it',
  aud: 'it is for another application',
};

function tenantOf({ sub, [TENANT_CLAIM]: tenant }: JWTPayload): string {
  if (typeof tenant !== 'string' || tenant === '' || tenant.length > TENANT_CHARS_MAX)
    throw refusedToken('it names no tenant');
  if (sub !== tenant) throw refusedToken('it names two tenants');
  return tenant;
}

function nonceOf({ nonce }: JWTPayload): string {
  if (typeof nonce === 'string' && /^[0-9A-Fa-f]{32}$/.test(nonce)) return nonce;
  throw refusedToken('its nonce is not 32 hex digits');
}

const refusedToken = (why: string, cause?: unknown): SpeilError =>
  new SpeilError('TRUST_REFUSED', `the signed token was refused: ${why}`, {
    hint: 'Compare the certificate, the client id and the clocks of both sides.',
    cause,
  });

/** The answer to authenticate: `<nonce>.<yyyyMMddHHmm UTC>.<base64 signature over the first two>`. */
export function signApplicationToken(nonce: string, nowMs: number, key: KeyObject): string {
  const signed = `${nonce}.${minuteText(nowMs)}`;
  return `${signed}.${cryptoSign('sha256', Buffer.from(signed), key).toString('base64')}`;
}

export type ApplicationTokenRules = {
  /** The nonce of the token that was sent. */
  readonly nonce: string;
  /** The application's public key. */
  readonly publicKey: KeyObject;
  readonly nowMs: number;
};

/** Checks that the holder of the application's private key answered just now. Throws `TRUST_REFUSED`. */
export function verifyApplicationToken(text: string, { nonce, publicKey, nowMs }: ApplicationTokenRules): void {
  if (text.length > TOKEN_CHARS_MAX) throw refusedAnswer('it is too long');
  const parts = text.split('.');
  const [answered = '', time = '', signature = ''] = parts;
  if (parts.length !== 3) throw refusedAnswer(`it has ${parts.length} parts instead of three`);
  if (answered !== nonce) throw refusedAnswer('it answers another nonce');
  const answeredMs = minuteOf(time);
  if (answeredMs === null) throw refusedAnswer('its time is not of the form yyyyMMddHHmm');
  if (Math.abs(nowMs - answeredMs) >= DRIFT_MS) throw refusedAnswer('its time is 15 minutes or more from ours');
  if (!BASE64.test(signature)) throw refusedAnswer('its signature is not base64');
  if (!isSignedBy(publicKey, `${answered}.${time}`, signature))
    throw refusedAnswer('the application’s key did not sign it');
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function isSignedBy(publicKey: KeyObject, signed: string, signature: string): boolean {
  try {
    return cryptoVerify('sha256', Buffer.from(signed), publicKey, Buffer.from(signature, 'base64'));
  } catch {
    return false;
  }
}

const refusedAnswer = (why: string): SpeilError =>
  new SpeilError('TRUST_REFUSED', `the client’s answer to authenticate was refused: ${why}`, {
    hint: 'The client must sign with the private key of the application; compare the clocks of both sides.',
  });

const minuteText = (ms: number): string => new Date(ms).toISOString().replace(/\D/g, '').slice(0, 12);

/** Null for anything that `minuteText` does not write. */
function minuteOf(text: string): number | null {
  const [, year, month, day, hour, minute] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(text) ?? [];
  if (year === undefined) return null;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:00Z`);
  return !Number.isNaN(ms) && minuteText(ms) === text ? ms : null;
}
