import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { metadataRow, SqliteFixture } from '../../../test/support/sqlite-fixture.ts';
import { inTransaction, plainSchema, position, tagged, target } from '../../../test/support/sqlite-mirror.ts';

test('what may not be written is said', async () => {
  await using files = new SqliteFixture();
  mkdirSync(files.path('locked'));
  files.plain('locked/mirror.db', 'CREATE TABLE other(a)').close();
  await withoutPrivileges(files, async () => {
    await using mirror = await files.mirror('locked/mirror.db');
    const [missing] = await mirror.check();
    assert.match(missing?.grant ?? '', /^chmod u\+w '.*mirror\.db'$/);
    await assert.rejects(
      inTransaction(mirror, (tx) => tx.ensureMetadata()),
      { code: 'READ_ONLY' },
    );
  });
});

test('metadata of a mirror that is only looked at, also in a folder that cannot be written', async () => {
  await using files = new SqliteFixture();
  mkdirSync(files.path('locked'));
  const mirror = await files.mirror('locked/mirror.db');
  await inTransaction(mirror, async (tx) => {
    await tx.ensureMetadata();
    await tx.saveMetadata(metadataRow(plainSchema, position));
  });
  await mirror[Symbol.asyncDispose]();
  const look = async () => {
    await using seen = await files.mirror('locked/mirror.db', { readOnly: true });
    await assert.rejects(seen.hold({ pid: 1, host: 'h', since: 's' }), { code: 'READ_ONLY' });
    await assert.rejects(
      inTransaction(seen, (tx) => tx.ensureMetadata()),
      { code: 'READ_ONLY' },
    );
    assert.equal((await seen.readMetadata()).length, 1);
  };
  await look();
  assert.deepEqual(readdirSync(files.path('locked')), ['mirror.db']);
  await withoutPrivileges(files, async () => {
    await look();
    assert.deepEqual(readdirSync(files.path('locked')), ['mirror.db']);
    await assert.rejects(files.mirror('locked/mirror.db'), { code: 'READ_ONLY', hint: /writable/ });
  });
});

/** Makes the folder `locked` read-only, for the administrator too, who may write everywhere. */
async function withoutPrivileges(files: SqliteFixture, work: () => Promise<void>): Promise<void> {
  chmodSync(files.folder, 0o755);
  chmodSync(files.path('locked/mirror.db'), 0o444);
  chmodSync(files.path('locked'), 0o555);
  const user = process.geteuid?.() ?? 1;
  if (user === 0) process.seteuid?.(65534);
  try {
    await work();
  } finally {
    if (user === 0) process.seteuid?.(0);
    chmodSync(files.path('locked'), 0o755);
  }
}

/** Runs a module's text in another process; answers its first line of output. */
async function inOtherProcess(text: string, ...args: readonly string[]) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', text, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  const [line] = await once(createInterface({ input: child.stdout }), 'line', { signal: AbortSignal.timeout(10_000) });
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  return { pid: child.pid ?? 0, line: String(line), kill, [Symbol.asyncDispose]: kill };
}

const HOLDER = `
  const { openSqliteMirror } = await import(${JSON.stringify(join(import.meta.dirname, 'mirror.ts'))});
  const path = process.argv[1];
  const clock = { now: () => 0, monotonicMs: () => 0, sleep: async () => {} };
  const mirror = await openSqliteMirror({ kind: 'sqlite', path, display: path }, { clock, random: {}, tenant: 'other' });
  await mirror.hold({ pid: process.pid, host: 'there', since: 'noon' });
  console.log('held');
  process.stdin.resume();
`;

test('a mirror that another process holds is refused, with who holds it, until that process is gone', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  await using other = await inOtherProcess(HOLDER, files.path('mirror.db'));
  assert.equal(other.line, 'held');
  const me = { pid: process.pid, host: hostname(), since: 'now' };
  await assert.rejects(mirror.hold(me), {
    code: 'MIRROR_BUSY',
    message: new RegExp(`process ${other.pid} on there since noon`),
  });
  await inTransaction(mirror, (tx) => tx.ensureMetadata());
  await other.kill();
  const held = await mirror.hold(me);
  await assert.rejects((await files.mirror()).hold(me), { code: 'MIRROR_BUSY' });
  await held[Symbol.asyncDispose]();
  await using again = await mirror.hold(me);
  assert.ok(again);
  assert.equal(existsSync(files.path('mirror.db-speil.holder')), true);
});

const FILLER = `
  const { openSqliteMirror } = await import(${JSON.stringify(join(import.meta.dirname, 'mirror.ts'))});
  const [, path, schemaText] = process.argv;
  const schema = JSON.parse(schemaText);
  const clock = { now: () => 0, monotonicMs: () => 0, sleep: async () => {} };
  const mirror = await openSqliteMirror({ kind: 'sqlite', path, display: path }, { clock, random: {}, tenant: 'speil' });
  const target = { schema, shadow: null, widened: {} };
  const row = (id) => Buffer.from('i' + id + '\\tt' + 'x'.repeat(100000) + '\\n');
  const answer = await mirror.transaction({ relaxed: false }, async (tx) => {
    await tx.deleteAll(target);
    let failed = 0;
    for (let id = 0; id < 200; id++) {
      await tx.savepoint(() => tx.load(target, { rows: row(id), rowCount: 1, format: 'tagged' })).catch(() => failed++);
    }
    return failed;
  }).catch((error) => error.code);
  console.log(answer);
  process.exit(0);
`;

test('a disk that is full is said so, and nothing is lost', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  await inTransaction(mirror, async (tx) => {
    await tx.createTable(target(plainSchema), true);
    await tx.load(target(plainSchema), tagged(['i1', 'tkept']));
  });
  await mirror[Symbol.asyncDispose]();
  const child = spawn(
    'sh',
    [
      '-c',
      'ulimit -f 4000; exec "$0" "$@"',
      process.execPath,
      '--input-type=module',
      '-e',
      FILLER,
      files.path('mirror.db'),
      JSON.stringify(plainSchema),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [line] = await Array.fromAsync(createInterface({ input: child.stdout }));
  assert.equal(line, 'DISK_FULL');
  assert.deepEqual(
    files
      .plain('mirror.db')
      .prepare('SELECT v FROM t')
      .all()
      .map(({ v }) => v),
    ['kept'],
  );
});
