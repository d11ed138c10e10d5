import assert from 'node:assert/strict';
import { test } from 'node:test';
import { column, schemaOf } from '../../../test/support/sqlite-mirror.ts';
import { BarePosition } from '../../core/bare-position.ts';
import { Lsn } from '../../core/lsn.ts';
import type { ColumnSchema } from '../../core/table.ts';
import { sentTable } from './sender-table.ts';

const id = column('id', 'bigint', { id: 1, nullable: false });
const name = column('name', 'text', { id: 2 });
const city = column('city', 'text', { id: 3 });
const tableOf = (columns: readonly ColumnSchema[], key: readonly string[] = ['id']) =>
  sentTable(schemaOf(columns, { key }));

const position = { lsn: Lsn.of(500), token: '', lineage: 'here', bookmark: null, witness: 'of this history' };

/** Does a number that was made for one shape of a table still count for another? */
function goesOn(before: readonly ColumnSchema[], after: readonly ColumnSchema[]): boolean {
  const number = BarePosition.toNumber(position, tableOf(before).shapes[0]);
  const held = BarePosition.fromNumber(number, tableOf(after).shapes);
  assert.ok(held !== null && number > 0n && number < 2n ** 63n);
  assert.equal(held.lsn, 500n);
  assert.equal(BarePosition.isWitnessedBy(held, 'of another'), false);
  return BarePosition.isWitnessedBy(held, position.witness);
}

test('a number counts for the table as it was, and with empty columns more', () => {
  assert.ok(goesOn([id, name], [id, name]));
  assert.ok(goesOn([id, name], [id, name, city]));
  const many = Array.from({ length: 8 }, (_, at) => column(`c${at}`, 'text', { id: 10 + at }));
  assert.ok(goesOn([id, name], [id, name, ...many]));
  assert.ok(goesOn([id, name], [id, { ...name, nullable: false, defaultExpression: "'x'" }]));
});

test('it does not when a receiver could not know what the columns hold now', () => {
  assert.equal(goesOn([id, name], [id, { ...name, name: 'title' }]), false);
  assert.equal(goesOn([id, name, city], [id, name]), false);
  assert.equal(goesOn([id, name, city], [id, city, name]), false);
  assert.equal(goesOn([id, name], [id, { ...name, type: 'bigint' }]), false);
  assert.equal(goesOn([id, name], [id, { ...name, id: 9 }]), false);
  assert.equal(goesOn([id, name], [id, city, name]), false);
  for (const more of [
    { fill: { kind: 'value', text: '5' } },
    { fill: { kind: 'unknown' } },
    { nullable: false },
    { defaultExpression: '5' },
    { generatedAs: 'id + 1' },
  ] as const) {
    assert.equal(goesOn([id, name], [id, name, { ...city, ...more }]), false, JSON.stringify(more));
  }
});

test('the key is sent first, and the fields of rows are found where the source has them', () => {
  const { info, columns } = tableOf([name, city, id]);
  assert.deepEqual(
    info.columns.map((sent) => sent.name),
    ['id', 'name', 'city'],
  );
  assert.deepEqual(
    columns.map(({ field }) => field),
    [2, 0, 1],
  );
});

test('a table that the contract cannot tell of is refused', () => {
  for (const [columns, key, why] of [
    [[id, name], [], /it has no key/],
    [[id, name], ['id', 'name'], /its key has 2 columns/],
    [[id, name, column('NAME', 'text')], ['id'], /two of its columns are called NAME/],
    [[id, column('a\u0001', 'text')], ['id'], /a name that XML cannot carry/],
  ] as const) {
    assert.throws(() => tableOf(columns, key), { code: 'TABLE_FAILED', message: why });
  }
});

test('a position without a witness, or beyond all counting, is not made a number', () => {
  const { witness: _, ...unwitnessed } = position;
  assert.throws(() => BarePosition.toNumber(unwitnessed, ''), { code: 'INTERNAL' });
  assert.throws(() => BarePosition.toNumber({ ...position, lsn: Lsn.of(2n ** 47n) }, ''), { code: 'INTERNAL' });
  assert.throws(() => BarePosition.toNumber({ ...position, lsn: Lsn.zero }, ''), { code: 'INTERNAL' });
  assert.equal(BarePosition.fromNumber(0n, ['']), null);
  assert.equal(BarePosition.fromNumber(-1n, ['']), null);
});
