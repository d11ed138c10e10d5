import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes, formatDuration, formatTimeLeft, plural } from './format.ts';
import { alignColumns, paintWith, printable, textWidth, truncate } from './text.ts';

test('numbers with their units', () => {
  assert.deepEqual([0, 980, 1234, 34_000_000, 5.5e12].map(formatBytes), [
    '0 bytes',
    '980 bytes',
    '1.2 kB',
    '34 MB',
    '5.5 TB',
  ]);
  assert.deepEqual([plural(0, 'row'), plural(1, 'row'), plural(12_345, 'row')], ['0 rows', '1 row', '12,345 rows']);
});

test('durations', () => {
  assert.deepEqual(
    [0, 80, 949, 4_200, 42_000, 59_600, 185_000, 3_599_700, 7_800_000, 273_600_000].map(formatDuration),
    ['0 ms', '80 ms', '949 ms', '4.2 s', '42 s', '1 min 00 s', '3 min 05 s', '1 h 00 min', '2 h 10 min', '3 d 4 h'],
  );
});

test('a time left is no more exact than it can be', () => {
  assert.deepEqual([1, 8_100, 31_000, 91_000, 3_500_000, 4_000_000].map(formatTimeLeft), [
    '1 s',
    '9 s',
    '35 s',
    '2 min',
    '59 min',
    '1 h 10 min',
  ]);
});

test('columns are aligned by what they take on a terminal', () => {
  assert.deepEqual(
    alignColumns(
      [
        ['name', 'rows'],
        ['会社', '1'],
        ['Å', '200'],
      ],
      [1],
    ),
    ['name  rows', '会社     1', 'Å      200'],
  );
});

test('names can do nothing to a terminal', () => {
  assert.equal(printable('a\u001b[2Jb\nc'), 'a\\x1b[2Jb\\x0ac');
});

test('long text is cut by width, colours take none', () => {
  assert.equal(truncate('appointment', 6), 'appoi…');
  assert.equal(truncate('会社会社', 5), '会社…');
  assert.equal(textWidth(paintWith(true)('red', 'three')), 5);
  assert.equal(paintWith(false)('red', 'three'), 'three');
});
