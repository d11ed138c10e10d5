import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { chmodSync, closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../core/clock.ts';
import { SpeilError } from '../core/error.ts';
import { DatabaseName } from './databases/database-name.ts';
import type { Access } from './sql.ts';

/** What a token allows. `database` null: in every database. `admin`: everything, and it always is of all databases. */
export type Grant =
  | { readonly access: Access; readonly database: DatabaseName | null }
  | { readonly access: 'admin'; readonly database: null };

/** A token without its secret. */
export type ServerToken = Grant & { readonly id: string; readonly createdAt: string };

export type NewServerToken = { readonly token: ServerToken; readonly secret: string };

const SECRET_BYTES = 32;
const ID_BYTES = 6;
/** More than a server has clients. The file is written whole each time. */
const TOKENS_MAX = 10_000;

/** A token that an operator made up: too long to be guessed. */
const GIVEN_CHARACTERS_MIN = 32;
/** No token is longer; longer texts are not looked up. */
export const SECRET_CHARACTERS_MAX = 200;

/** The id finds the token; 256 random bits follow, so that a plain hash will do to keep. */
const SECRET = /^speil_(?:read|write|admin)_([0-9a-f]{12})_[\w-]{43}$/;

const newId = (): string => randomBytes(ID_BYTES).toString('hex');

const newSecret = (access: Grant['access'], id: string): string =>
  `speil_${access}_${id}_${randomBytes(SECRET_BYTES).toString('base64url')}`;

const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest();

const databaseName = z.string().refine(DatabaseName.is);
const common = { id: z.string().regex(/^[0-9a-f]{12}$/), createdAt: z.iso.datetime(), sha256: z.hex().length(64) };
const storedToken = z.union([
  z.strictObject({ ...common, access: z.enum(['read', 'write']), database: databaseName.nullable() }),
  z.strictObject({ ...common, access: z.literal('admin'), database: z.null() }),
]);
const storedTokens = z.strictObject({ version: z.literal(1), tokens: z.array(storedToken).max(TOKENS_MAX) });

type StoredToken = ServerToken & { readonly sha256: string };

export type TokensOptions = {
  /** The file with the hashes. */
  readonly path: string;
  /** {@link adminTokenOf} the operator's file. */
  readonly adminSecret: string;
  readonly clock: Pick<Clock, 'now'>;
};

/** Under which the log names the token of the operator's file. */
const ADMIN_ID = 'token-file';

/**
 * The tokens of a server, in a file that holds their hashes only. Every change is durable when it returns, whole or not at
 * all.
 */
export class ServerTokens {
  readonly #path: string;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #admin: ServerToken & { readonly hash: Buffer };
  #byId: ReadonlyMap<string, StoredToken>;
  readonly #told = new Map<string, Set<() => void>>();

  private constructor({ path, adminSecret, clock }: TokensOptions, tokens: readonly StoredToken[]) {
    this.#path = path;
    this.#clock = clock;
    const createdAt = new Date(clock.now()).toISOString();
    this.#admin = { id: ADMIN_ID, access: 'admin', database: null, createdAt, hash: hashOf(adminSecret) };
    this.#byId = new Map(tokens.map((token) => [token.id, token]));
  }

  /** No file: no tokens yet. Throws `USAGE` for a file that cannot be read. */
  static open(options: TokensOptions): ServerTokens {
    return new ServerTokens(options, readTokens(options.path));
  }

  /** Without the one of the operator's file. */
  get list(): readonly ServerToken[] {
    return [...this.#byId.values()].map(({ sha256: _, ...token }) => token);
  }

  /** The token with this secret; null when there is none. */
  find(secret: string): ServerToken | null {
    if (secret.length > SECRET_CHARACTERS_MAX) return null;
    const hash = hashOf(secret);
    if (timingSafeEqual(hash, this.#admin.hash)) return this.#admin;
    const token = this.#byId.get(SECRET.exec(secret)?.[1] ?? '');
    return token !== undefined && timingSafeEqual(hash, Buffer.from(token.sha256, 'hex')) ? token : null;
  }

  create(grant: Grant): NewServerToken {
    if (this.#byId.size >= TOKENS_MAX) throw tooMany();
    const id = newId();
    const secret = newSecret(grant.access, id);
    const token: ServerToken = { id, ...grant, createdAt: new Date(this.#clock.now()).toISOString() };
    this.#keep([...this.#byId.values(), { ...token, sha256: hashOf(secret).toString('hex') }]);
    return { token, secret };
  }

  /** Throws `NOT_FOUND`. */
  revoke(id: string): void {
    if (!this.#byId.has(id)) throw noToken(id);
    this.#keep([...this.#byId.values()].filter((token) => token.id !== id));
  }

  /** Calls back when the token does not count any more, until it is disposed. */
  whenRevoked(id: string, told: () => void): Disposable {
    const all = this.#told.get(id) ?? new Set();
    this.#told.set(id, all.add(told));
    return {
      [Symbol.dispose]: () => {
        all.delete(told);
        if (all.size === 0) this.#told.delete(id);
      },
    };
  }

  /** The tokens that are of one database alone: another that gets its name later is not theirs. */
  revokeAllOf(database: DatabaseName): void {
    const kept = [...this.#byId.values()].filter((token) => token.database !== database);
    if (kept.length < this.#byId.size) this.#keep(kept);
  }

  #keep(tokens: readonly StoredToken[]): void {
    writePrivate(this.#path, `${JSON.stringify({ version: 1, tokens }, null, 1)}\n`);
    const before = this.#byId.keys();
    this.#byId = new Map(tokens.map((token) => [token.id, token]));
    for (const id of before) if (!this.#byId.has(id)) for (const told of [...(this.#told.get(id) ?? [])]) told();
  }
}

function readTokens(path: string): readonly StoredToken[] {
  const text = readIfThere(path);
  if (text === null) return [];
  try {
    return storedTokens.parse(JSON.parse(text)).tokens;
  } catch (cause) {
    throw new SpeilError('USAGE', `${path} does not hold the tokens of a server.`, {
      hint: 'Put it back from a backup; or move it away: a new one is made, and every client needs a new token.',
      cause,
    });
  }
}

/**
 * The admin token in a file of the operator's, or one that is made and put there. It counts as long as the server runs and
 * is kept nowhere else: another file, or another text in it, is another token from the next start on.
 */
export function adminTokenOf(file: string): string {
  const kept = readIfThere(file)?.trim();
  if (kept === undefined) {
    const secret = newSecret('admin', newId());
    writePrivate(file, `${secret}\n`);
    return secret;
  }
  if (new RegExp(`^\\S{${GIVEN_CHARACTERS_MIN},${SECRET_CHARACTERS_MAX}}$`).test(kept)) return kept;
  throw new SpeilError('USAGE', `${file} does not hold a token.`, {
    hint: `A token has ${GIVEN_CHARACTERS_MIN} to ${SECRET_CHARACTERS_MAX} characters and no blanks. Where there is no file one is made.`,
  });
}

const tooMany = (): SpeilError =>
  new SpeilError('CONFLICT', `a server has at most ${TOKENS_MAX} tokens`, {
    hint: '`speil server token list` shows them; `speil server token revoke <id>` makes room.',
  });

const noToken = (id: string): SpeilError =>
  new SpeilError('NOT_FOUND', `there is no token ${id}`, { hint: '`speil server token list` names those there are.' });

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Durable, whole or not at all, and never readable by others, not even for a moment. */
function writePrivate(path: string, text: string): void {
  const unfinished = `${path}.new`;
  const descriptor = openSync(unfinished, 'w', 0o600);
  try {
    chmodSync(unfinished, 0o600);
    writeSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(unfinished, path);
  syncFolder(dirname(path));
}

function syncFolder(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
