import { copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Capture, type CapturedPiece } from '../src/engine/sqlite/capture.ts';
import { RedoFile } from '../src/engine/sqlite/redo.ts';
import { systemDisk } from '../src/runtime/system-disk.ts';
import { sumOf } from '../test/support/engine/captured-database.ts';
import { describeMachine } from './support/machine.ts';
import { alternate, printResult, progress, ratio, readNumbers, timed } from './support/runs.ts';
import { rounded } from './support/statistics.ts';

const { commits, block, runs, rows } = readNumbers({ commits: 100_000, block: 64, runs: 5, rows: 100_000 });
const SETTINGS = 'PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0';
const INSERT = 'INSERT INTO orders(note, customer) VALUES (?, ?)';

const folder = mkdtempSync(join(tmpdir(), 'speil-bench-redo-'));
const [base, source] = [join(folder, 'base.db'), join(folder, 'source.db')];
process.once('exit', () => rmSync(folder, { recursive: true }));

/** A table with one index whose values come in no order: each insert changes a page of its own there. */
function createBase(): void {
  using database = new DatabaseSync(base);
  database.exec(`${SETTINGS};
    CREATE TABLE orders(id INTEGER PRIMARY KEY, note TEXT, customer INT);
    CREATE INDEX orders_customer ON orders(customer);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
      INSERT INTO orders(note, customer) SELECT 'order number ' || i, abs(random() % 1000000000) FROM n;
    PRAGMA wal_checkpoint(TRUNCATE)`);
}

const customerOf = (n: number): number => Math.imul(n, 0x9e3779b1) >>> 2;

type Captured = {
  readonly pieces: readonly CapturedPiece[];
  /** Of a processor, to take them. */
  readonly microsecondsPerCommit: number;
  readonly positionMicroseconds: number;
};

/** Every insert is a commit; what was committed is taken after each block. */
async function captureInserts(): Promise<Captured> {
  copyFileSync(base, source);
  const database = new DatabaseSync(source);
  database.exec(SETTINGS);
  const insert = database.prepare(INSERT);
  insert.run('the first', 1);
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  copyFileSync(source, base);
  using capture = Capture.open(source, { databaseChecksum: await sumOf(base) });
  const pieces: CapturedPiece[] = [];
  let processorMicroseconds = 0;
  for (let n = 0; n < commits; n++) {
    insert.run(`order number ${n}`, customerOf(n));
    if ((n + 1) % block !== 0 && n + 1 < commits) continue;
    const before = process.cpuUsage();
    for (let piece = capture.take(); piece !== null && piece !== 'large'; piece = capture.take()) pieces.push(piece);
    const { user, system } = process.cpuUsage(before);
    processorMicroseconds += user + system;
    if (pieces.length % 100 === 0) database.exec('PRAGMA wal_checkpoint(PASSIVE)');
  }
  const positionMs = await timed(async () => {
    for (let n = 0; n < 100_000; n++) capture.position();
  });
  database.close();
  return { pieces, microsecondsPerCommit: processorMicroseconds / commits, positionMicroseconds: positionMs * 10 };
}

/** Commits a second, redone and written, not synced. */
async function redoAll(pieces: readonly CapturedPiece[], keepsChecksum: boolean): Promise<number> {
  const path = join(folder, 'mirror.db');
  copyFileSync(base, path);
  const file = await systemDisk.open(path, 'write');
  const before = keepsChecksum ? { databaseChecksum: await sumOf(base) } : {};
  const redo = new RedoFile(file, { asReadMirror: true, ...before });
  const seconds = await timed(async () => {
    for (const { payload, continued } of pieces) await redo.apply(payload, { continued });
    await redo.flush();
  });
  await file.close();
  if (keepsChecksum && redo.databaseChecksum !== pieces.at(-1)?.databaseChecksum) throw new Error('the copy differs');
  return commits / seconds;
}

/** The same statements, each its own commit, by SQLite itself without any flush to disk. */
async function executeAgain(): Promise<number> {
  const path = join(folder, 'again.db');
  copyFileSync(base, path);
  using database = new DatabaseSync(path);
  database.exec(SETTINGS);
  const insert = database.prepare(INSERT);
  const seconds = await timed(async () => {
    for (let n = 0; n < commits; n++) insert.run(`order number ${n}`, customerOf(n));
  });
  rmSync(`${path}-wal`, { force: true });
  return commits / seconds;
}

async function checksumGigabytesPerSecond(): Promise<number> {
  const seconds = await timed(() => sumOf(base));
  return statSync(base).size / 1e9 / seconds;
}

createBase();
const { pieces, microsecondsPerCommit, positionMicroseconds } = await captureInserts();
const payloadBytes = pieces.reduce((sum, { payload }) => sum + payload.length, 0);
progress(`captured: ${rounded(microsecondsPerCommit)} µs and ${rounded(payloadBytes / commits)} bytes a commit`);
await redoAll(pieces, true);
const comparison = await alternate(
  [
    { name: 'redo', run: () => redoAll(pieces, false) },
    { name: 'redo, checksum kept', run: () => redoAll(pieces, true) },
    { name: 'SQLite executes', run: executeAgain },
  ],
  runs,
  'commits/s',
);

printResult({
  benchmark: 'redo',
  what: `${commits} commits of one small row with one random index, ${block} a block, redone in a database of ${rows} rows`,
  machine: describeMachine('not used'),
  commitsPerSecond: comparison,
  redoToSqlite: ratio(comparison, 'redo', 'SQLite executes'),
  captureProcessorMicrosecondsPerCommit: rounded(microsecondsPerCommit),
  payloadBytesPerCommit: rounded(payloadBytes / commits),
  positionMicroseconds: rounded(positionMicroseconds),
  checksumGigabytesPerSecond: rounded(await checksumGigabytesPerSecond()),
});
