import fc from 'fast-check';
import type { Kind } from './mirroring.ts';

/**
 * A step of a random history. Statements may fail (a column that is not there, a key that is taken): an application's
 * do too, and the source is what counts.
 */
export type Step =
  | { readonly kind: 'write'; readonly sql: string }
  | { readonly kind: 'transaction'; readonly statements: readonly string[]; readonly commits: boolean }
  | { readonly kind: 'cycle'; readonly batchBytes: number }
  /** Each statement is run before a call of the cycle; what the cycle leaves is put right by the next. */
  | { readonly kind: 'busy cycle'; readonly batchBytes: number; readonly statements: readonly string[] };

const TABLES = ['t0', 't1', 't2'] as const;
const COLUMNS = ['a', 'b', 'c'] as const;

const table = fc.constantFrom(...TABLES);
const column = fc.constantFrom(...COLUMNS);
const id = fc.integer({ min: 1, max: 12 });
const value = fc.oneof(
  fc.constant('NULL'),
  fc.integer({ min: -5, max: 5 }).map((n) => `'${n}'`),
  fc.constantFrom(`'text'`, `''`, `'a	b\\'`, `'Åse'`, `'\\x41'`, `'${'long'.repeat(100)}'`),
);

const insert = fc.tuple(table, id, value).map(([name, key, v]) => `INSERT INTO ${name} (id, a) VALUES (${key}, ${v})`);
const upsert = fc
  .tuple(table, id, value)
  .map(
    ([name, key, v]) =>
      `INSERT INTO ${name} (id, a) VALUES (${key}, ${v}) ON CONFLICT (id) DO UPDATE SET a = excluded.a`,
  );
const series = fc
  .tuple(table, id, fc.integer({ min: 5, max: 200 }))
  .map(
    ([name, from, count]) =>
      `INSERT INTO ${name} (id) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count}) SELECT ${from * 1000} + i FROM n`,
  );
const update = fc
  .tuple(table, column, value, id)
  .map(([name, set, v, key]) => `UPDATE ${name} SET ${set} = ${v} WHERE id <= ${key}`);
const updateAll = fc.tuple(table, column, value).map(([name, set, v]) => `UPDATE ${name} SET ${set} = ${v}`);
const moveKey = fc.tuple(table, id, id).map(([name, from, to]) => `UPDATE ${name} SET id = ${to} WHERE id = ${from}`);
const shiftKeys = fc
  .tuple(table, fc.constantFrom(-1000, 1000, 50000))
  .map(([name, by]) => `UPDATE ${name} SET id = id + ${by} WHERE id > 100`);
const remove = fc.tuple(table, id).map(([name, key]) => `DELETE FROM ${name} WHERE id = ${key}`);
const removeMany = fc.tuple(table, id).map(([name, key]) => `DELETE FROM ${name} WHERE id % 3 = ${key % 3}`);

const dml = fc.oneof(
  { weight: 4, arbitrary: insert },
  { weight: 4, arbitrary: upsert },
  { weight: 2, arbitrary: series },
  { weight: 4, arbitrary: update },
  { weight: 1, arbitrary: updateAll },
  { weight: 3, arbitrary: moveKey },
  { weight: 1, arbitrary: shiftKeys },
  { weight: 3, arbitrary: remove },
  { weight: 2, arbitrary: removeMany },
);

const both = [
  fc.tuple(table, column).map(([name, drop]) => `ALTER TABLE ${name} DROP COLUMN ${drop}`),
  fc.tuple(table, column, column).map(([name, from, to]) => `ALTER TABLE ${name} RENAME COLUMN ${from} TO ${to}`),
  table.map((name) => `DROP TABLE ${name}`),
  table.map((name) => `CREATE TABLE ${name} (id INTEGER PRIMARY KEY, a TEXT)`),
  table.map((name) => `CREATE TABLE ${name} (id INTEGER, a TEXT, c TEXT)`),
  fc.tuple(table, table).map(([from, to]) => `ALTER TABLE ${from} RENAME TO ${to}`),
  fc.tuple(table, column).map(([name, unique]) => `CREATE UNIQUE INDEX ON ${name} (${unique})`),
];

