import { openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { WalPositionReader } from '../../../src/server/executor/wal-position.ts';
import { type CommitGate, samePosition, type WalPosition } from '../../../src/server/streams/commit-gate.ts';

/** A database file in WAL mode that a connection is kept open to, as an engine does. */
export class TestFile implements Disposable {
  readonly path: string;
  readonly keeper: DatabaseSync;
  readonly #index: WalPositionReader;

  constructor(path: string, schema = '') {
    this.path = path;
    this.keeper = new DatabaseSync(path, { timeout: 5_000 });
    this.keeper.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; SELECT count(*) FROM sqlite_schema');
    if (schema !== '') this.keeper.exec(schema);
    openSync(path, 'r');
    this.#index = new WalPositionReader(path);
  }

  position(): WalPosition {
    this.#index.read();
    const { salt1, salt2, frames } = this.#index;
    return { salt1, salt2, frames };
  }

  value(sql: string): unknown {
    return Object.values(this.keeper.prepare(sql).get() ?? {})[0];
  }

  [Symbol.dispose](): void {
    this.keeper.close();
  }
}

/** A gate that holds nothing back until it is told to. */
export class TestGate implements CommitGate {
  readonly #file: TestFile;
  /** What `admitWrite` throws. */
  refusal: Error | null = null;
  /** The WAL's index cannot be read. */
  isUnreadable = false;
  /** Positions that were asked for while it was shut. */
  readonly asked: WalPosition[] = [];
  #hardened: WalPosition | null = null;
  #opened = Promise.withResolvers<void>();

  constructor(file: TestFile) {
    this.#file = file;
  }

  /** From now on only what is committed already is hardened. */
  shut(): void {
    this.#hardened = this.position();
    this.#opened = Promise.withResolvers<void>();
    this.#opened.promise.catch(() => {});
  }

  open(): void {
    this.#hardened = null;
    this.#opened.resolve();
  }

  /** What was held back is undone, or cannot be hardened. */
  fail(error: Error): void {
    this.#hardened = null;
    this.#opened.reject(error);
  }

  admitWrite(): void {
    if (this.refusal !== null) throw this.refusal;
  }

  position(): WalPosition {
    if (this.isUnreadable) throw new Error('the WAL index cannot be read');
    return this.#file.position();
  }

  isSettled(position: WalPosition): boolean {
    return this.#hardened === null || samePosition(position, this.#hardened);
  }

  settle(position: WalPosition): Promise<void> {
    this.asked.push(position);
    return this.#opened.promise;
  }
}
