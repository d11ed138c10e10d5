import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeTracking, madeFor, type TrackedState } from './change-tracking.ts';
import type { PostgresTable, StoredRelation } from './introspect.ts';

const relation = (oid: number, more: Partial<StoredRelation> = {}): StoredRelation => ({
  oid,
  schema: 'public',
  name: `r${oid}`,
  filenode: '1',
  definition: 'd',
  unlogged: false,
  ...more,
});

const table = (writable: readonly StoredRelation[]): PostgresTable => ({
  oid: 1,
  schema: { table: { schema: null, name: 'r1' }, dialect: 'postgres', columns: [], key: ['id'], identity: '' },
  sourceSchema: 'public',
  partitioned: writable.length > 1,
  stores: writable,
  writable,
  key: [{ name: 'id', sideType: 'integer', asText: false, respellable: false, typeOid: 23, typeModifier: -1 }],
  mode: 'statement',
  estimatedRows: 0,
  estimatedBytes: 0,
  notes: [],
});

const remembered = (relations: readonly StoredRelation[], more: Partial<TrackedState> = {}): TrackedState => ({
  n: 1,
  trackingId: 't',
  madeFor: madeFor(table(relations)),
  relations: new Map(
    relations.map(({ oid, filenode, definition }) => [oid, { filenode, definition, triggers: `g${oid}` }]),
  ),
  intact: true,
  ...more,
});

const triggers = new Map([1, 2, 3].map((oid) => [oid, `g${oid}`]));
const before = [relation(1), relation(2)];

const stepFor = (
  now: readonly StoredRelation[],
  state: TrackedState | undefined = remembered(before),
  fired = triggers,
) => {
  const step = judgeTracking(table(now), state, fired);
  return step.kind === 'begin' ? `begin: ${step.reason}` : step.kind;
};

test('nothing changed: tracking goes on', () => assert.equal(stepFor(before), 'none'));

test('not tracked, or triggers that were touched: it begins', () => {
  assert.match(judgeTracking(table(before), undefined, triggers).kind, /begin/);
  assert.match(stepFor(before, undefined, new Map([[1, 'g1']])), /was off/);
  assert.match(
    stepFor(
      before,
      undefined,
      new Map([
        [1, 'g1'],
        [2, 'enabled again'],
      ]),
    ),
    /was off/,
  );
});

test('file and definition changed: the rows were rewritten', () => {
  assert.match(stepFor([relation(1), relation(2, { filenode: '9', definition: 'e' })]), /rewrote/);
});

test('file alone (VACUUM FULL) or definition alone (ADD COLUMN): remembered, nothing more', () => {
  assert.equal(stepFor([relation(1), relation(2, { filenode: '9' })]), 'refresh');
  assert.equal(stepFor([relation(1), relation(2, { definition: 'e' })]), 'refresh');
});

test('file of one partition and definition of another are two things', () => {
  assert.equal(stepFor([relation(1, { definition: 'e' }), relation(2, { filenode: '9' })]), 'refresh');
});

test('a new partition extends it, one that is gone ends it', () => {
  assert.equal(stepFor([...before, relation(3)]), 'extend');
  assert.match(stepFor([relation(1)]), /dropped or detached/);
});

test('changes that were lost, or another key: it begins', () => {
  assert.match(stepFor(before, remembered(before, { intact: false })), /lost/);
  assert.match(stepFor(before, remembered(before, { madeFor: 'other' })), /key/);
});
