import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SpeilError } from '../core/error.ts';
import {
  collectNames,
  mergeSettings,
  parseBatchSize,
  parseDuration,
  parseTenant,
  parseWipe,
  settingsOfConfig,
} from './settings.ts';

test('durations', () => {
  const durations = ['20m', '90s', '1h', '500ms', '1.5h', '2d', ' 10 s '].map(parseDuration);
  assert.deepEqual(durations, [1_200_000, 90_000, 3_600_000, 500, 5_400_000, 172_800_000, 10_000]);
  for (const text of ['', '20', 'm', '-1m', '0s', '1w', '1h30m', '1e9999d']) {
    assert.throws(() => parseDuration(text), /20m, 90s, 1h or 500ms/, text);
  }
});

test('batch sizes', () => {
  assert.deepEqual(
    ['1000000', '4MB', '500kB', '1_000', '2M'].map(parseBatchSize),
    [1_000_000, 4_000_000, 500_000, 1_000, 2_000_000],
  );
  for (const text of ['', '999', '65MB', '1GB', 'many', '1.5MB']) {
    assert.throws(() => parseBatchSize(text), /1,000 to 64,000,000/, text);
  }
});

test('lists collect over commas and repeated flags', () => {
  assert.deepEqual(collectNames('c', collectNames(' a , b,')), ['a', 'b', 'c']);
  assert.throws(() => collectNames(' , '), /one name/);
});

test('tenants and wipes', () => {
  assert.equal(parseTenant('Ålesund_2'), 'Ålesund_2');
  for (const text of ['', '2nd', 'a b', 'x'.repeat(41), 'ø'.repeat(27)])
    assert.throws(() => parseTenant(text), /tenant/, text);
  assert.equal(parseWipe('in-place'), 'in-place');
  assert.throws(() => parseWipe('inplace'), /shadow or in-place/);
});

test('settings of a file become what flags become', () => {
  assert.deepEqual(
    settingsOfConfig('c.json', { every: '20m', batchSize: '5000', skipTables: 'a, b', takeOver: true }),
    {
      every: 1_200_000,
      batchSize: 5_000,
      skipTable: ['a', 'b'],
      takeOver: true,
    },
  );
});

test('a bad value in a file names file and setting', () => {
  assert.throws(
    () => settingsOfConfig('c.json', { every: 'often' }),
    (error) =>
      error instanceof SpeilError && error.code === 'USAGE' && /"every" in c\.json is "often"/.test(error.message),
  );
});

test('both spellings of a list add up: nothing that is to be skipped is mirrored', () => {
  const raw = { skipTable: 'person', skipTables: ['session', 'audit'], onlyTables: ['sale'] };
  assert.deepEqual(settingsOfConfig('c.json', raw), {
    skipTable: ['person', 'session', 'audit'],
    onlyTable: ['sale'],
  });
});

test('flags win over the file', () => {
  const file = { every: 1000, batchSize: 5000, skipTable: ['a'] };
  assert.deepEqual(mergeSettings(file, { skipTable: ['b'] }), { every: 1000, batchSize: 5000, skipTable: ['b'] });
  assert.deepEqual(mergeSettings(file, { follow: true }), { follow: true, batchSize: 5000, skipTable: ['a'] });
});

test('a schedule and following exclude each other', () => {
  assert.throws(() => mergeSettings({}, { every: 1000, follow: true }), /exclude each other/);
  assert.throws(() => mergeSettings({ every: 1000, follow: true }, {}), /exclude each other/);
});
