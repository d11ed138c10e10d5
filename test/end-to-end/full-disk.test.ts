import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { assertSameRows } from '../support/dump.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { speil } from '../support/speil-process.ts';
import { withDirectory } from '../support/workload.ts';

const run = promisify(execFile);
const PROGRAM = fileURLToPath(new URL('../../bin/speil.js', import.meta.url));

/** About 6 MB in three tables. */
function archive(path: string): string {
  using database = new DatabaseSync(path);
  for (const table of ['a', 'b', 'c']) {
    database.exec(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, note TEXT);
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
      INSERT INTO ${table} SELECT i, hex(randomblob(100)) FROM n`);
  }
  return path;
}

/** A shell in a mount namespace of its own, with a small disk at `$disk`; what it prints are lines of `--json`. */
async function onSmallDisk(directory: string, script: string): Promise<string> {
  const disk = join(directory, 'disk');
  mkdirSync(disk);
  const speilCommand = `"${process.execPath}" "${PROGRAM}"`;
  const prelude = `set -u; disk="${disk}"; mount -t tmpfs -o size=2m tmpfs "$disk"; speil() { ${speilCommand} "$@"; echo "exit $?"; }`;
  const { stdout } = await run('unshare', ['--map-root-user', '--mount', 'sh', '-c', `${prelude}; ${script}`], {
    maxBuffer: 1e8,
  });
  return stdout;
}

const exitsOf = (output: string): readonly string[] => output.match(/^exit \d+$/gm) ?? [];

test('SQLite: a full disk loses nothing, is named, and heals when there is room', async () => {
  using directory = withDirectory();
  const source = archive(directory.file('archive.db'));
  const copy = directory.file('copy.db');
  const output = await onSmallDisk(
    directory.path,
    `speil mirror "${source}" "$disk/m.db" --json
     speil status "$disk/m.db" --json
     mount -o remount,size=64m "$disk"
     speil mirror "${source}" "$disk/m.db" --json
     speil verify "${source}" "$disk/m.db" --json
     cp "$disk"/m.db* "${directory.path}/"; mv "${directory.path}/m.db" "${copy}"; [ -e "${directory.path}/m.db-wal" ] && mv "${directory.path}/m.db-wal" "${copy}-wal"; true`,
  );
  assert.deepEqual(exitsOf(output), ['exit 1', 'exit 0', 'exit 0', 'exit 0'], output.slice(0, 3000));
  assert.match(output, /"code":"DISK_FULL"/);
  await assertSameRows(source, copy);
});

test('SQLite: a mirror on a read-only disk', async () => {
  using directory = withDirectory();
  const source = archive(directory.file('archive.db'));
  const output = await onSmallDisk(
    directory.path,
    `mount -o remount,size=64m "$disk"; speil mirror "${source}" "$disk/m.db" --quiet
     mount -o remount,ro "$disk"; speil mirror "${source}" "$disk/m.db" --json; speil status "$disk/m.db"`,
  );
  assert.deepEqual(exitsOf(output), ['exit 0', 'exit 1', 'exit 0'], output);
  assert.match(output, /"code":"READ_ONLY"/);
});

/** A tablespace on a small disk of the server's own; needs root, as mounting does. */
test('PostgreSQL: a full disk of the mirror is named, and heals when there is room', async () => {
  await using server = await startPostgres();
  using directory = withDirectory();
  const source = archive(directory.file('archive.db'));
  const disk = `${server.dataDirectory}-small-disk`;
  mkdirSync(disk);
  await run('mount', ['-t', 'tmpfs', '-o', 'size=10m,mode=0700,uid=65534,gid=65534', 'tmpfs', disk]);
  try {
    await server.sql('postgres', `CREATE TABLESPACE small LOCATION '${disk}'`);
    await server.sql('postgres', 'CREATE DATABASE mirror TABLESPACE small');
    const mirror = server.url('mirror');
    const full = await speil(['mirror', source, mirror, '--json']);
    assert.equal(full.code, 1);
    assert.match(full.stdout, /"code":"DISK_FULL"/);
    await run('mount', ['-o', 'remount,size=200m', disk]);
    const healed = await speil(['mirror', source, mirror, '--json']);
    assert.equal(healed.code, 0, healed.stdout.slice(-2000));
    await assertSameRows(source, mirror);
  } finally {
    await server.stop('immediate');
    await run('umount', [disk]);
    rmdirSync(disk);
  }
});
