import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { CompactSign, compactVerify } from 'jose';
import * as z from 'zod';
import type { Clock } from '../../core/clock.ts';
import { equalInConstantTime } from '../trust/digest.ts';
import { keyId, kindOf } from '../trust/keys.ts';
import { isoTime, trustRefused } from '../trust/refusal.ts';

/** What a proof is good for stands in it, so that it is good for nothing else: not even for another step. */
type Purpose = 'speil-hello' | 'speil-proof' | 'speil-welcome';

/** A proof holds from a minute before it was made to five minutes after, as a call token does. */
const BEFORE_MS = 60_000;
const AFTER_MS = 300_000;
/** Ours have 500 to 900 characters. */
const JWS_CHARACTERS_MAX = 4_096;

/** 16 random bytes. */
export const newNonce = (): string => randomBytes(16).toString('base64url');

export const isNonce = (text: unknown): text is string => typeof text === 'string' && /^[\w-]{22}$/.test(text);

const Text = z.string().min(1).max(200);
const Nonce = z.string().refine(isNonce);
/** Milliseconds since 1970. */
const Time = z.number().min(0).max(8.64e15);

const HelloShape = z.object({
  purpose: z.literal('speil-hello'),
  keyId: Text,
  nonce: Nonce,
  clientNonce: Nonce,
  at: Time,
});
const ProofShape = z.object({
  purpose: z.literal('speil-proof'),
  application: Text,
  nonce: Nonce,
  clientNonce: Nonce,
  at: Time,
  version: Text,
  /** Of the client's process: a new connection takes the place of an older one. */
  instance: Nonce,
  callBytesMax: z.int().min(1),
});
const WelcomeShape = z.object({ purpose: z.literal('speil-welcome'), nonce: Nonce, clientNonce: Nonce });

export type Hello = z.output<typeof HelloShape>;
export type Proof = z.output<typeof ProofShape>;

/** The JSON of the handshake's three frames. */
const SignedShape = z.object({ keyId: Text, jws: z.string().max(JWS_CHARACTERS_MAX) });
export type Signed = z.output<typeof SignedShape>;

const algorithmOf = (key: KeyObject): string => (kindOf(key) === 'rsa' ? 'RS256' : 'EdDSA');

async function sign<C extends { readonly purpose: Purpose }>(key: KeyObject, claims: C): Promise<Signed> {
  const id = keyId(key);
  const jws = await new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: algorithmOf(key), kid: id, typ: claims.purpose })
    .sign(key);
  return { keyId: id, jws };
}

/** The claims, when one of the keys signed them in this shape. */
async function read<T>(
  signed: Signed,
  keys: readonly KeyObject[],
  shape: z.ZodType<T>,
  refuse: (why: string) => Error,
): Promise<T> {
  const key = keys.find((candidate) => equalInConstantTime(keyId(candidate), signed.keyId));
  if (key === undefined) throw refuse(`its key is ${signed.keyId.slice(0, 43)}`);
  try {
    const publicKey = key.type === 'private' ? createPublicKey(key) : key;
    const { payload } = await compactVerify(signed.jws, publicKey, { algorithms: [algorithmOf(publicKey)] });
    return shape.parse(JSON.parse(Buffer.from(payload).toString()));
  } catch {
    throw refuse(`it could not prove to have the key ${signed.keyId.slice(0, 43)}`);
  }
}

/** Throws `TRUST_REFUSED` for what is no step of the handshake at all. */
export function readSigned(json: unknown): Signed {
  const parsed = SignedShape.safeParse(json);
  if (!parsed.success) throw trustRefused('token', 'the message that should be a proof is none');
  return parsed.data;
}

/** The center says who it is. The client's nonce shows that it says so now. */
export const signHello = (key: KeyObject, nonces: Nonces, clock: Clock): Promise<Signed> =>
  sign<Hello>(key, { purpose: 'speil-hello', keyId: keyId(key), ...nonces, at: clock.now() });

export type Nonces = { readonly nonce: string; readonly clientNonce: string };

/** Throws `TRUST_REFUSED` unless it is a trusted center that speaks, and to us. */
export async function verifyHello(
  signed: Signed,
  expected: { readonly trusted: readonly KeyObject[]; readonly clientNonce: string },
  clock: Clock,
): Promise<Hello> {
  const hello = await read(signed, expected.trusted, HelloShape, (why) =>
    trustRefused('signature', `the center is none of those that are trusted: ${why}`, {
      hint: `--trust takes the center.pub of the center. Trusted: ${expected.trusted.map(keyId).join(', ') || 'none'}.`,
    }),
  );
  if (!equalInConstantTime(hello.clientNonce, expected.clientNonce)) {
    throw trustRefused('nonce', 'the center answered another connection than this one');
  }
  refuseUntimely(hello.at, clock.now(), 'the center');
  return hello;
}

export const signProof = (key: KeyObject, proof: Omit<Proof, 'purpose' | 'at'>, clock: Clock): Promise<Signed> =>
  sign<Proof>(key, { purpose: 'speil-proof', ...proof, at: clock.now() });

/** The application as claimed, before anything is proved: tells which keys to look for. */
export function claimedApplication(signed: Signed): string {
  try {
    const payload = Buffer.from(signed.jws.split('.')[1] ?? '', 'base64url').toString();
    return ProofShape.parse(JSON.parse(payload)).application;
  } catch {
    throw trustRefused('token', 'the proof of the client cannot be read');
  }
}

/** Throws `TRUST_REFUSED` unless one of the keys signed for this connection, now. */
export async function verifyProof(
  signed: Signed,
  expected: Nonces & { readonly application: string; readonly keys: readonly KeyObject[] },
  clock: Clock,
): Promise<Proof> {
  const { application, keys } = expected;
  const proof = await read(signed, keys, ProofShape, (why) =>
    trustRefused('signature', `no mirror of ${application} has this client's key: ${why}`, {
      hint: `speil center mirror add <tenant> --application ${application} --public-key <the client's .pub>`,
    }),
  );
  const isOurs =
    equalInConstantTime(proof.nonce, expected.nonce) && equalInConstantTime(proof.clientNonce, expected.clientNonce);
  if (!isOurs) throw trustRefused('nonce', 'the proof was made for another connection');
  refuseUntimely(proof.at, clock.now(), 'the client');
  return proof;
}

export const signWelcome = (key: KeyObject, nonces: Nonces): Promise<Signed> =>
  sign(key, { purpose: 'speil-welcome', ...nonces });

export async function verifyWelcome(signed: Signed, trusted: readonly KeyObject[], nonces: Nonces): Promise<void> {
  const refuse = (why: string) => trustRefused('signature', `the welcome is not the center's: ${why}`);
  const welcome = await read(signed, trusted, WelcomeShape, refuse);
  const isOurs =
    equalInConstantTime(welcome.nonce, nonces.nonce) && equalInConstantTime(welcome.clientNonce, nonces.clientNonce);
  if (!isOurs) throw trustRefused('nonce', 'the welcome was made for another connection');
}

function refuseUntimely(madeAtMs: number, nowMs: number, whose: string): void {
  if (madeAtMs - BEFORE_MS <= nowMs && nowMs < madeAtMs + AFTER_MS) return;
  const clocks = `here it is ${isoTime(nowMs)}, ${whose} says ${isoTime(madeAtMs)}`;
  throw trustRefused('time', `the clocks are too far apart: ${clocks}`);
}
