import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TaskEvent } from '../task/report.ts';
import { advanceProgress, type ProgressState, startProgress } from './progress-state.ts';
import { describeProgress, renderProgress } from './progress-view.ts';
import { paintWith, textWidth } from './text.ts';

const EVENTS: readonly (readonly [number, TaskEvent])[] = [
  [
    0,
    {
      event: 'tables',
      tables: [
        { table: 'company', estimatedRows: 8_000, estimatedBytes: 800_000, work: 'copy', copiedRows: 0 },
        { table: 'person', estimatedRows: 20_000, estimatedBytes: 2_000_000, work: 'copy', copiedRows: 0 },
        { table: 'email', estimatedRows: 12_000, estimatedBytes: 1_200_000, work: 'copy', copiedRows: 0 },
        { table: 'tag', estimatedRows: 12, estimatedBytes: 4_096, work: 'catch-up', copiedRows: 0 },
      ],
    },
  ],
  [0, { event: 'copy-started', table: 'company', reason: 'no-position', estimatedRows: 8_000, resumedAtRows: 0 }],
  [2_000, { event: 'copy-progress', table: 'company', rows: 8_100, bytes: 1 }],
  [2_000, { event: 'copy-completed', table: 'company', rows: 8_100 }],
  [2_000, { event: 'copy-started', table: 'person', reason: 'no-position', estimatedRows: 20_000, resumedAtRows: 0 }],
  [4_000, { event: 'copy-progress', table: 'person', rows: 10_000, bytes: 1 }],
  [4_000, { event: 'changes-progress', table: 'tag', rows: 3, bytes: 1 }],
];

const state = EVENTS.reduce<ProgressState>(
  (current, [ms, event]) => advanceProgress(current, event, ms),
  startProgress(0),
);
const plain = { height: 24, paint: paintWith(false) };

test('a terminal of the usual width', () => {
  assert.deepEqual(renderProgress(state, { ...plain, width: 100 }, 4_000), [
    'company     ██████████████████████████████ 100 %        8,100 rows  2.0 s',
    'person      ███████████████░░░░░░░░░░░░░░░  50 %       10,000 of about 20,000  2.0 s',
    'tag         3 changes',
    'total 1/3   █████████████░░░░░░░░░░░░░░░░░  45 %       18,100 rows, 4,585 rows/s, about 5 s left',
  ]);
});

test('no line is longer than the screen, and not more of them than fit', () => {
  for (const [width, height] of [
    [20, 4],
    [40, 5],
    [79, 24],
    [200, 50],
  ] as const) {
    const lines = renderProgress(state, { width, height, paint: paintWith(true) }, 4_000);
    assert.ok(lines.length < height, `${lines.length} lines in ${height}`);
    for (const line of lines) assert.ok(textWidth(line) < width, line);
  }
});

test('where lines cannot be rewritten, one line says it all', () => {
  assert.equal(
    describeProgress(state),
    'copying: 1 of 3 tables, 18,100 of about 40,100 rows (45 %), 4,585 rows/s, about 5 s left',
  );
});
