import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { SpeilError } from '../core/error.ts';
import { nearestName, readConfig, type SettingKind } from './config.ts';

const folder = mkdtempSync(join(tmpdir(), 'speil-config-'));
after(() => rmSync(folder, { recursive: true }));

const KNOWN: Readonly<Record<string, SettingKind>> = {
  every: 'text',
  follow: 'flag',
  batchSize: 'text-or-number',
  skipTable: 'list',
};

function read(text: string): Readonly<Record<string, unknown>> {
  const path = join(folder, 'speil.json');
  writeFileSync(path, text);
  return readConfig(path, KNOWN);
}

const refusal = (text: string, code: string, message: RegExp, hint: RegExp) =>
  assert.throws(
    () => read(text),
    (error) =>
      error instanceof SpeilError && error.code === code && message.test(error.message) && hint.test(error.hint ?? ''),
  );

test('settings of every kind are read', () => {
  assert.deepEqual(read('{ "every": "20m", "follow": true, "batchSize": 5000, "skipTable": ["a", "b"] }'), {
    every: '20m',
    follow: true,
    batchSize: '5000',
    skipTable: ['a', 'b'],
  });
  assert.deepEqual(read('{ "skipTable": "a, b" }'), { skipTable: 'a, b' });
});

test('an unknown setting is refused with the name that is meant', () => {
  refusal('{ "batchsize": 1 }', 'USAGE', /"batchsize" that does not exist/, /Did you mean "batchSize"/);
  refusal('{ "skip-tables": [] }', 'USAGE', /"skip-tables"/, /Did you mean "skipTable"/);
  refusal('{ "constructor": 1 }', 'USAGE', /"constructor"/, /Known settings: every, follow/);
});

test('a setting of the wrong kind is refused', () => {
  refusal('{ "every": 20 }', 'USAGE', /"every" .* is 20/, /a text in quotes/);
  refusal('{ "follow": "yes" }', 'USAGE', /"follow"/, /true or false/);
  refusal('{ "skipTable": [1] }', 'USAGE', /"skipTable"/, /a list/);
});

test('a file that is not a JSON object is refused', () => {
  refusal('{ "every": ', 'USAGE', /not valid JSON/, /Write for example/);
  refusal('[1]', 'USAGE', /does not hold a JSON object/, /Write for example/);
});

test('a missing file is named', () => {
  assert.throws(
    () => readConfig(join(folder, 'none.json'), KNOWN),
    (error) => error instanceof SpeilError && error.code === 'FILE_MISSING' && /none\.json/.test(error.message),
  );
});

test('the nearest name is found, and none where none is near', () => {
  assert.equal(nearestName('folow', ['every', 'follow']), 'follow');
  assert.equal(nearestName('zebra', ['every', 'follow']), null);
});
