import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TableName } from '../core/table.ts';
import { isBatchBytes, PREFERENCES_DEFAULT, parseTableList, selectTables } from './preferences.ts';

const tables: readonly TableName[] = [
  { schema: null, name: 'Person' },
  { schema: null, name: 'Order Details' },
  { schema: 'sales', name: 'person' },
];

const select = (skip: string, only = '') => {
  const preferences = { ...PREFERENCES_DEFAULT, skipTables: parseTableList(skip), onlyTables: parseTableList(only) };
  const { mirrored, skipped, leftAlone, unmatched } = selectTables(tables, preferences);
  const names = (list: readonly TableName[]) => list.map(TableName.toText);
  return { mirrored: names(mirrored), skipped: names(skipped), leftAlone: names(leftAlone), unmatched };
};

test('without lists every table is mirrored', () => {
  assert.deepEqual(select('').mirrored, ['Person', 'Order Details', 'sales.person']);
});

test('case and blanks do not matter, and a bare name means it in every schema', () => {
  assert.deepEqual(select(' PERSON , orderdetails ').skipped, ['Person', 'Order Details', 'sales.person']);
});

test('a name with its schema means that one table', () => {
  assert.deepEqual(select('Sales.Person').skipped, ['sales.person']);
  assert.deepEqual(select('public.person').skipped, ['Person']);
});

test('tables that are not chosen are left alone, not skipped', () => {
  const { mirrored, leftAlone, skipped } = select('', 'order details');
  assert.deepEqual(
    { mirrored, leftAlone, skipped },
    { mirrored: ['Order Details'], leftAlone: ['Person', 'sales.person'], skipped: [] },
  );
});

test('skipping wins over choosing', () => {
  assert.deepEqual(select('order details', 'Order Details, sales.person').mirrored, ['sales.person']);
});

test('names that match nothing are told', () => {
  assert.deepEqual(select('persons', 'x, person').unmatched, ['persons', 'x']);
});

test('batch sizes are whole numbers of bytes within bounds', () => {
  assert.deepEqual([1_000, 1_000_000, 64_000_000].map(isBatchBytes), [true, true, true]);
  assert.deepEqual([999, 64_000_001, 1000.5, Number.NaN].map(isBatchBytes), [false, false, false, false]);
});
