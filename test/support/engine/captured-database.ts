import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Capture, type CapturedPiece, type CaptureOptions } from '../../../src/engine/sqlite/capture.ts';
import { checksumOfFile } from '../../../src/engine/sqlite/file-checksum.ts';
import { systemDisk } from '../../../src/runtime/system-disk.ts';

export type DatabaseShape = {
  readonly pageSize: number;
  readonly autoVacuum: 'none' | 'full' | 'incremental';
  /** Pages: a small one makes SQLite spill frames of transactions that are not committed. */
  readonly cachePages: number;
};

export const ORDINARY: DatabaseShape = { pageSize: 4096, autoVacuum: 'none', cachePages: 2000 };

export type CaptureLimits = Partial<CaptureOptions>;

/** The checksum of a database file as the engine reckons it. */
export async function sumOf(path: string): Promise<bigint> {
  const file = await systemDisk.open(path, 'read');
  const sum = await checksumOfFile(file);
  await file.close();
  return sum;
}

/** A database in WAL mode with several connections, its capture, and everything that was captured. */
export class CapturedDatabase implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'speil-engine-'));
  readonly path = this.file('source.db');
  readonly connections: readonly DatabaseSync[];
  readonly pieces: CapturedPiece[] = [];
  readonly #shape: DatabaseShape;
  #capture: Capture | null = null;

  /** With the schema, or on a database file in WAL mode that is made first. */
  constructor(shape: DatabaseShape = ORDINARY, schema = '', makeFile?: (path: string) => void) {
    this.#shape = shape;
    makeFile?.(this.path);
    const first = this.connect();
    if (makeFile !== undefined) first.exec('PRAGMA schema_version');
    else
      first.exec(`PRAGMA page_size = ${shape.pageSize}; PRAGMA auto_vacuum = ${shape.autoVacuum};
        PRAGMA journal_mode = WAL; ${schema}; PRAGMA wal_checkpoint(TRUNCATE)`);
    this.connections = [first, this.connect(), this.connect()];
  }

  file(name: string): string {
    return join(this.folder, name);
  }

  connect(): DatabaseSync {
    const connection = new DatabaseSync(this.path, { timeout: 0 });
    connection.exec(
      `PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = ${this.#shape.cachePages}`,
    );
    return connection;
  }

  /** Begins to capture, with everything in the file. */
  async capture(limits: CaptureLimits = {}): Promise<Capture> {
    this.#capture = Capture.open(this.path, {
      ...limits,
      databaseChecksum: limits.databaseChecksum ?? (await sumOf(this.path)),
    });
    return this.#capture;
  }

  /** Takes all that was committed; answers the pieces. Nobody else commits meanwhile. */
  async take(): Promise<readonly CapturedPiece[]> {
    const taken = await this.takeSome();
    assert.deepEqual(this.#capture?.position(), this.#capture?.captured);
    return taken;
  }

  /** The same while others go on. */
  async takeSome(): Promise<readonly CapturedPiece[]> {
    const capture = this.#capture;
    assert.ok(capture !== null);
    const taken: CapturedPiece[] = [];
    for (let next = capture.take(); next !== null; next = capture.take()) {
      if (next === 'large') for await (const piece of capture.takeLarge()) taken.push(piece);
      else taken.push(next);
    }
    this.pieces.push(...taken);
    return taken;
  }

  /**
   * A checkpoint by a connection of its own, as far as the others let it; only over commits that were captured. Answers whether
   * everything is in the database file.
   */
  checkpoint(mode: 'PASSIVE' | 'RESTART' | 'TRUNCATE'): boolean {
    using connection = this.connect();
    const { log, checkpointed } = connection.prepare(`PRAGMA wal_checkpoint(${mode})`).get() ?? {};
    return log === checkpointed;
  }

  /** The database file as SQLite itself recovers it from file and WAL as they are now: only what is committed, nothing in a WAL. */
  asSqliteHasIt(): Buffer {
    const clone = this.file('clone.db');
    copyFileSync(this.path, clone);
    copyFileSync(`${this.path}-wal`, `${clone}-wal`);
    const connection = new DatabaseSync(clone);
    connection.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    connection.close();
    const bytes = readFileSync(clone);
    for (const suffix of ['', '-wal', '-shm']) rmSync(clone + suffix, { force: true });
    return bytes;
  }

  [Symbol.dispose](): void {
    for (const connection of this.connections) connection.close();
    this.#capture?.[Symbol.dispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Where two files first differ, for people. */
export function assertSameBytes(actual: Buffer, expected: Buffer, pageSize: number, what: string): void {
  if (actual.equals(expected)) return;
  const at = actual.findIndex((byte, n) => byte !== expected[n]);
  const place = at < 0 ? '' : `, at byte ${at % pageSize} of page ${Math.floor(at / pageSize) + 1}`;
  assert.fail(`${what} differs: ${actual.length} bytes against ${expected.length}${place}`);
}
