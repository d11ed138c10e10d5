import { Connection, type ConnectionOptions, NO_MEMORY } from './connection.ts';
import { Grant, State, type WireMemory } from './protocol.ts';
import type { Place } from './run.ts';

/** Memory for the connection that everybody's programs run on, and for one of a stream. */
export type CacheSizes = { readonly sharedKiB: number; readonly ownKiB: number };

const STATEMENTS_SHARED_MAX = 512;
const STATEMENTS_OWN_MAX = 64;

/** Connections that are kept open without a user: opening one takes longer than most programs. */
const SPARE_MAX = 8;

/**
 * The connections of an executor: one that programs share, and those of streams that are in a transaction or have left
 * something on theirs. On the writer a shared connection becomes a stream's own where it stands, and the one that has just
 * committed is shared next, since its cache is right.
 */
export class Connections {
  readonly #path: string;
  readonly #isPool: boolean;
  readonly #cache: CacheSizes;
  readonly #own = new Map<number, Connection>();
  readonly #spare: Connection[] = [];
  #shared: Connection;

  constructor(path: string, isPool: boolean, cache: CacheSizes) {
    this.#path = path;
    this.#isPool = isPool;
    this.#cache = cache;
    this.#shared = this.#open(true);
    if (isPool) this.#shared.isReadonlyStream = true;
  }

  #open(isShared: boolean): Connection {
    const options: ConnectionOptions = {
      path: this.#path,
      cacheKiB: isShared || !this.#isPool ? this.#cache.sharedKiB : this.#cache.ownKiB,
      statementsMax: isShared || !this.#isPool ? STATEMENTS_SHARED_MAX : STATEMENTS_OWN_MAX,
      isForAll: isShared && this.#isPool,
    };
    return new Connection(options);
  }

  of(stream: number): Connection | null {
    return this.#own.get(stream) ?? null;
  }

  /** Where the stream's next program runs. */
  place(stream: number, grants: number, memory: WireMemory): Place {
    const own = this.#own.get(stream);
    if (own !== undefined) return { connection: own, isShared: false, grants };
    const isShared = (grants & Grant.own) === 0;
    const connection = isShared ? this.#shared : (this.#spare.pop() ?? this.#open(false));
    connection.memory = memory;
    if (!isShared) connection.isReadonlyStream = (grants & Grant.readOnly) !== 0;
    return { connection, isShared, grants };
  }

  /** True when a stream other than this has a transaction open: on the writer, nobody else can write then. */
  isHeldFrom(stream: number): boolean {
    for (const [holder, connection] of this.#own) {
      if (holder !== stream && connection.isTransaction) return true;
    }
    return false;
  }

  /** After a program: keeps for the stream what only it may use, takes back the rest. Answers where the stream stands. */
  settle(stream: number, { connection, isShared }: Place, isLast: boolean, hasCursor = false): number {
    const { isTransaction, isDirty } = connection;
    if (connection.isReadonlyTransaction && !isTransaction) connection.isReadonlyTransaction = false;
    if (!isLast && (isTransaction || isDirty || hasCursor)) {
      this.#keep(stream, connection);
      return State.own | (isTransaction ? State.transaction : 0) | (isDirty ? State.dirty : 0);
    }
    this.#own.delete(stream);
    if (isTransaction) connection.rollback();
    if (isDirty || !isShared) this.#takeBack(connection);
    return 0;
  }

  #keep(stream: number, connection: Connection): void {
    this.#own.set(stream, connection);
    if (connection === this.#shared) this.#shared = this.#spare.pop() ?? this.#open(true);
  }

  #takeBack(connection: Connection): void {
    const wasShared = connection === this.#shared;
    if (connection.isDirty) connection.close();
    else if (!this.#isPool) this.#share(connection);
    else this.#putAside(connection);
    if (wasShared && connection.isDirty) this.#shared = this.#spare.pop() ?? this.#open(true);
  }

  #share(connection: Connection): void {
    if (connection === this.#shared) return;
    this.#putAside(this.#shared);
    this.#shared = connection;
  }

  #putAside(connection: Connection): void {
    connection.memory = NO_MEMORY;
    if (this.#spare.length < SPARE_MAX) this.#spare.push(connection);
    else connection.close();
  }

  /** Ends what the stream has; with `keep`, its transaction only. Answers where it stands then. */
  end(stream: number, keep: boolean): number {
    const connection = this.#own.get(stream);
    if (connection === undefined) return 0;
    connection.rollback();
    return this.settle(stream, { connection, isShared: false, grants: 0 }, !keep);
  }
}