const onlyPostgres = [
  fc
    .tuple(table, column, fc.constantFrom('', ` DEFAULT '7'`, ` NOT NULL DEFAULT 'x'`))
    .map(([name, add, rest]) => `ALTER TABLE ${name} ADD COLUMN ${add} TEXT${rest}`),
  table.map((name) => `TRUNCATE ${name}`),
  table.map((name) => `ALTER TABLE ${name} ALTER COLUMN a TYPE varchar(1000)`),
  fc
    .tuple(table, column)
    .map(([name, retyped]) => `ALTER TABLE ${name} ALTER COLUMN ${retyped} TYPE text USING ${retyped} || '!'`),
  fc
    .tuple(table, column, fc.constantFrom('SET NOT NULL', 'DROP NOT NULL', `SET DEFAULT 'd'`, 'DROP DEFAULT'))
    .map(([name, on, what]) => `ALTER TABLE ${name} ALTER COLUMN ${on} ${what}`),
  table.map((name) => `ALTER TABLE ${name} DROP CONSTRAINT ${name}_pkey`),
  table.map((name) => `ALTER TABLE ${name} ADD PRIMARY KEY (id)`),
  fc
    .tuple(table, column)
    .map(([name, added]) => `ALTER TABLE ${name} ADD COLUMN ${added} uuid DEFAULT gen_random_uuid()`),
  table.map((name) => `ALTER TABLE ${name} RENAME COLUMN id TO key`),
  table.map((name) => `ALTER TABLE ${name} RENAME COLUMN key TO id`),
  table.map((name) => `VACUUM FULL ${name}`),
  table.map((name) => `ALTER TABLE ${name} DISABLE TRIGGER ALL`),
  table.map((name) => `ALTER TABLE ${name} ENABLE TRIGGER ALL`),
  table.map((name) => `ALTER TABLE ${name} ENABLE ALWAYS TRIGGER ALL`),
];

/** SQLite's catalogue does not tell a column from one that took its place with the same definition: no two are the same here. */
const onlySqlite = [
  fc
    .tuple(table, column, fc.constantFrom('', ' NOT NULL'), fc.nat(1_000_000))
    .map(([name, add, rest, n]) => `ALTER TABLE ${name} ADD COLUMN ${add} TEXT${rest} DEFAULT '${n}'`),
  fc.tuple(table, id, value).map(([name, key, v]) => `REPLACE INTO ${name} (id, a) VALUES (${key}, ${v})`),
  table.map((name) => `CREATE TABLE ${name} (id TEXT PRIMARY KEY, a, b INTEGER) WITHOUT ROWID`),
  fc.constant('VACUUM'),
];

const ddlOf = (kind: Kind) => fc.oneof(...both, ...(kind === 'postgres' ? onlyPostgres : onlySqlite));

/** A history that ends with a cycle. */
export const history = (kind: Kind, stepsMax: number): fc.Arbitrary<readonly Step[]> => {
  const write = fc
    .oneof({ weight: 5, arbitrary: dml }, { weight: 2, arbitrary: ddlOf(kind) })
    .map((sql): Step => ({ kind: 'write', sql }));
  const transaction = fc
    .record({ statements: fc.array(dml, { minLength: 1, maxLength: 4 }), commits: fc.boolean() })
    .map((content): Step => ({ kind: 'transaction', ...content }));
  const batchBytes = fc.constantFrom(1_000, 3_000, 1_000_000);
  const cycle = batchBytes.map((bytes): Step => ({ kind: 'cycle', batchBytes: bytes }));
  const statements = fc.array(fc.oneof({ weight: 4, arbitrary: dml }, { weight: 1, arbitrary: ddlOf(kind) }), {
    minLength: 1,
    maxLength: 8,
  });
  const busy = fc.record({ batchBytes, statements }).map((content): Step => ({ kind: 'busy cycle', ...content }));
  return fc.array(
    fc.oneof(
      { weight: 8, arbitrary: write },
      { weight: 2, arbitrary: transaction },
      { weight: 2, arbitrary: cycle },
      { weight: 1, arbitrary: busy },
    ),
    { minLength: 3, maxLength: stepsMax, size: 'max' },
  );
};
