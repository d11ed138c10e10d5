import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createDatabase } from '../src/engine/sqlite/create.ts';
import { SqliteEngine } from '../src/engine/sqlite/engine.ts';
import type { EngineOptions } from '../src/engine/sqlite/engine-options.ts';
import { databasePath } from '../src/engine/sqlite/recovery.ts';
import { systemClock } from '../src/runtime/system-clock.ts';
import { systemDisk } from '../src/runtime/system-disk.ts';
import { systemRandom } from '../src/runtime/system-random.ts';
import { CREATE, INSERT, NOTE, randomCustomer } from './support/commit-load.ts';
import { describeMachine } from './support/machine.ts';
import { printResult, progress, readNumbers, timed } from './support/runs.ts';
import { rounded } from './support/statistics.ts';

const { megabytes } = readNumbers({ megabytes: 1024 });

const root = mkdtempSync(join(tmpdir(), 'speil-bench-recovery-'));
process.once('exit', () => rmSync(root, { recursive: true, force: true }));
const folder = join(root, 'shop');
/** Resolves when nobody has asked for a pause. */
let writingAllowed: Promise<void> = Promise.resolve();

function pauseWrites(): Disposable {
  const { promise, resolve } = Promise.withResolvers<void>();
  writingAllowed = promise;
  return { [Symbol.dispose]: resolve };
}

const options: EngineOptions = {
  ...{ disk: systemDisk, clock: systemClock, folder },
  redoBytes: Number.POSITIVE_INFINITY,
  pauseWrites: async () => pauseWrites(),
  detach: async () => {},
  attach: () => {},
};
const COMMITS_A_FLUSH = 64;

/** Commits as 64 writers make them, until the journal is so long; then the folder as a kill leaves it. */
async function fill(copy: string): Promise<{ readonly commits: number }> {
  await using engine = await SqliteEngine.open(options);
  using writer = new DatabaseSync(databasePath(folder));
  writer.exec(`PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0; ${CREATE}`);
  const insert = writer.prepare(INSERT);
  for (let n = 0; engine.journal.bytes < megabytes << 20; n++) {
    await writingAllowed;
    for (let commit = 0; commit < COMMITS_A_FLUSH; commit++) insert.run(NOTE, randomCustomer());
    await engine.settle(engine.position());
    if (n % 2000 === 0) progress(`${engine.journal.bytes >> 20} MB of journal`);
  }
  cpSync(folder, copy, { recursive: true, filter: (path) => !/-(?:wal|shm)$/.test(path) });
  return { commits: Number(engine.hardened.lsn) };
}

await createDatabase({ disk: systemDisk, random: systemRandom, folder });
const killed = join(root, 'killed');
const { commits } = await fill(killed);
rmSync(folder, { recursive: true });
const seconds = await timed(async () => {
  const engine = await SqliteEngine.open({
    ...options,
    folder: killed,
    onProgress: ({ step, done, total }) => {
      if (done === total) progress(`${step}: ${done}`);
    },
  });
  await engine[Symbol.asyncDispose]();
});
printResult({
  benchmark: 'recovery',
  what: `opening a database after a kill, with ${megabytes} MB of journal to redo, and stopping it`,
  machine: describeMachine('none'),
  commits,
  seconds: rounded(seconds),
  commitsPerSecond: Math.round(commits / seconds),
});
