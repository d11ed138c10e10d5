import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SpeilError } from '../../core/error.ts';

/** `ed25519` signs the native calls and answers; `rsa` those of SuperOffice's contract. */
export type KeyKind = 'ed25519' | 'rsa';

/** Both in PEM: PKCS#8 and SPKI. */
export type KeyPair = { readonly privatePem: string; readonly publicPem: string };

/** Bits of the RSA keys that are made here; shorter than {@link RSA_BITS_MIN} is not taken from anybody. */
const RSA_BITS = 3072;
const RSA_BITS_MIN = 2048;

const ENCODINGS = {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
} as const;

export function createKeyPair(kind: KeyKind): KeyPair {
  const { privateKey, publicKey } =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: RSA_BITS, ...ENCODINGS })
      : generateKeyPairSync('ed25519', ENCODINGS);
  return { privatePem: privateKey, publicPem: publicKey };
}

/** Reads a private key in PEM. With `kind` only that kind will do. Throws `USAGE`; the key is never in the message. */
export function readPrivateKey(pem: string, kind?: KeyKind): KeyObject {
  if (/-----BEGIN (?:RSA |EC )?PUBLIC KEY-----|-----BEGIN CERTIFICATE-----/.test(pem)) {
    throw new SpeilError('USAGE', 'this is a public key; a private one is needed here', {
      hint: 'Name the file that `speil keys create` wrote without .pub.',
    });
  }
  if (/ENCRYPTED/.test(pem)) {
    throw new SpeilError('USAGE', 'the private key is encrypted with a passphrase', {
      hint: 'Store it without one: openssl pkey -in <file> -out <new file>, and chmod 600.',
    });
  }
  return checked(
    parsed('private', () => createPrivateKey(pem)),
    kind,
  );
}

/** Reads a public key in PEM, or that of an X.509 certificate. With `kind` only that kind will do. Throws `USAGE`. */
export function readPublicKey(pem: string, kind?: KeyKind): KeyObject {
  if (/PRIVATE KEY-----/.test(pem)) {
    throw new SpeilError('USAGE', 'this is a private key; a public one is needed here', {
      hint: 'Name the .pub file, and give the private key to nobody.',
    });
  }
  return checked(
    parsed('public', () => createPublicKey(pem)),
    kind,
  );
}

function parsed(half: 'private' | 'public', read: () => KeyObject): KeyObject {
  try {
    return read();
  } catch {
    throw new SpeilError('USAGE', `this is not a ${half} key in PEM`, {
      hint: '`speil keys create app.key` writes app.key, the private key, and app.pub, the public one.',
    });
  }
}

/** The kind of a key that was read here. */
export const kindOf = (key: KeyObject): KeyKind | null =>
  key.asymmetricKeyType === 'ed25519' ? 'ed25519' : key.asymmetricKeyType === 'rsa' ? 'rsa' : null;

function checked(key: KeyObject, wanted: KeyKind | undefined): KeyObject {
  const kind = kindOf(key);
  if (kind === null || (wanted !== undefined && kind !== wanted)) {
    throw new SpeilError(
      'USAGE',
      `this is a key for ${key.asymmetricKeyType}; ${wanted ?? 'ed25519 or rsa'} is needed here`,
      {
        hint: `\`speil keys create\` makes ed25519 keys, and RSA keys for SuperOffice’s contract with --rsa.`,
      },
    );
  }
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (bits !== undefined && bits < RSA_BITS_MIN) {
    throw new SpeilError('USAGE', `an RSA key of ${bits} bits is too short`, {
      hint: `At least ${RSA_BITS_MIN} bits.`,
    });
  }
  return key;
}

/** Names a key without showing it: SHA-256 of its SPKI form, base64url. Takes the private key as well. */
export function keyId(key: KeyObject): string {
  const half = key.type === 'private' ? createPublicKey(key) : key;
  return createHash('sha256')
    .update(half.export({ type: 'spki', format: 'der' }))
    .digest('base64url');
}
