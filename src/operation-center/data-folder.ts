import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createKeyPair, type KeyKind, readPrivateKey } from '../client/trust/keys.ts';
import { SpeilError } from '../core/error.ts';
import type { Store } from './store.ts';

/** What a center keeps beside its database, in a folder that nobody else may read. */
export type DataFolder = {
  readonly path: string;
  /** Ed25519: signs native calls. Mirror clients trust `center.pub`. */
  readonly key: KeyObject;
  /** RSA: signs the calls of SuperOffice's contract. */
  readonly rsaKey: KeyObject;
  /** PEM, when somebody put `center.rsa.crt` there: the tokens of SuperOffice's contract then name it. */
  readonly rsaCertificate: string | null;
};

/** Makes the folder and its keys where they are missing. Throws `USAGE` when it cannot be written or a key is broken. */
export function openDataFolder(path: string): DataFolder {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, 0o700);
    return {
      path,
      key: keyIn(path, 'center', 'ed25519'),
      rsaKey: keyIn(path, 'center.rsa', 'rsa'),
      rsaCertificate: readIfThere(join(path, 'center.rsa.crt')),
    };
  } catch (cause) {
    if (cause instanceof SpeilError) throw cause;
    throw new SpeilError('USAGE', `the data folder ${path} cannot be used: ${messageOf(cause)}`, {
      hint: 'Name a folder of your own with --data.',
      cause,
    });
  }
}

/** The private key in `<name>.key`, made when it is missing; `<name>.pub` always is its other half. */
function keyIn(folder: string, name: string, kind: KeyKind): KeyObject {
  const file = join(folder, `${name}.key`);
  const kept = readIfThere(file);
  const publicFile = join(folder, `${name}.pub`);
  if (kept === null && readIfThere(publicFile) !== null) throw lostKey(folder, name);
  const pem = kept ?? createKeyPair(kind).privatePem;
  const key = kept === null ? createPrivateKey(pem) : readPrivateKey(pem, kind);
  if (kept === null) writePrivate(file, pem);
  const publicPem = createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();
  if (readIfThere(publicFile) !== publicPem) writeFileSync(publicFile, publicPem, { mode: 0o644 });
  return key;
}

/** Another key would be made in silence, and every mirror client would refuse the center from then on. */
const lostKey = (folder: string, name: string): SpeilError =>
  new SpeilError('USAGE', `${join(folder, `${name}.key`)} is not there, though its other half ${name}.pub is`, {
    hint: `Put it back from a backup. When it is lost: remove ${join(folder, `${name}.pub`)}, start again, and give the new one to every mirror client.`,
  });

/**
 * Sees that `operator.token` holds a token that the store knows: at the first start, and when the database was thrown
 * away or the token revoked. Whoever can read the folder is an operator anyway.
 */
export async function keepOperatorToken(folder: DataFolder, store: Store): Promise<string> {
  const file = join(folder.path, 'operator.token');
  const kept = readIfThere(file)?.trim() ?? '';
  const known = kept === '' ? null : await store.findToken(kept);
  if (known?.role === 'operator') return file;
  const { secret } = await store.createToken({ role: 'operator', tenant: null });
  writePrivate(file, `${secret}\n`);
  return file;
}

/** Whole or not at all, and never readable by others, not even for a moment. */
function writePrivate(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  chmodSync(`${file}.new`, 0o600);
  renameSync(`${file}.new`, file);
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
