import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { RedoFile } from '../../src/engine/sqlite/redo.ts';
import { systemDisk } from '../../src/runtime/system-disk.ts';
import { assertSameBytes, CapturedDatabase, ORDINARY, sumOf } from '../support/engine/captured-database.ts';

const SCRIPT = new URL('../support/engine/writer-child.ts', import.meta.url).pathname;
const KILLS = 4;

/** Resolves when it has written that many lines, which it goes on doing. */
async function writerAfter(path: string, lines: number) {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', SCRIPT, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let seen = 0;
  while (seen < lines) seen += String(await once(child.stdout, 'data')).split('\n').length - 1;
  child.stdout.resume();
  return child;
}

test('a writer that is killed in the middle of a commit leaves nothing that is captured and not there', async () => {
  using source = new CapturedDatabase(ORDINARY, 'CREATE TABLE t(k INT, v); CREATE INDEX t_k ON t(k)');
  const copy = source.file('copy.db');
  copyFileSync(source.path, copy);
  await source.capture({ loadedBytesMax: 500_000 });
  const file = await systemDisk.open(copy, 'write');
  const redo = new RedoFile(file, { databaseChecksum: await sumOf(copy) });
  const follow = async (): Promise<void> => {
    for (const { payload, continued } of await source.takeSome()) await redo.apply(payload, { continued });
  };
  for (let kill = 1; kill <= KILLS; kill++) {
    const child = await writerAfter(source.path, 1 + (kill % 3));
    const exit = once(child, 'exit');
    for (let round = 0; round < kill; round++) await follow();
    child.kill('SIGKILL');
    await exit;
    source.connections[0]?.exec('INSERT INTO t VALUES (1, 2)');
    await follow();
    source.checkpoint('TRUNCATE');
  }
  await redo.flush();
  await file.close();
  assertSameBytes(readFileSync(copy), source.asSqliteHasIt(), ORDINARY.pageSize, 'the copy');
});
