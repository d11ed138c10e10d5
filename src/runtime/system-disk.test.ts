import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { withDirectory } from '../../test/support/workload.ts';
import { systemDisk as disk } from './system-disk.ts';

const run = promisify(execFile);
const MODULE = new URL('./system-disk.ts', import.meta.url);

const coded = (code: string) => (error: unknown) => error instanceof Error && 'code' in error && error.code === code;

test('pieces are written one after another, and read back', async () => {
  using directory = withDirectory();
  const file = await disk.open(directory.file('a'), 'create');
  await file.write([Buffer.from('one'), Buffer.from(''), Buffer.from('two'), Buffer.from('three')], 4);
  await file.sync();
  const bytes = Buffer.alloc(20, 0xff);
  assert.equal(await file.read(bytes, 2), 13);
  assert.equal(bytes.toString('latin1', 0, 13), '\0\0onetwothree');
  assert.equal(await file.read(bytes, 100), 0);
  assert.equal(await file.length(), 15);
  await file.truncate(6);
  assert.equal(await file.length(), 6);
  await file.close();
  assert.equal(statSync(directory.file('a')).mode & 0o777, 0o600);
});

test('what is large goes another way, and is the same', async () => {
  using directory = withDirectory();
  const file = await disk.open(directory.file('a'), 'create');
  const large = Buffer.alloc(3 << 20, 'abcdefg');
  await file.write([Buffer.from('head'), large, Buffer.from('tail')], 1);
  const bytes = Buffer.alloc(large.length + 8);
  assert.equal(await file.read(bytes, 1), bytes.length);
  assert.ok(bytes.equals(Buffer.concat([Buffer.from('head'), large, Buffer.from('tail')])));
  await file.close();
});

test('small reads and writes are done before the call returns', async () => {
  using directory = withDirectory();
  const file = await disk.open(directory.file('a'), 'create');
  const written = file.write([Buffer.from('now')], 0);
  assert.equal(readFileSync(directory.file('a'), 'utf8'), 'now');
  const bytes = Buffer.alloc(3);
  const read = file.read(bytes, 0);
  assert.equal(bytes.toString(), 'now');
  await Promise.all([written, read]);
  await file.close();
});

test('names: made once, renamed over what is there, removed twice, listed in order', async () => {
  using directory = withDirectory();
  await disk.makeFolder(directory.file('x/y'));
  await disk.makeFolder(directory.file('x/y'));
  const path = (name: string) => directory.file(`x/y/${name}`);
  for (const name of ['b', 'a']) await (await disk.open(path(name), 'create')).close();
  await assert.rejects(disk.open(path('a'), 'create'), coded('EEXIST'));
  await assert.rejects(disk.open(path('c'), 'write'), coded('ENOENT'));
  await assert.rejects(disk.open(path('c'), 'read'), coded('ENOENT'));
  writeFileSync(path('a'), 'new');
  await disk.rename(path('a'), path('b'));
  await disk.syncFolder(directory.file('x/y'));
  assert.deepEqual(await disk.list(directory.file('x/y')), ['b']);
  assert.equal(readFileSync(path('b'), 'utf8'), 'new');
  await disk.remove(path('b'));
  await disk.remove(path('b'));
  assert.deepEqual(await disk.list(directory.file('x/y')), []);
  await assert.rejects(disk.list(directory.file('none')), coded('ENOENT'));
  await assert.rejects(disk.syncFolder(directory.file('none')), coded('ENOENT'));
});

test('a full disk says so', async () => {
  const file = await disk.open('/dev/full', 'write');
  await assert.rejects(file.write([Buffer.from('a')], 0), coded('ENOSPC'));
  await assert.rejects(file.write([Buffer.alloc(2 << 20)], 0), coded('ENOSPC'));
  await file.close();
});

test('a file opened for reading is not written', async () => {
  using directory = withDirectory();
  writeFileSync(directory.file('a'), 'a');
  chmodSync(directory.file('a'), 0o400);
  const file = await disk.open(directory.file('a'), 'read');
  await assert.rejects(file.write([Buffer.from('b')], 0), coded('EBADF'));
  await file.close();
});

/** Under a limit the system takes a part of a write, and refuses the rest when it is asked again. */
const LIMITED = `
  const { systemDisk } = await import(process.argv[1]);
  const file = await systemDisk.open(process.argv[2], 'create');
  const pieces = [100, 3000, 2000, 4000].map((bytes, nth) => Buffer.alloc(bytes, nth + 1));
  const code = await file.write(pieces, 0).then(() => 'done', (error) => error.code);
  await file.write([Buffer.alloc(96, 9)], 8000);
  console.log(code, await file.length());`;

test('a write that is cut short goes on, until there is an error', async () => {
  using directory = withDirectory();
  const path = directory.file('a');
  const { stdout } = await run('bash', [
    '-c',
    'ulimit -f 8; exec "$0" --input-type=module -e "$1" "$2" "$3"',
    ...[process.execPath, LIMITED, MODULE.href, path],
  ]);
  assert.equal(stdout, 'EFBIG 8192\n');
  const bytes = readFileSync(path);
  const counts = [1, 2, 3, 4, 9].map((value) => bytes.filter((byte) => byte === value).length);
  assert.deepEqual(counts, [100, 3000, 2000, 8192 - 5100 - 96, 96]);
});
