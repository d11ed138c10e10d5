import assert from 'node:assert/strict';
import { constants, DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import fc from 'fast-check';
import { splitStatements } from '../sql-text.ts';
import { classify, needsOf, type StatementKind } from './classify.ts';
import { judgePragma } from './pragmas.ts';

const traits = (sql: string) => splitStatements(sql).map(classify);
const kind = (sql: string) => traits(sql)[0]?.kind;
const needs = (sql: string) => needsOf(traits(sql));

const EXPECTED: readonly (readonly [StatementKind, ...string[]])[] = [
  ['read', 'select 1', ' /* x */ SELECT 1', 'values (1)', 'with a as (select 1) select * from a', '(select 1)'],
  ['read', 'explain insert into t values (1)', 'explain query plan delete from t', 'pragma table_info(t)'],
  [
    'read',
    'pragma foreign_keys',
    'pragma foreign_keys = ON',
    'pragma main.user_version',
    'rollback to a',
    'attach x as y',
    'nonsense',
  ],
  ['write', 'insert into t values (1)', 'replace into t values (1)', 'UPDATE t SET a = 1', 'delete from t'],
  ['write', 'with a as (select 1) insert into t select * from a', 'with a(b) as (values(1)) update t set a = 1'],
  ['write', 'create table t(a)', 'create unique index i on t(a)', 'drop table t', 'alter table t add b', 'vacuum'],
  ['write', 'reindex', 'analyze', 'pragma user_version = 3', 'pragma optimize', 'pragma incremental_vacuum(3)'],
  ['temp', 'create temp table t(a)', 'create temporary view v as select 1', 'create table temp.t(a)'],
  [
    'temp',
    'create index "temp" . i on t(a)',
    'create trigger if not exists temp.x after insert on t begin select 1; end',
  ],
  ['state', 'pragma foreign_keys = off', 'pragma foreign_keys(0)', 'pragma case_sensitive_like = 1'],
  ['state', 'explain pragma foreign_keys = 0', 'pragma main.cache_size = -2000'],
  ['begin', 'begin', 'BEGIN TRANSACTION', 'begin deferred transaction'],
  ['begin-readonly', 'begin transaction readonly', 'BEGIN READONLY'],
  ['begin-write', 'begin immediate', 'begin exclusive transaction'],
  ['commit', 'commit', 'end transaction'],
  ['rollback', 'rollback', 'rollback transaction'],
  ['savepoint', 'savepoint a'],
  ['release', 'release savepoint a'],
];

for (const [expected, ...statements] of EXPECTED) {
  test(`${expected}: ${statements.join('; ')}`, () => {
    for (const sql of statements) assert.equal(kind(sql), expected, sql);
  });
}

test('the verb is what a statement is about', () => {
  const verbs = (sql: string) => traits(sql).map(({ verb }) => verb);
  assert.deepEqual(verbs("with a as (select 'insert') insert into t select * from a"), ['insert']);
  assert.deepEqual(verbs('explain query plan select 1; pragma x; '), ['select', 'pragma']);
});

test('what a program needs follows from all of its statements', () => {
  assert.deepEqual(needs('select 1'), { writes: false, transacts: false, isStateful: false, staysOpen: false });
  assert.deepEqual(needs('begin; insert into t values(1); commit'), {
    ...{ writes: true, transacts: true, isStateful: false, staysOpen: false },
  });
  assert.deepEqual(needs('begin immediate'), { writes: true, transacts: true, isStateful: false, staysOpen: true });
  assert.deepEqual(needs('savepoint a'), { writes: false, transacts: true, isStateful: false, staysOpen: true });
  assert.deepEqual(needs('create temp table x(a); insert into t select * from x'), {
    ...{ writes: true, transacts: false, isStateful: true, staysOpen: false },
  });
});

test('pragmas: those that tell, those that change, those that are refused by name', () => {
  const verdict = (name: string, argument: string | null = null) => judgePragma(name, argument).kind;
  for (const name of ['journal_mode', 'synchronous', 'locking_mode', 'mmap_size', 'page_size', 'wal_autocheckpoint']) {
    assert.equal(verdict(name), 'read');
    assert.equal(verdict(name, 'x'), 'refused');
  }
  for (const name of ['wal_checkpoint', 'writable_schema', 'lock_proxy_file', 'unheard_of', '']) {
    assert.equal(verdict(name), 'refused');
    assert.match((judgePragma(name, '1') as { why: string }).why, new RegExp(`PRAGMA ${name} is refused: .{10,}`));
  }
  assert.equal(verdict('JOURNAL_MODE', 'WAL'), 'read');
  assert.deepEqual([verdict('cache_size', '-65536'), verdict('cache_size', '-65537')], ['state', 'refused']);
  assert.deepEqual([verdict('cache_size', '16384'), verdict('cache_size', '16385')], ['state', 'refused']);
  assert.deepEqual([verdict('busy_timeout', '9'), verdict('busy_timeout', '99999')], ['state', 'refused']);
});

const WRITES = new Set<number>([
  ...[constants.SQLITE_INSERT, constants.SQLITE_UPDATE, constants.SQLITE_DELETE, constants.SQLITE_CREATE_TABLE],
  ...[constants.SQLITE_CREATE_INDEX, constants.SQLITE_DROP_TABLE, constants.SQLITE_ALTER_TABLE],
]);

test('property: what SQLite compiles to a write is no read to us', () => {
  using database = new DatabaseSync(':memory:');
  database.exec('create table t(a, b); create table "select"(a, b); create index i on t(a)');
  let writes = false;
  database.setAuthorizer((code, _first, _second, schema) => {
    if (WRITES.has(code) && schema !== 'temp') writes = true;
    return constants.SQLITE_OK;
  });
  const space = fc.constantFrom(' ', '\n', '/* select */', '--x\n');
  const common = fc.constantFrom('', 'with x as (select 1) ', 'with x(a) as (values (1)), y as (select * from x) ');
  const main = fc.constantFrom(
    ...['select * from t', 'values (1)', 'insert into t select 1, 2', 'insert into "select" values (1, 2)'],
    ...['update t set a = (select 1)', 'delete from t where a in (select 2)', 'replace into t(a) values (2)'],
    ...['insert into t(a) values (1) on conflict do nothing returning *', 'update t set b = 2 returning (select 3)'],
  );
  const plain = fc.constantFrom('create table u(a)', 'drop index i', 'alter table t rename a to c', 'drop table t');
  const statement = fc.oneof(fc.tuple(common, main), fc.tuple(fc.constant(''), plain));
  fc.assert(
    fc.property(space, statement, (gap, [before, text]) => {
      const sql = `${gap}${before}${gap}${text.replaceAll(' ', gap)}`;
      writes = false;
      database.prepare(sql);
      assert.equal(kind(sql), writes ? 'write' : 'read', sql);
    }),
    { numRuns: 500 },
  );
});
