import { accessSync, constants, existsSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import type { Clock } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import { LOCK_WAIT_MS } from '../../core/limits.ts';
import { isBusy, sqliteError } from './errors.ts';

/** A value as SQLite stores it: null, integer, real, text, blob. */
export type SqlValue = null | bigint | number | string | Uint8Array;
export type SqlRow = readonly SqlValue[];

export type ConnectionOptions = {
  /** For messages. */
  readonly display: string;
  readonly access: 'read-only' | 'read-write' | 'create';
};

/** Statements kept prepared; more than a cycle over a thousand tables reuses at once would only hold memory. */
const STATEMENTS_MAX = 256;
/** How often a lock that others hold is asked for. */
const LOCK_POLL_MS = 20;

/** One connection to a SQLite file. Integers are read as bigint, rows as arrays; errors are `SpeilError`s. */
export class Connection implements Disposable {
  readonly display: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(path: string, options: ConnectionOptions) {
    this.display = options.display;
    requireFile(path, options);
    this.#database = opened(path, options);
  }

  get inTransaction(): boolean {
    return this.#database.isOpen && this.#database.isTransaction;
  }

  exec(sql: string): void {
    this.#guard(() => this.#database.exec(sql));
  }

  all(sql: string, ...values: readonly SqlValue[]): readonly SqlRow[] {
    return this.#guard(() => this.#statement(sql).all(...values)) as unknown as readonly SqlRow[];
  }

  get(sql: string, ...values: readonly SqlValue[]): SqlRow | undefined {
    return this.#guard(() => this.#statement(sql).get(...values)) as unknown as SqlRow | undefined;
  }

  /** The first column of the first row; null when there is no row. */
  value(sql: string, ...values: readonly SqlValue[]): SqlValue {
    return this.get(sql, ...values)?.[0] ?? null;
  }

  /** Rows that were inserted, updated or deleted. */
  run(sql: string, ...values: readonly SqlValue[]): number {
    return Number(this.#guard(() => this.#statement(sql).run(...values)).changes);
  }

  /** Rows as they are read; ending the loop early ends the read. */
  *iterate(sql: string, ...values: readonly SqlValue[]): Generator<SqlRow, void, undefined> {
    try {
      const statement = this.#database.prepare(sql);
      yield* statement.iterate(...values) as unknown as Iterable<SqlRow>;
    } catch (error) {
      throw sqliteError(error, this.display);
    }
  }

  /** Runs `work` in one read transaction. */
  read<T>(work: () => T): T {
    if (this.inTransaction) return work();
    this.exec('BEGIN');
    try {
      return work();
    } finally {
      this.exec('ROLLBACK');
    }
  }

  /** Begins a write transaction; while others write it waits without blocking the process, then throws `LOCK_TIMEOUT`. */
  async beginWrite(clock: Clock, signal?: AbortSignal): Promise<void> {
    const end = clock.monotonicMs() + LOCK_WAIT_MS;
    while (!this.#tryBeginWrite(clock.monotonicMs() >= end)) await clock.sleep(LOCK_POLL_MS, signal);
  }

  #tryBeginWrite(isLast: boolean): boolean {
    this.exec('PRAGMA busy_timeout=0');
    try {
      this.exec('BEGIN IMMEDIATE');
      return true;
    } catch (error) {
      if (isLast || !isBusy(error)) throw error;
      return false;
    } finally {
      this.exec(`PRAGMA busy_timeout=${LOCK_WAIT_MS}`);
    }
  }

  /** Runs `work` in a write transaction that is begun when there is a lock to be had. */
  async write<T>(clock: Clock, work: () => T, signal?: AbortSignal): Promise<T> {
    await this.beginWrite(clock, signal);
    try {
      const result = work();
      this.exec('COMMIT');
      return result;
    } finally {
      this.rollback();
    }
  }

  /** Ends the transaction if there still is one: after a full disk SQLite has often ended it itself. */
  rollback(): void {
    if (this.inTransaction) this.exec('ROLLBACK');
  }

  [Symbol.dispose](): void {
    this.#statements.clear();
    if (this.#database.isOpen) this.#database.close();
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const oldest = this.#statements.keys().next();
    if (this.#statements.size >= STATEMENTS_MAX && !oldest.done) this.#statements.delete(oldest.value);
    const made = this.#database.prepare(sql);
    this.#statements.set(sql, made);
    return made;
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw sqliteError(error, this.display);
    }
  }
}

function openDatabase(path: string, { access }: ConnectionOptions): DatabaseSync {
  const options = {
    readOnly: access === 'read-only',
    readBigInts: true,
    returnArrays: true,
    enableForeignKeyConstraints: false,
    enableDoubleQuotedStringLiterals: true,
    timeout: LOCK_WAIT_MS,
  };
  return access === 'read-only' ? openToRead(path, options) : new DatabaseSync(path, options);
}

/**
 * A connection that may write but promises not to leaves no files behind; where that cannot be had, one that may only
 * read. A file in write-ahead mode in a folder where nothing can be created is read as one that nobody changes.
 */
function openToRead(path: string, options: object): DatabaseSync {
  const immutable = pathToFileURL(path);
  immutable.searchParams.set('immutable', '1');
  const ways = hasPendingJournal(path) ? [path, path] : [path, path, immutable];
  for (const [index, way] of ways.entries()) {
    const database = new DatabaseSync(way, { ...options, readOnly: index > 0 });
    if (index === ways.length - 1 || canRead(database)) return database;
    database.close();
  }
  throw new Error('there is always a last way');
}

function canRead(database: DatabaseSync): boolean {
  try {
    database.exec('PRAGMA query_only=ON; SELECT count(*) FROM sqlite_schema');
    return true;
  } catch {
    return false;
  }
}

const hasPendingJournal = (path: string): boolean => existsSync(`${path}-wal`) || existsSync(`${path}-journal`);

/** A file that cannot be written may not even open, for want of the files that WAL keeps beside it. */
function opened(path: string, options: ConnectionOptions): DatabaseSync {
  try {
    const database = openDatabase(path, options);
    database.prepare('SELECT count(*) FROM sqlite_schema').get();
    return database;
  } catch (error) {
    const known = sqliteError(error, options.display);
    if (options.access === 'read-only' || !existsSync(path) || isWritable(path)) throw known;
    throw new SpeilError('READ_ONLY', `${options.display} cannot be written.`, {
      hint: 'Make the file and its folder writable for this user, or name another file.',
      cause: error,
    });
  }
}

function requireFile(path: string, { access, display }: ConnectionOptions): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory()) {
    throw new SpeilError('NOT_A_DATABASE', `${display} is a folder, not a database.`, { hint: 'Name a file in it.' });
  }
  if (stat !== undefined) return;
  if (access !== 'create') {
    throw new SpeilError('FILE_MISSING', `${display}: there is no such file.`, { hint: 'Check the path.' });
  }
  const folder = dirname(path);
  if (!existsSync(folder)) {
    throw new SpeilError('FILE_MISSING', `${display}: the folder ${folder} does not exist.`, {
      hint: `mkdir -p '${folder}'`,
    });
  }
}

/**
 * Asks without opening: closing a descriptor would drop every lock that this process has on the file. The system's
 * answer is for the real user, so the mode is looked at for the effective one.
 */
export function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return modeAllowsWriting(statSync(path));
  } catch {
    return false;
  }
}

function modeAllowsWriting({ mode, uid, gid }: { mode: number; uid: number; gid: number }): boolean {
  const user = process.geteuid?.() ?? 0;
  if (user === 0) return true;
  if (user === uid) return (mode & constants.S_IWUSR) !== 0;
  const groups = [process.getegid?.(), ...(process.getgroups?.() ?? [])];
  return (mode & (groups.includes(gid) ? constants.S_IWGRP : 0o002)) !== 0;
}

/** Identity of the file behind a path, so that one that was put in its place is noticed. */
export function fileIdentity(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? '' : `${stat.dev}:${stat.ino}`;
}

/** The path without symbolic links; as given when there is no such file. */
export const realPath = (path: string): string => (existsSync(path) ? realpathSync(path) : path);
