import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Capture, type CapturedPiece } from '../../src/engine/sqlite/capture.ts';
import { checksumOfFile } from '../../src/engine/sqlite/file-checksum.ts';
import { systemDisk } from '../../src/runtime/system-disk.ts';
import { SimRandom } from '../random.ts';

/** What a real SQLite database went through: what was captured, and the file as SQLite itself has it after each group. */
export type RecordedRun = {
  readonly before: Buffer;
  readonly checksumBefore: bigint;
  readonly groups: readonly RecordedGroup[];
};

export type RecordedGroup = {
  /** Continued ones, and the last. */
  readonly pieces: readonly CapturedPiece[];
  readonly commits: number;
  readonly checksum: bigint;
  readonly after: Buffer;
};

const GROUPS = 60;
const PAGE_BYTES = 512;
/** Small, so that larger commits come in several pieces. */
const PAYLOAD_BYTES_MAX = 6_000;

/** Statements of every kind that moves pages; the same in each recording. */
function statement(n: number, random: SimRandom): string {
  if (n % 17 === 16) return 'VACUUM';
  if (n % 13 === 12)
    return `CREATE TABLE IF NOT EXISTS extra_${n} (a, b); CREATE INDEX IF NOT EXISTS extra_${n}_a ON extra_${n} (a)`;
  if (n % 11 === 10) return 'DELETE FROM item WHERE id % 3 = 0';
  if (n % 7 === 6) return `INSERT INTO item (note, blob) VALUES ('large', zeroblob(${random.integer(1_000, 30_000)}))`;
  if (n % 3 === 2)
    return `UPDATE item SET note = note || '${'x'.repeat(random.integer(1, 40))}' WHERE id % 4 = ${n % 4}`;
  return `INSERT INTO item (note, blob) SELECT 'row ${n}', hex(zeroblob(${random.integer(1, 60)})) FROM (VALUES (1), (2), (3))`;
}

export async function recordRun(): Promise<RecordedRun> {
  const folder = mkdtempSync(join(tmpdir(), 'speil-sim-recording-'));
  try {
    return await record(join(folder, 'database.db'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function record(path: string): Promise<RecordedRun> {
  using writer = new DatabaseSync(path);
  writer.exec(`PRAGMA page_size = ${PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
    PRAGMA wal_autocheckpoint = 0; CREATE TABLE item (id INTEGER PRIMARY KEY, note TEXT, blob BLOB);
    PRAGMA wal_checkpoint(TRUNCATE)`);
  const before = readFileSync(path);
  const checksumBefore = await checksumOf(path);
  using capture = Capture.open(path, { databaseChecksum: checksumBefore, payloadBytesMax: PAYLOAD_BYTES_MAX });
  const random = new SimRandom(1);
  const groups: RecordedGroup[] = [];
  for (let n = 0; n < GROUPS; n += 1) {
    for (let commits = random.integer(1, 4); commits > 0; commits -= 1) writer.exec(statement(n + commits, random));
    for (const pieces of await taken(capture)) groups.push(groupOf(pieces, path));
  }
  return { before, checksumBefore, groups };
}

async function taken(capture: Capture): Promise<readonly (readonly CapturedPiece[])[]> {
  const groups: (readonly CapturedPiece[])[] = [];
  for (let next = capture.take(); next !== null; next = capture.take())
    groups.push(next === 'large' ? await Array.fromAsync(capture.takeLarge()) : [next]);
  return groups;
}

function groupOf(pieces: readonly CapturedPiece[], path: string): RecordedGroup {
  const last = pieces.at(-1);
  if (last === undefined) throw new Error('a group of nothing');
  return { pieces, commits: last.commits, checksum: last.databaseChecksum, after: asSqliteHasIt(path) };
}

/** The file as SQLite recovers it from file and WAL. */
function asSqliteHasIt(path: string): Buffer {
  const clone = `${path}.clone`;
  copyFileSync(path, clone);
  copyFileSync(`${path}-wal`, `${clone}-wal`);
  new DatabaseSync(clone).close();
  const connection = new DatabaseSync(clone);
  connection.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  connection.close();
  const bytes = readFileSync(clone);
  for (const suffix of ['', '-wal', '-shm']) rmSync(clone + suffix, { force: true });
  return bytes;
}

async function checksumOf(path: string): Promise<bigint> {
  const file = await systemDisk.open(path, 'read');
  try {
    return await checksumOfFile(file);
  } finally {
    await file.close();
  }
}
