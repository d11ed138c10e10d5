import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestStore } from '../../test/support/center-database.ts';
import { sharedPostgres } from '../../test/support/shared-postgres.ts';
import { SpeilError } from '../core/error.ts';
import { type CenterDatabase, openCenterDatabase } from './database.ts';
import { migrate } from './migrations.ts';

const now = () => 0;

const versions = async (database: CenterDatabase) =>
  (await database.query('SELECT version FROM speil_center.migration ORDER BY version')).map((row) => row['version']);

test('of centers that start at once on an empty database each finds it ready', async () => {
  const address = await (await sharedPostgres()).createDatabase();
  const opened = await Promise.all(Array.from({ length: 4 }, () => openCenterDatabase({ address }, { now })));
  for (const database of opened) {
    assert.deepEqual(await versions(database), [1]);
    await database[Symbol.asyncDispose]();
  }
});

test('each migration is applied once, whole or not at all', async () => {
  await using opened = await openTestStore('postgres');
  const { database } = opened;
  const first = 'nothing, it was applied already';
  const second = 'CREATE TABLE speil_center.second (n integer); INSERT INTO speil_center.second VALUES (1)';
  await assert.rejects(migrate(database, [first, second, 'CREATE TABLE speil_center.third (n nonsense)']), /nonsense/);
  assert.deepEqual(await versions(database), [1]);
  await migrate(database, [first, second]);
  await migrate(database, [first, second]);
  assert.deepEqual(await versions(database), [1, 2]);
  assert.deepEqual(await database.query('SELECT n FROM speil_center.second'), [{ n: 1 }]);
});

test('tables of a newer Speil are left alone', async () => {
  await using opened = await openTestStore('postgres');
  const { database } = opened;
  await database.query('INSERT INTO speil_center.migration (version) VALUES (7)');
  await assert.rejects(migrate(database), (error) => {
    assert.ok(error instanceof SpeilError);
    assert.deepEqual([error.code, error.recovery], ['CENTER_DATABASE_FAILED', 'operator']);
    assert.match(error.message, /of version 7; this Speil knows 1/);
    return true;
  });
});
