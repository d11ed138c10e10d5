import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MirrorPlan } from '../client/plan.ts';
import type { MirrorStatus } from '../mirror.ts';
import type { VerifyReport } from '../verify.ts';
import { renderPlan } from './plan-view.ts';
import { renderStatus } from './status-view.ts';
import { paintWith } from './text.ts';
import { describeVerify, renderVerify } from './verify-view.ts';

const paint = paintWith(false);

const plan: MirrorPlan = {
  source: 'postgres://reader@db/crm',
  mirror: 'crm.db',
  tables: [
    {
      table: 'person',
      key: ['id'],
      estimatedRows: 20_000,
      estimatedBytes: 3_400_000,
      work: 'copy',
      sourceDdl: ['CREATE TABLE speil.change_1 (id bigint)'],
      mirrorDdl: ['CREATE TABLE "person" (\n  "id" INTEGER\n);'],
      notes: [],
      forms: ['numeric becomes text'],
    },
    {
      table: 'sales.log',
      key: [],
      estimatedRows: 7,
      estimatedBytes: 512,
      work: 'catch-up',
      sourceDdl: [],
      mirrorDdl: [],
      notes: ['no key: copied whole when it changed'],
      forms: [],
    },
  ],
  excluded: [{ table: 'open_sale', reason: 'a view' }],
  skipped: ['audit'],
  unmatched: ['persn'],
  missing: [
    { where: 'source', what: 'SELECT on person', grant: 'GRANT SELECT ON person TO reader;', required: true },
    { where: 'source', what: 'TRIGGER on tag', grant: 'GRANT TRIGGER ON tag TO reader;', required: false },
  ],
  dropped: ['old_table'],
  notes: ['PostgreSQL 16.2'],
};

test('a plan has everything that a person must know before', () => {
  assert.deepEqual(renderPlan(plan, paint), [
    'Plan (nothing was changed)',
    '  source  postgres://reader@db/crm',
    '  mirror  crm.db',
    '',
    '2 tables, about 20,007 rows, 3.4 MB',
    '  table        rows       size  work      key',
    '  person     20,000     3.4 MB  copy      id',
    '  sales.log       7  512 bytes  catch up  none',
    '',
    'Missing privileges',
    '  source: SELECT on person (required)',
    '    type: GRANT SELECT ON person TO reader;',
    '  source: TRIGGER on tag (advised)',
    '    type: GRANT TRIGGER ON tag TO reader;',
    '',
    'In the source',
    '  -- person',
    '  CREATE TABLE speil.change_1 (id bigint);',
    '',
    'In the mirror',
    '  -- person',
    '  CREATE TABLE "person" (',
    '    "id" INTEGER',
    '  );',
    '',
    'Dropped from the mirror, gone from the source',
    '  old_table',
    '',
    'Values that change form',
    '  person: numeric becomes text',
    '',
    'Not mirrored',
    '  audit: skipped as asked',
    '  open_sale: a view',
    '',
    'Names that match no table',
    '  persn',
    '',
    'Notes',
    '  PostgreSQL 16.2',
    '  sales.log: no key: copied whole when it changed',
  ]);
});

test('a status is a line for each table, and a summary', () => {
  const status: MirrorStatus = {
    mirror: 'crm.db',
    tenant: 'speil',
    tables: [
      {
        table: 'person',
        state: 'up to date',
        lsn: '1234',
        rows: 20_000,
        lineage: 'sqlite:1',
        completedAt: '2026-11-01T10:00:01.500Z',
      },
      { table: 'sale', state: 'copying', lsn: null, rows: 0, copiedRows: 500, lineage: null, completedAt: null },
    ],
  };
  assert.deepEqual(renderStatus(status, paint), [
    'crm.db (tenant speil)',
    '  table   state                        rows   LSN  last cycle',
    '  person  up to date                 20,000  1234  2026-11-01T10:00:01.500Z',
    '  sale    copying (500 rows so far)       0     -  never',
    '1 of 2 tables up to date, 20,000 rows. Last cycle: 2026-11-01T10:00:01.500Z. Lineage sqlite:1.',
  ]);
});

const table = { rows: 1_000, pending: 0, differences: [], differenceCount: 0, repaired: 0, lsn: '7' };

test('a proof says what was compared, and the keys that differ', () => {
  const report: VerifyReport = {
    identical: false,
    tables: [
      { ...table, table: 'tag', pending: 2 },
      {
        ...table,
        table: 'person',
        differences: [
          { key: 'id=5', kind: 'missing' },
          { key: 'id=6', kind: 'extra' },
          { key: 'id=7', kind: 'different' },
        ],
        differenceCount: 5,
        repaired: 5,
      },
      {
        ...table,
        table: 'locked',
        error: { code: 'LOCK_TIMEOUT', message: 'locked', hint: null, recovery: 'retry' },
      },
    ],
  };
  assert.deepEqual(renderVerify(report, paint), [
    'tag: identical, 1,000 rows at LSN 7, 2 rows changed since the last cycle left out',
    'person: 5 differences, 1,000 rows at LSN 7',
    '  id=5  missing in the mirror',
    '  id=6  not in the source',
    '  id=7  different',
    '  and 2 more',
    '  5 rows repaired',
    'locked: could not be compared',
    'Different: 5 rows in 1 of 3 tables, 3,000 rows, 5 repaired.',
  ]);
  const identical = { identical: true, tables: [{ ...table, table: 'tag' }] };
  assert.deepEqual(renderVerify(identical, paint).at(-1), 'Identical: 1 table, 1,000 rows.');
});

test('the progress of a proof never passes 100 %', () => {
  const line = describeVerify({ table: 'person', rows: 1_200, ofRows: 1_000 });
  assert.equal(line, 'comparing person: 1,200 of about 1,200 rows (100 %)');
});
