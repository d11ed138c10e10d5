import type { Lineage } from '../../core/lineage.ts';
import type { Lsn } from '../../core/lsn.ts';
import type { Term } from '../../core/term.ts';
import type { SqlDatabase } from '../sql.ts';
import type { DatabaseName } from './database-name.ts';

/**
 * `running`: reads and writes. `disk-full`: reads go on, writes are refused until there is room. `stopped`: a journal or a
 * file failed; nothing is served before the server was started again.
 */
export type DatabaseState = 'running' | 'disk-full' | 'stopped';

/** Where a database stands, at one moment. */
export type DatabaseStatus = {
  readonly state: DatabaseState;
  /** Why it is not running; null when it is. */
  readonly reason: string | null;
  readonly lineage: Lineage;
  readonly term: Term;
  /** The last commit that is written to the journal, and the last that is durable in it. */
  readonly appended: Lsn;
  readonly hardened: Lsn;
  /** Everything up to this commit is in the database file; recovery begins after it. */
  readonly checkpoint: Lsn;
  readonly journalBytes: number;
  readonly fileBytes: number;
  /** Bytes of SQLite's own WAL: commits that wait for the next checkpoint. */
  readonly walBytes: number;
  /** Streams that are open, and writers that wait for the write lock. */
  readonly streams: number;
  readonly waitingWriters: number;
  /** When it was opened, milliseconds since 1970. */
  readonly sinceMs: number;
};

export type BackupOptions = {
  /** Bytes copied, and how many there will be; the second may still grow. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
};

/** A database as the server's shell handles it. Disposing waits for what runs and leaves an ordinary SQLite file. */
export interface ServedDatabase extends AsyncDisposable {
  readonly name: DatabaseName;
  readonly sql: SqlDatabase;
  status(): DatabaseStatus;
  /**
   * Writes a plain SQLite file while writing goes on; answers the LSN that it is at. `target` must not be there yet; when it
   * rejects, nothing is left of it. Rejects with `DISK_FULL`, and with the signal's reason.
   */
  backup(target: string, options?: BackupOptions): Promise<{ readonly lsn: Lsn; readonly bytes: number }>;
}

/** The databases of one data folder, which the caller has locked. Calls for one name come one at a time. */
export interface DatabaseStore extends AsyncDisposable {
  /** Names in the folder, sorted; opened or not. */
  list(): readonly DatabaseName[];
  /** Recovers it where that is needed. Throws `NOT_FOUND`, and what recovery finds wrong. */
  open(name: DatabaseName): Promise<ServedDatabase>;
  /**
   * Makes a database: empty, or a SQLite file adopted as it is. `from` lies on the same disk and may be moved. A failure
   * leaves nothing. Throws `CONFLICT` when the name is taken, `NOT_A_DATABASE` for a file that is none.
   */
  create(name: DatabaseName, options?: { readonly from?: string | undefined }): Promise<ServedDatabase>;
  /** Removes a database that is not open, with its journal. */
  drop(name: DatabaseName): Promise<void>;
  /** Processes that run the clients' SQL, and how many of them are busy now. */
  executors(): { readonly running: number; readonly busy: number };
}

/** What the store tells while its databases work. Called often: it only counts. */
export interface StoreObserver {
  /** A journal's `fdatasync` has returned. */
  synced(database: DatabaseName, durationMs: number): void;
  /** A checkpoint is done. `pausedMs`: for how long writers had to wait for it. */
  checkpointed(database: DatabaseName, took: { readonly durationMs: number; readonly pausedMs: number }): void;
}
