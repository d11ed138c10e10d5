import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noSignal, SqliteFixture } from '../../../test/support/sqlite-fixture.ts';
import { changesOf, enableOne } from '../../../test/support/sqlite-source.ts';

test('the key is the primary key, else a unique index without nulls, else none', async () => {
  await using files = new SqliteFixture();
  files.plain(
    'source.db',
    `CREATE TABLE a(x TEXT, y INT, PRIMARY KEY (y, x));
     CREATE TABLE b(x NOT NULL, y NOT NULL, z UNIQUE, UNIQUE (x, y)); CREATE UNIQUE INDEX b1 ON b(y);
     CREATE TABLE c(x UNIQUE, y COLLATE NOCASE NOT NULL UNIQUE); CREATE UNIQUE INDEX c1 ON c(x) WHERE x > 1;
     CREATE TABLE d(id INTEGER PRIMARY KEY, x); CREATE UNIQUE INDEX d1 ON d(lower(x));
     CREATE TABLE e(id TEXT PRIMARY KEY); INSERT INTO e VALUES (NULL);
     CREATE TABLE f(id INTEGER PRIMARY KEY DESC); CREATE TABLE g(id INTEGER PRIMARY KEY) WITHOUT ROWID;
     CREATE TABLE h(rowid, oid, _rowid_); CREATE VIEW v AS SELECT 1; CREATE VIRTUAL TABLE w USING fts5(x)`,
  );
  const survey = await (await files.source()).survey({ schemas: null }, noSignal);
  const keys = Object.fromEntries(survey.tables.map(({ schema }) => [schema.table.name, schema.key.join()]));
  assert.deepEqual(keys, { a: 'y,x', b: 'y', c: '', d: '', e: '', f: 'id', g: 'id' });
  assert.deepEqual(
    survey.tables.find(({ schema }) => schema.table.name === 'g')?.schema.columns[0]?.declaredType,
    'INT',
  );
  const excluded = new Map(survey.excluded.map(({ table, reason }) => [table.name, reason]));
  assert.equal(excluded.get('v'), 'a view');
  assert.equal(excluded.get('w'), 'a virtual table');
  assert.equal(excluded.get('w_content'), 'the storage of a virtual table');
  assert.match(excluded.get('h') ?? '', /hide its rowid/);
});

test('a null in the key makes the table one without a key, and back', async () => {
  await using files = new SqliteFixture();
  const db = files.plain('source.db', `CREATE TABLE t(id TEXT PRIMARY KEY, a); INSERT INTO t VALUES ('x', 1)`);
  const source = await files.source();
  const { schema } = await enableOne(source, 't');
  assert.deepEqual(schema.key, ['id']);
  await assert.rejects(
    changesOf(source, 't', () => db.exec('INSERT INTO t VALUES (NULL, 2)')),
    { code: 'SCHEMA_CHANGED', recovery: 'repopulate' },
  );
  const without = await enableOne(source, 't');
  assert.deepEqual([without.schema.key, without.newlyTracked], [[], true]);
  assert.notEqual(without.schema.identity, schema.identity);
  db.exec('DELETE FROM t WHERE id IS NULL');
  assert.deepEqual((await enableOne(source, 't')).schema.key, ['id']);
});

test('schemas say types, nullability, defaults, fills and generated columns', async () => {
  await using files = new SqliteFixture();
  files.plain(
    'source.db',
    `CREATE TABLE t(id INTEGER PRIMARY KEY, n VARCHAR(10) NOT NULL DEFAULT 'it''s', i INT DEFAULT '5', e DEFAULT (1 + 2),
       w DEFAULT CURRENT_TIMESTAMP, b BOOLEAN DEFAULT true, /* AS (no) */ g INT GENERATED ALWAYS AS ((i + 1) * 2) STORED,
       "select" TEXT AS (n || ')') VIRTUAL, q "odd type");
     CREATE TABLE s(a ANY, b INT) STRICT`,
  );
  const { tables } = await (await files.source()).survey({ schemas: null }, noSignal);
  const columns = tables.find(({ schema }) => schema.table.name === 't')?.schema.columns ?? [];
  const rows = columns.map((c) => [
    c.name,
    c.type,
    c.nullable,
    c.defaultExpression,
    c.generatedAs,
    c.fill.kind === 'value' ? c.fill.text : '?',
  ]);
  assert.deepEqual(rows, [
    ['id', 'bigint', false, null, null, null],
    ['n', 'text', false, `'it''s'`, null, `tit's`],
    ['i', 'bigint', true, `'5'`, null, 'i5'],
    ['e', 'text', true, '1 + 2', null, '?'],
    ['w', 'text', true, 'CURRENT_TIMESTAMP', null, '?'],
    ['b', 'boolean', true, 'true', null, 'i1'],
    ['g', 'bigint', true, null, '(i + 1) * 2', '?'],
    ['select', 'text', true, null, `n || ')'`, '?'],
    ['q', 'numeric', true, null, null, null],
  ]);
  assert.deepEqual(
    tables.find(({ schema }) => schema.table.name === 's')?.schema.columns.map((c) => [c.declaredType, c.type]),
    [
      ['', 'text'],
      ['INT', 'bigint'],
    ],
  );
});

test('a survey changes nothing and says what tracking would do', async () => {
  await using files = new SqliteFixture();
  const db = files.plain('source.db', 'CREATE TABLE t(id INTEGER PRIMARY KEY)');
  const source = await files.source();
  const survey = await source.survey({ schemas: null }, noSignal);
  assert.deepEqual(
    db
      .prepare('SELECT name FROM sqlite_schema')
      .all()
      .map(({ name }) => name),
    ['t'],
  );
  assert.match(survey.notes.join(), /journal_mode=WAL/);
  for (const sql of survey.tables[0]?.trackingDdl ?? []) db.exec(sql);
  assert.ok((survey.tables[0]?.trackingDdl.length ?? 0) > 3);
});
