import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { createDatabase } from '../../src/engine/sqlite/create.ts';
import { systemDisk } from '../../src/runtime/system-disk.ts';
import { systemRandom } from '../../src/runtime/system-random.ts';
import { copySqliteFile } from '../../src/server/databases/sqlite-copy.ts';

const folder = mkdtempSync(join(tmpdir(), 'speil-copy-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
const [from, to] = [join(folder, 'from.db'), join(folder, 'to.db')];

test('a file that another connection has locked for a moment is copied after it', async () => {
  using writer = new DatabaseSync(from);
  writer.exec('CREATE TABLE t (v); BEGIN EXCLUSIVE; INSERT INTO t VALUES (1)');
  setTimeout(() => writer.exec('COMMIT'), 200);
  await copySqliteFile(from, to);
  using copy = new DatabaseSync(to);
  assert.equal(copy.prepare('SELECT v FROM t').all().length, 1);
});

test('a file that was cut off is no database, also when it is moved', async () => {
  const bytes = readFileSync(from);
  const cut = join(folder, 'cut.db');
  writeFileSync(cut, bytes.subarray(0, bytes.length / 2));
  await assert.rejects(copySqliteFile(cut, join(folder, 'copy.db')), { code: 'NOT_A_DATABASE' });
  const database = { disk: systemDisk, random: systemRandom, folder: join(folder, 'shop'), from: cut, mayMove: true };
  await assert.rejects(createDatabase(database), { code: 'NOT_A_DATABASE' });
});
