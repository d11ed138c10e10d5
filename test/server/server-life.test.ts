import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { SpeilError } from '../../src/core/error.ts';
import { takeServerFolder } from '../../src/server/data-folder.ts';
import { startShell } from '../support/shell-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'speil-life-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const call = async (url: string, path: string) => {
  const response = await fetch(new URL(path, url));
  return { status: response.status, body: JSON.parse(await response.text()) };
};

test('two servers on one folder: the second is refused, and says who has it', async () => {
  const data = join(folder, 'twice');
  await using first = await startShell({ data });
  await assert.rejects(startShell({ data }), (error) => {
    assert.ok(error instanceof SpeilError && error.code === 'CONFLICT');
    assert.match(error.message, new RegExp(`in use by process ${process.pid} on `));
    assert.match(error.hint ?? '', /kill \d+.*--data/);
    return true;
  });
  assert.equal((await call(first.url, '/healthz')).status, 200);
});

test('a folder whose server has ended can be taken again, and has what it had', async () => {
  const data = join(folder, 'again');
  {
    await using first = await startShell({ data });
    await first.instance.create('shop');
    const { sql } = await first.instance.open('shop');
    assert.equal(await sql.openStream('write').sequence('CREATE TABLE a (x)'), null);
  }
  assert.equal(statSync(data).mode & 0o777, 0o700);
  await using second = await startShell({ data });
  assert.deepEqual(second.instance.databases.names, ['shop']);
});

test('a folder that cannot be written is refused with what to do', async () => {
  const data = join(folder, 'read-only');
  mkdirSync(data);
  chmodSync(data, 0o555);
  chmodSync(folder, 0o755);
  const script = `import { takeServerFolder } from ${JSON.stringify(import.meta.resolve('../../src/server/data-folder.ts'))};
    try { takeServerFolder(${JSON.stringify(data)}, 0); } catch (error) { console.log(error.code, error.message, error.hint); }`;
  const isRoot = process.getuid?.() === 0;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], isRoot ? { uid: 65_534 } : {});
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await once(child, 'close');
  assert.match(
    said,
    /^READ_ONLY The data folder .*read-only cannot be written: .*EACCES.* Give this account the right/,
  );
  writeFileSync(join(folder, 'file'), '');
  assert.throws(() => takeServerFolder(join(folder, 'file'), 0), /cannot be used/);
});

test('a database that cannot be opened keeps no other from being served', async () => {
  const data = join(folder, 'one-bad');
  {
    await using first = await startShell({ data });
    await first.instance.create('good');
    await first.instance.create('bad');
  }
  writeFileSync(join(data, 'bad', 'database.db'), 'this is no database, however long one makes the text of it');
  await using server = await startShell({ data });
  assert.deepEqual(await call(server.url, '/readyz'), {
    status: 503,
    body: { status: 'not ready', databases: { bad: 'failed' } },
  });
  const { body } = await call(server.url, '/admin/databases/bad');
  assert.partialDeepStrictEqual(body, { name: 'bad', state: 'failed' });
  assert.match(body.reason, /not a database/);
  const post = async (path: string) => (await fetch(new URL(path, server.url), { method: 'POST' })).status;
  assert.deepEqual([await post('/good/v3/pipeline'), await post('/bad/v3/pipeline')], [200, 500]);
  const dropped = await fetch(new URL('/admin/databases/bad', server.url), { method: 'DELETE' });
  assert.equal(dropped.status, 204);
  assert.equal((await call(server.url, '/readyz')).status, 200);
  assert.ok(server.said.some((line) => line['database'] === 'bad' && line['level'] === 'error'));
});

test('metrics say how each database is', async () => {
  await using server = await startShell({ slowMs: 0 });
  const { sql } = await server.instance.create('shop');
  await using stream = sql.openStream('write');
  await stream.sequence('CREATE TABLE person (name TEXT)');
  const statement = { sql: "INSERT INTO person VALUES ('Ada')", positional: [], named: new Map(), wantRows: true };
  await stream.batch([
    { statement, condition: null },
    { statement: { ...statement, sql: 'nonsense' }, condition: null },
  ]);
  const text = await (await fetch(new URL('/metrics', server.url))).text();
  for (const line of [
    'speil_statement_duration_seconds_count{database="shop"} 2',
    'speil_statements_failed_total{database="shop"} 1',
    'speil_statements_slow_total{database="shop"} 2',
    'speil_commits{database="shop"} 7',
    'speil_commits_after_checkpoint{database="shop"} 2',
    'speil_streams{database="shop"} 1',
    'speil_journal_bytes{database="shop"} 1000',
    'speil_executors 1',
    'speil_databases 1',
  ]) {
    assert.ok(text.split('\n').includes(line), `${line} is not in\n${text}`);
  }
  assert.match(text, /^speil_statement_duration_seconds_bucket\{database="shop",le="\+Inf"\} 2$/m);
  const slow = server.said.filter(({ msg }) => msg === 'a statement took long');
  assert.deepEqual(slow.map(({ sql: shown }) => shown).at(-1), 'INSERT INTO person VALUES (?)');
  assert.ok(!JSON.stringify(server.said).includes('Ada'));
});
