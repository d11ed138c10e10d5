import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ColumnSchema, TableSchema } from '../core/table.ts';
import { planAdaptation } from './adapt.ts';

const column = (name: string, id: number | null, more: Partial<ColumnSchema> = {}): ColumnSchema => ({
  name,
  id,
  type: 'text',
  declaredType: 'text',
  nullable: true,
  defaultExpression: null,
  generatedAs: null,
  fill: { kind: 'value', text: null },
  ...more,
});

const person = (columns: readonly ColumnSchema[], more: Partial<TableSchema> = {}): TableSchema => ({
  table: { schema: null, name: 'person' },
  dialect: 'postgres',
  columns,
  key: ['id'],
  identity: 'i1',
  ...more,
});

const id = column('id', 1, { type: 'bigint', declaredType: 'bigint', nullable: false });
const held = person([id, column('name', 2), column('city', 3)]);

const stepsTo = (next: TableSchema, from = held): unknown => {
  const adaptation = planAdaptation(from, next);
  assert.equal(adaptation.kind, 'alter', JSON.stringify(adaptation));
  return adaptation.kind === 'alter' ? adaptation.steps.map((step) => ({ ...step, column: undefined })) : [];
};
const reasonFor = (next: TableSchema, from = held): string => {
  const adaptation = planAdaptation(from, next);
  assert.equal(adaptation.kind, 'rebuild', JSON.stringify(adaptation));
  return adaptation.kind === 'rebuild' ? adaptation.reason : '';
};

test('an equal schema needs nothing, also when tracking began anew', () => {
  assert.deepEqual(planAdaptation(held, held), { kind: 'none' });
  assert.deepEqual(planAdaptation(held, { ...held, identity: 'i2' }), { kind: 'none' });
});

test('a column that is added gets the value that existing rows have', () => {
  const added = column('born', 4, { fill: { kind: 'value', text: '1970' } });
  assert.deepEqual(stepsTo(person([...held.columns, added])), [
    { kind: 'add-column', column: undefined, fill: '1970' },
  ]);
});

test('a column whose values only the source knows rebuilds the table', () => {
  const added = column('age', 4, { fill: { kind: 'unknown' } });
  assert.match(reasonFor(person([...held.columns, added])), /age/);
});

test('a numbered column that is renamed is renamed', () => {
  const next = person([id, column('full name', 2), column('city', 3)]);
  assert.deepEqual(stepsTo(next), [{ kind: 'rename-column', from: 'name', to: 'full name', column: undefined }]);
});

test('two columns that exchange their names go through free names', () => {
  const steps = stepsTo(person([id, column('city', 2), column('name', 3)])) as { from: string; to: string }[];
  const names = new Map([
    ['name', 2],
    ['city', 3],
  ]);
  for (const { from, to } of steps) {
    assert.equal(names.has(to), false, `${to} is taken`);
    names.set(to, names.get(from) ?? 0);
    names.delete(from);
  }
  assert.deepEqual(Object.fromEntries(names), { city: 2, name: 3 });
});

test('dropped and added under the same name is not the same column', () => {
  const steps = stepsTo(person([id, column('name', 9), column('city', 3)])) as { kind: string }[];
  assert.deepEqual(
    steps.map((step) => step.kind),
    ['drop-column', 'add-column'],
  );
});

test('without numbers, columns that vanish and appear at once rebuild the table', () => {
  const unnumbered = person([column('id', null), column('name', null)]);
  assert.match(reasonFor(person([column('id', null), column('title', null)]), unnumbered), /renamed, exchanged/);
});

test('without numbers, only columns that are added last or dropped are altered in place', () => {
  const plain = (...names: readonly string[]) => person(names.map((name) => column(name, null)));
  const kinds = (next: TableSchema) =>
    (stepsTo(next, plain('id', 'a', 'b')) as { kind: string }[]).map((step) => step.kind);
  assert.deepEqual(kinds(plain('id', 'a', 'b', 'c')), ['add-column']);
  assert.deepEqual(kinds(plain('id', 'b')), ['drop-column']);
  assert.match(reasonFor(plain('id', 'b', 'a'), plain('id', 'a', 'b')), /exchanged/);
  const anew = person([column('id', null), column('a', null, { defaultExpression: '3' })]);
  assert.match(reasonFor(anew, plain('id', 'a')), /made anew/);
});

test('nullability and default change in place', () => {
  const next = person([id, column('name', 2, { nullable: false, defaultExpression: "'x'" }), column('city', 3)]);
  assert.deepEqual(
    (stepsTo(next) as { kind: string }[]).map((step) => step.kind),
    ['set-default', 'set-not-null'],
  );
});

test('type, key, expression, and a table made anew with other columns rebuild it', () => {
  assert.match(reasonFor(person([id, column('name', 2, { type: 'integer' }), column('city', 3)])), /name is integer/);
  assert.match(reasonFor({ ...held, key: ['name'] }), /key/);
  assert.match(reasonFor(person([id, column('name', 2, { generatedAs: 's:1' }), column('city', 3)])), /computed/);
  assert.match(reasonFor(person([id, column('name', 2)], { identity: 'i2' })), /made anew/);
});

test('a key column that is renamed is still the key', () => {
  const next = person([{ ...id, name: 'no' }, column('name', 2), column('city', 3)], { key: ['no'] });
  assert.deepEqual(stepsTo(next), [{ kind: 'rename-column', from: 'id', to: 'no', column: undefined }]);
});
