import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { SpeilError } from '../core/error.ts';

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** The form of a sealed text, so that it can change: `v1.<key id>.<nonce, ciphertext and tag in base64url>`. */
const FORM = 'v1';

/** A key file is a few lines; what is longer is another file. */
const KEY_FILE_CHARACTERS_MAX = 10_000;

export const KEY_VARIABLE = 'SPEIL_CENTER_SECRET';

/**
 * Encrypts what the center's database must not show (AES-256-GCM). `purpose` says whose secret it is, and the same must be
 * given to read it: a text that was moved to another row is refused.
 */
export interface Secrets {
  seal(secret: string, purpose: string): string;
  /** Throws `CENTER_DATABASE_FAILED` for a text of another key, and for one that was changed or moved. */
  open(sealed: string, purpose: string): string;
  /** False for a text that an earlier key sealed. */
  isCurrent(sealed: string): boolean;
  /** Where the keys come from, as a person knows it. */
  readonly origin: string;
}

export type SecretsSource = {
  /** A file with the key. Must exist. */
  readonly file?: string | undefined;
  /** What `SPEIL_CENTER_SECRET` holds; read when no file is named. */
  readonly environment?: string | undefined;
  /** Without either the key is `secret.key` here, made when it is not there. */
  readonly dataFolder: string;
};

/**
 * Reads the keys: one or several of 32 bytes, in base64 or hex, with blanks, commas or lines between. The first one seals,
 * all of them open. Throws `FILE_MISSING` or `USAGE`.
 */
export function openSecrets({ file, environment, dataFolder }: SecretsSource): Secrets {
  if (file !== undefined) return secretsOf(readKeyFile(file), file);
  if (environment !== undefined && environment.trim() !== '') return secretsOf(environment, KEY_VARIABLE);
  const path = join(dataFolder, 'secret.key');
  if (!existsSync(path)) makeKeyFile(path);
  return secretsOf(readKeyFile(path), path);
}

function readKeyFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    throw new SpeilError('FILE_MISSING', `the key file ${path} cannot be read (${why})`, {
      hint: 'It holds 32 random bytes in base64: openssl rand -base64 32',
      cause,
    });
  }
}

/** Written beside, hardened, and then given its name, which only one of several that start at once can do. */
function makeKeyFile(path: string): void {
  const own = `${path}.${process.pid}`;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  rmSync(own, { force: true });
  const descriptor = openSync(own, 'wx', 0o600);
  try {
    writeFileSync(descriptor, `${randomBytes(KEY_BYTES).toString('base64')}\n`);
    fsyncSync(descriptor);
    linkSync(own, path);
  } catch (error) {
    if (!existsSync(path)) throw error;
  } finally {
    closeSync(descriptor);
    rmSync(own);
  }
}

type Key = { readonly id: string; readonly bytes: Buffer };

function secretsOf(text: string, origin: string): Secrets {
  if (text.length > KEY_FILE_CHARACTERS_MAX) throw notAKey(origin);
  const keys = text
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map((word) => parseKey(word, origin));
  const [first] = keys;
  if (first === undefined) throw notAKey(origin);
  const known = new Map(keys.map((key) => [key.id, key]));
  return {
    origin,
    seal: (secret, purpose) => `${FORM}.${first.id}.${encrypt(first, secret, purpose).toString('base64url')}`,
    open: (sealed, purpose) => {
      const { keyId, bytes } = partsOf(sealed, purpose);
      const key = known.get(keyId);
      if (key === undefined) throw otherKey(origin, keyId, [...known.keys()]);
      return decrypt(key, bytes, purpose);
    },
    isCurrent: (sealed) => sealed.startsWith(`${FORM}.${first.id}.`),
  };
}

function parseKey(word: string, origin: string): Key {
  const isHex = /^[0-9a-f]{64}$/i.test(word);
  const bytes = Buffer.from(word, isHex ? 'hex' : 'base64');
  if (!isHex && !/^[A-Za-z0-9+/_-]{43}=?$/.test(word)) throw notAKey(origin);
  return { id: createHash('sha256').update('speil key id').update(bytes).digest('hex').slice(0, 12), bytes };
}

const notAKey = (origin: string): SpeilError =>
  new SpeilError('USAGE', `${origin} does not hold a key of 32 bytes in base64 or hex`, {
    hint: 'Make one: openssl rand -base64 32',
  });

function encrypt(key: Key, secret: string, purpose: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key.bytes, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(purpose));
  return Buffer.concat([nonce, cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: Key, bytes: Buffer, purpose: string): string {
  const end = bytes.length - TAG_BYTES;
  try {
    const decipher = createDecipheriv('aes-256-gcm', key.bytes, bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(purpose));
    decipher.setAuthTag(bytes.subarray(end));
    return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, end)), decipher.final()]).toString('utf8');
  } catch {
    throw damaged(purpose);
  }
}

function partsOf(sealed: string, purpose: string): { readonly keyId: string; readonly bytes: Buffer } {
  const [form, keyId = '', text = '', more] = sealed.split('.');
  const bytes = Buffer.from(text, 'base64url');
  if (form !== FORM || more !== undefined || bytes.length < NONCE_BYTES + TAG_BYTES) throw damaged(purpose);
  return { keyId, bytes };
}

const damaged = (purpose: string): SpeilError =>
  new SpeilError('CENTER_DATABASE_FAILED', `what the center's database holds as the ${purpose} was not written there`, {
    hint: 'Somebody changed the database. Restore it, or give the center that secret again.',
  });

const otherKey = (origin: string, keyId: string, known: readonly string[]): SpeilError =>
  new SpeilError(
    'CENTER_DATABASE_FAILED',
    `the secrets in the center's database were encrypted with key ${keyId}, and ${origin} holds ${known.join(' and ')}`,
    {
      hint: `Put back the key that was there before. When it is lost, so are the source addresses: begin with a new database, and add the tenants and mirrors again; the mirrors go on from where they are. Centers that share a database need the same key: give each the same file, or ${KEY_VARIABLE}.`,
    },
  );
