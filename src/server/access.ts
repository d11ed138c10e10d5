import type { Clock } from '../core/clock.ts';
import { SpeilError } from '../core/error.ts';
import { FailureLimit } from '../service/failure-limit.ts';
import type { DatabaseName } from './databases/database-name.ts';
import type { Access } from './sql.ts';
import { type Grant, SECRET_CHARACTERS_MAX, type ServerTokens } from './tokens.ts';

/** Who asks. `tokenId` is null when no token was shown and none is demanded. */
export type Caller = Grant & { readonly tokenId: string | null };

export type Attempt = {
  /** The token that was shown; null when there was none. */
  readonly secret: string | null;
  /** Where the connection comes from. */
  readonly address: string;
  /**
   * The request may have been made by a page in a browser: it names an origin, or calls this machine by a foreign name.
   * Such a page is of anybody, though the browser runs here.
   */
  readonly maybeWebPage: boolean;
};

export type GateOptions = {
  readonly tokens: ServerTokens;
  readonly clock: Clock;
  /** False: whoever shows no token may do everything. Only where nobody but this machine can connect. */
  readonly tokensDemanded: boolean;
};

/** May everything: nobody else can reach the server. */
const LOCAL_CALLER: Caller = { access: 'admin', database: null, tokenId: null };

/** Says who a caller is. A token that is shown always counts, also where none is demanded. */
export class Gate {
  readonly tokensDemanded: boolean;
  readonly #tokens: ServerTokens;
  readonly #failures: FailureLimit;

  constructor({ tokens, clock, tokensDemanded }: GateOptions) {
    this.tokensDemanded = tokensDemanded;
    this.#tokens = tokens;
    this.#failures = new FailureLimit(clock);
  }

  /** Throws `AUTHENTICATION_REFUSED`; its recovery is `retry` when too many wrong tokens came from there. */
  admit({ secret, address, maybeWebPage }: Attempt): Caller {
    if (secret === null && !this.tokensDemanded && !maybeWebPage) return LOCAL_CALLER;
    if (secret === null) throw maybeWebPage && !this.tokensDemanded ? fromWebPage() : noToken();
    const waitMs = this.#failures.waitMs(address, secret.slice(0, SECRET_CHARACTERS_MAX));
    if (waitMs > 0) throw tooManyFailures(waitMs);
    const token = this.#tokens.find(secret);
    if (token === null) {
      this.#failures.failed(address);
      throw unknownToken();
    }
    this.#failures.succeeded(secret);
    return { ...token, tokenId: token.id };
  }

  /** Calls back when the caller may do nothing any more, until it is disposed. */
  whenRevoked({ tokenId }: Caller, told: () => void): Disposable {
    return tokenId === null ? { [Symbol.dispose]: () => {} } : this.#tokens.whenRevoked(tokenId, told);
  }
}

/** What the caller may do in a database; null when it may not even know whether there is one. */
export function accessIn(caller: Grant, database: DatabaseName): Access | null {
  if (caller.access === 'admin') return 'write';
  return caller.database === null || caller.database === database ? caller.access : null;
}

/** Throws `NOT_FOUND` where the caller may see nothing: just as if there were no such database. */
export function demandAccess(caller: Grant, database: DatabaseName): Access {
  const access = accessIn(caller, database);
  if (access === null) throw noDatabase(database);
  return access;
}

export function demandAdmin(caller: Caller): void {
  if (caller.access !== 'admin') throw forbidden('it needs a token with access `admin`');
}

/** For what outlives the present way of listening: a token made today counts tomorrow, when others can connect. */
export function demandAdminToken(caller: Caller): void {
  demandAdmin(caller);
  if (caller.tokenId === null) {
    throw new SpeilError('AUTHENTICATION_REFUSED', 'tokens are made and revoked with the admin token only', {
      hint: 'Add --token-file <data>/admin.token, which the server has written.',
    });
  }
}

/** For what is of the whole server and changes nothing. */
export function demandAllDatabases(caller: Grant): void {
  if (caller.access !== 'admin' && caller.database !== null) throw forbidden('it needs a token of all databases');
}

export const noDatabase = (name: string): SpeilError =>
  new SpeilError('NOT_FOUND', `there is no database ${name}`, {
    hint: '`speil database list` names those there are; `speil database create` makes one.',
  });

const forbidden = (needed: string): SpeilError =>
  new SpeilError('FORBIDDEN', `this token may not do that: ${needed}`, {
    hint: 'Name another token with --token-file or SPEIL_TOKEN_FILE.',
  });

const HOW_TO_SHOW =
  'Name its file with --token-file (in @libsql/client `authToken` is the token, over HTTP `Authorization: Bearer <token>`); `speil server token create` makes one.';

const noToken = (): SpeilError =>
  new SpeilError('AUTHENTICATION_REFUSED', 'the request shows no token', { hint: HOW_TO_SHOW });

const unknownToken = (): SpeilError =>
  new SpeilError('AUTHENTICATION_REFUSED', 'the token is not known, or it was revoked', { hint: HOW_TO_SHOW });

const fromWebPage = (): SpeilError =>
  new SpeilError('AUTHENTICATION_REFUSED', 'a request that may be of a web page needs a token', {
    hint: `Programs send no Origin and call the server as localhost or by its address. ${HOW_TO_SHOW}`,
  });

const tooManyFailures = (waitMs: number): SpeilError =>
  new SpeilError('AUTHENTICATION_REFUSED', 'too many requests with tokens that are not known came from this address', {
    hint: `Wait ${Math.ceil(waitMs / 1000)} seconds, and correct the token.`,
    recovery: 'retry',
  });
