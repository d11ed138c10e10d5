import { statSync } from 'node:fs';
import type { Backup } from '../../engine/sqlite/backup.ts';
import { SqliteEngine } from '../../engine/sqlite/engine.ts';
import type { EngineState } from '../../engine/sqlite/engine-options.ts';
import { Streams } from '../streams/streams.ts';
import type { DatabaseName } from './database-name.ts';
import type { BackupOptions, DatabaseStatus, ServedDatabase } from './served-database.ts';
import type { StoreParts } from './store-parts.ts';

/** How long a backup may take is its caller's affair. */
const NEVER = new AbortController().signal;

/** A database of this server: the engine that hardens what is committed, and the streams that clients' SQL runs on. */
export class EngineDatabase implements ServedDatabase {
  readonly name: DatabaseName;
  readonly sql: Streams;
  readonly #engine: SqliteEngine;
  readonly #sinceMs: number;
  #closing: Promise<void> | null = null;

  private constructor(name: DatabaseName, engine: SqliteEngine, sql: Streams, sinceMs: number) {
    this.name = name;
    this.sql = sql;
    this.#engine = engine;
    this.#sinceMs = sinceMs;
  }

  /** Recovers it where that is needed. Rejects with what {@link SqliteEngine.open} does. */
  static async open(name: DatabaseName, folder: string, parts: StoreParts): Promise<EngineDatabase> {
    const { clock, disk, log, observer } = parts;
    const opened: { streams: Streams | null } = { streams: null };
    const engine = await SqliteEngine.open({
      ...{ disk, clock, folder },
      pauseWrites: () => opened.streams?.pauseWrites() ?? Promise.reject(new Error('the database is being opened')),
      detach: async (why) => (why === 'undo' ? opened.streams?.pause() : opened.streams?.close()),
      attach: () => opened.streams?.resume(),
      onHardened: ({ durationMs }) => observer.synced(name, durationMs),
      onCheckpoint: (took) => observer.checkpointed(name, took),
      onState: (state, error) => log.error({ database: name, state, error }, STATE_WORDS[state]),
    });
    const streams = new Streams({
      ...{ name, path: engine.file, clock, gate: engine },
      observer: {
        onExecutorLost: ({ role, diagnosis }) =>
          log.warn({ database: name, role, diagnosis }, 'a process that carries out SQL has ended by itself'),
      },
    });
    opened.streams = streams;
    return new EngineDatabase(name, engine, streams, clock.now());
  }

  /** Starts the processes that its first client needs, so that he does not wait for them. */
  warm(): void {
    this.sql.warm();
  }

  status(): DatabaseStatus {
    const { journal, state, failure, lineage, term, checkpointLsn } = this.#engine;
    return {
      state,
      reason: failure instanceof Error ? failure.message : null,
      ...{ lineage, term, checkpoint: checkpointLsn },
      appended: journal.appended.lsn,
      hardened: journal.hardened.lsn,
      journalBytes: journal.bytes,
      fileBytes: sizeOf(this.#engine.file),
      walBytes: sizeOf(`${this.#engine.file}-wal`),
      streams: this.sql.openCount,
      waitingWriters: this.sql.waitingWriters,
      sinceMs: this.#sinceMs,
    };
  }

  backup(target: string, { onProgress, signal = NEVER }: BackupOptions = {}): Promise<Backup> {
    return this.#engine.backup(target, { onProgress, signal });
  }

  get isOpen(): boolean {
    return this.#closing === null;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.sql.close();
    await this.#engine[Symbol.asyncDispose]();
  }
}

const STATE_WORDS: Readonly<Record<EngineState, string>> = {
  running: 'there is room on the disk again, and the database is written to',
  'disk-full': 'the disk is full: the database is read only until there is room',
  stopped: 'the database has stopped; the server has to be started again',
};

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
