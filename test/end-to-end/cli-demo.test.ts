import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { createCrm } from '../../demo/crm.ts';
import { openOffice } from '../../demo/office.ts';
import { withDirectory } from '../support/workload.ts';

type Dump = Readonly<Record<string, readonly unknown[]>>;

function dump(path: string): Dump {
  using database = new DatabaseSync(path, { readOnly: true });
  const tables = database
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")
    .all();
  return Object.fromEntries(
    tables.map(({ name }) => [name, database.prepare(`SELECT * FROM "${name}" ORDER BY 1, 2`).all()]),
  );
}

const rowsOf = (tables: Dump): number => Object.values(tables).reduce((sum, rows) => sum + rows.length, 0);

test('the same seed makes the same company, of the size asked for', () => {
  using directory = withDirectory();
  const [first, second, other] = ['1.db', '2.db', '3.db'].map((name) => join(directory.path, name)) as [
    string,
    string,
    string,
  ];
  const made = createCrm(first, { seed: 7, rows: 5_000 });
  createCrm(second, { seed: 7, rows: 5_000 });
  createCrm(other, { seed: 8, rows: 5_000 });
  const tables = dump(first);
  assert.deepEqual(made, { tables: 21, rows: 5_000 });
  assert.deepEqual([Object.keys(tables).length, rowsOf(tables)], [21, 5_000]);
  assert.deepEqual(dump(second), tables);
  assert.notDeepEqual(dump(other), tables);
});

test('all references of the data hold, and still do after a day in the office', () => {
  using directory = withDirectory();
  const path = join(directory.path, 'crm.db');
  createCrm(path, { seed: 1, rows: 5_000 });
  const before = dump(path);
  {
    using office = openOffice(path, 1);
    for (let transaction = 0; transaction < 500; transaction++) office.work();
  }
  const changed = Object.entries(dump(path)).filter(
    ([name, rows]) => JSON.stringify(rows) !== JSON.stringify(before[name]),
  );
  using database = new DatabaseSync(path);
  assert.deepEqual(database.prepare('PRAGMA foreign_key_check').all(), []);
  assert.ok(changed.length >= 10, `only ${changed.map(([name]) => name)} changed`);
});
