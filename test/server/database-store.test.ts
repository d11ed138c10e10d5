import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/runtime/system-clock.ts';
import { systemDisk } from '../../src/runtime/system-disk.ts';
import { systemRandom } from '../../src/runtime/system-random.ts';
import { DatabaseName } from '../../src/server/databases/database-name.ts';
import { openDatabaseStore } from '../../src/server/databases/database-store.ts';
import { createLog } from '../../src/service/log.ts';
import { FaultyDisk } from '../support/engine/faulty-disk.ts';

const SHOP = DatabaseName.of('shop');

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'speil-store-'));
  context.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function storeIn(folder: string, disk = systemDisk) {
  const log = createLog({ write: () => {}, form: 'json', clock: systemClock, redact: (text) => text });
  const observer = { synced: () => {}, checkpointed: () => {} };
  return openDatabaseStore({ folder, disk, clock: systemClock, random: systemRandom, log, observer });
}

test('a database that was made and cannot be opened is not there, and its name is free', async (t) => {
  const folder = folderOf(t);
  const disk = new FaultyDisk(systemDisk);
  await using store = await storeIn(folder, disk);
  let states = 0;
  disk.fault = (operation, path) =>
    operation === 'create' && path.endsWith('state.json.new') && ++states === 2 ? 'ENOSPC' : null;
  await assert.rejects(store.create(SHOP), /ENOSPC/);
  assert.deepEqual(readdirSync(folder), []);
  await store.create(SHOP);
});

test('what a kill has left of making and of dropping databases is removed', async (t) => {
  const folder = folderOf(t);
  for (const name of ['shop.new', '.dropped-shop-1', '.transfers', 'Notes.new']) mkdirSync(join(folder, name));
  await using _store = await storeIn(folder);
  assert.deepEqual(readdirSync(folder).toSorted(), ['.transfers', 'Notes.new']);
});
