import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createDatabase } from '../../../src/engine/sqlite/create.ts';
import { SqliteEngine } from '../../../src/engine/sqlite/engine.ts';
import type { EngineOptions } from '../../../src/engine/sqlite/engine-options.ts';
import { systemClock } from '../../../src/runtime/system-clock.ts';
import { systemDisk } from '../../../src/runtime/system-disk.ts';
import { systemRandom } from '../../../src/runtime/system-random.ts';

/** A folder for one database, removed when it is disposed. */
export class EngineFolder implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'speil-engine-'));
  readonly folder = join(this.root, 'shop');
  readonly #writers: DatabaseSync[] = [];
  #paused: Promise<void> = Promise.resolve();

  async create(from?: string): Promise<void> {
    await createDatabase({ disk: systemDisk, random: systemRandom, folder: this.folder, from, segmentBytes: 1 << 20 });
  }

  open(options: Partial<EngineOptions> = {}): Promise<SqliteEngine> {
    return SqliteEngine.open({
      disk: systemDisk,
      clock: systemClock,
      folder: this.folder,
      segmentBytes: 1 << 20,
      pauseWrites: async () => this.#pause(),
      detach: async () => this.closeWriters(),
      attach: () => {},
      ...options,
    });
  }

  /** Resolves when writing is allowed; then it is until the next turn of the event loop. */
  async mayWrite(): Promise<void> {
    for (let seen: unknown = null; seen !== this.#paused; ) {
      seen = this.#paused;
      await this.#paused;
    }
  }

  #pause(): Disposable {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#paused = promise;
    return { [Symbol.dispose]: resolve };
  }

  /** A connection as clients' SQL has it. */
  writer(): DatabaseSync {
    const writer = new DatabaseSync(join(this.folder, 'database.db'), { timeout: 1_000 });
    writer.exec('PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0');
    this.#writers.push(writer);
    return writer;
  }

  closeWriters(): void {
    for (const writer of this.#writers.splice(0)) if (writer.isOpen) writer.close();
  }

  /** The folder as it is this moment, as a kill would leave it. */
  snapshot(): EngineFolder {
    const copy = new EngineFolder();
    cpSync(this.folder, copy.folder, { recursive: true });
    return copy;
  }

  get files(): readonly string[] {
    return readdirSync(this.folder).toSorted();
  }

  /** What a program finds that opens the file of a stopped database. */
  read(sql: string): unknown[] {
    using plain = new DatabaseSync(join(this.folder, 'database.db'));
    return plain.prepare(sql).all();
  }

  [Symbol.dispose](): void {
    this.closeWriters();
    rmSync(this.root, { recursive: true, force: true });
  }
}
