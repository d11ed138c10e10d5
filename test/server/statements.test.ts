import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { SpeilError } from '../../src/core/error.ts';
import { failure, outcome, rows, run, serve, step } from '../support/streams/served-streams.ts';

test('values come back as they were given', async (t) => {
  const stream = serve(t).streams.openStream('write');
  const values = [null, 1n, -(2n ** 63n), 2n ** 63n - 1n, 1.5, 1, 'a\0é😀', new Uint8Array([0, 255])];
  const [row] = await rows(stream, `select ${values.map(() => '?').join(', ')}`, values);
  assert.deepEqual(row?.slice(0, 7), values.slice(0, 7));
  assert.deepEqual(Uint8Array.from(row?.[7] as Uint8Array), values[7]);
  const types = await rows(stream, 'select typeof(?), typeof(?), typeof(?)', [1, 1n, 2.5]);
  assert.deepEqual(types, [['real', 'integer', 'real']]);
  assert.match(await failure(stream, 'select ?', [2n ** 63n]), /^ARGS_INVALID .*too large/);
});

test('parameters by position and by name, with and without prefix', async (t) => {
  const stream = serve(t).streams.openStream('write');
  assert.deepEqual(await rows(stream, 'select ?2, ?1, ?2', ['a', 'b']), [['b', 'a', 'b']]);
  assert.deepEqual((await run(stream, 'select :a, @b, $c, :a', { ':a': 1n, b: 2n, $c: 3n })).rows, [[1n, 2n, 3n, 1n]]);
  assert.deepEqual((await run(stream, 'select :a, :b', [1n, 2n])).rows, [[1n, 2n]]);
  const both = { sql: 'select :a, ?', positional: [1n, 2n], named: new Map([['a', 3n]]), wantRows: true };
  const [mixed] = await stream.batch([{ statement: both, condition: null }]);
  assert.deepEqual(mixed?.kind === 'result' && mixed.result.rows, [[3n, 2n]]);
  const argument = 'ARGS_INVALID Arguments do not match SQL parameters: ';
  assert.equal(await failure(stream, 'select ?, ?', ['a']), `${argument}value for parameter 2 not found`);
  assert.equal(await failure(stream, 'select ?', ['a', 'b']), `${argument}too many parameters, expected 1 found 2`);
  assert.equal(await failure(stream, 'select :a', { b: 1n }), `${argument}value for parameter :a not found`);
  assert.equal(await failure(stream, 'select :a', { a: 1n, b: 1n }), `${argument}there is no parameter b`);
});

test('what was changed is counted, also with RETURNING', async (t) => {
  const stream = serve(t).streams.openStream('write');
  await run(stream, 'create table t(a integer primary key, b text)');
  const plain = await run(stream, "insert into t(b) values ('x'), ('y')");
  assert.deepEqual([plain.affectedRows, plain.lastInsertRowid, plain.rowsWritten, plain.columns], [2n, 2n, 2, []]);
  const returning = await run(stream, "insert into t(b) values ('z') returning a, b as c");
  assert.deepEqual([returning.affectedRows, returning.lastInsertRowid, returning.rows], [1n, 3n, [[3n, 'z']]]);
  assert.deepEqual(returning.columns, [
    { name: 'a', declaredType: 'INTEGER' },
    { name: 'c', declaredType: 'TEXT' },
  ]);
  const update = await run(stream, "update t set b = 'u' where a > 1 returning a");
  assert.deepEqual([update.affectedRows, update.lastInsertRowid, update.rows.length], [2n, null, 2]);
  const read = await run(stream, 'select * from t');
  assert.deepEqual([read.affectedRows, read.lastInsertRowid, read.rowsRead, read.rowsWritten], [0n, null, 3, 0]);
  const [counted] = await stream.batch([
    { statement: { sql: 'select * from t', positional: [], named: new Map(), wantRows: false }, condition: null },
  ]);
  assert.deepEqual(counted?.kind === 'result' && [counted.result.rows, counted.result.rowsRead], [[], 3]);
});

test('errors are in the words of libSQL', async (t) => {
  const stream = serve(t).streams.openStream('write');
  await run(stream, 'create table t(a integer primary key, b text unique not null, check (a < 100))');
  await run(stream, "insert into t values (1, 'x')");
  const unique = await failure(stream, "insert into t values (2, 'x')");
  assert.equal(unique, 'SQLITE_CONSTRAINT_UNIQUE SQLite error: UNIQUE constraint failed: t.b');
  assert.match(await failure(stream, "insert into t values (1, 'y')"), /^SQLITE_CONSTRAINT_PRIMARYKEY /);
  assert.match(await failure(stream, 'insert into t values (2, null)'), /^SQLITE_CONSTRAINT_NOTNULL /);
  assert.match(await failure(stream, "insert into t values (200, 'y')"), /^SQLITE_CONSTRAINT_CHECK /);
  assert.match(await failure(stream, 'selec 1'), /^SQL_PARSE_ERROR SQL string could not be parsed: near "selec": /);
  assert.match(
    await failure(stream, 'select 1 from nowhere'),
    /^SQL_INPUT_ERROR SQL input error: no such table: nowhere/,
  );
  assert.equal(await failure(stream, ' -- nothing'), 'SQL_NO_STATEMENT SQL string does not contain any statement');
  const many = 'SQL_MANY_STATEMENTS SQL string contains more than one statement';
  assert.equal(await failure(stream, 'select 1; select 2'), many);
  assert.equal(await failure(stream, "insert into t values (5, 'n'); select 2"), many);
  assert.deepEqual(await rows(stream, 'select 1; -- and no more ;\n;'), [[1n]]);
  assert.match(await failure(stream, 'select \0 1'), /^SQL_PARSE_ERROR /);
  assert.deepEqual(await rows(stream, 'select count(*) from t'), [[1n]]);
});

test('steps are carried out on conditions', async (t) => {
  const stream = serve(t).streams.openStream('write');
  const ok = (of: number) => ({ kind: 'ok', step: of }) as const;
  const outcomes = await stream.batch([
    step('select 1'),
    step('select nothing'),
    step('select 2', [], ok(0)),
    step('select 3', [], ok(1)),
    step('select 4', [], { kind: 'error', step: 1 }),
    step('select 5', [], { kind: 'not', condition: { kind: 'error', step: 1 } }),
    step('select 6', [], { kind: 'and', conditions: [ok(0), ok(1)] }),
    step('select 7', [], { kind: 'or', conditions: [ok(0), ok(1)] }),
    step('select 8', [], { kind: 'is-autocommit' }),
    step('select 9', [], ok(3)),
    step('select 10', [], { kind: 'not', condition: ok(99) }),
  ]);
  const kinds = outcomes.map(({ kind }) => kind[0]).join('');
  assert.equal(kinds, 'rersrssrrsr');
});

test('a batch with a transaction of its own leaves nothing behind', async (t) => {
  const { streams, file } = serve(t, { schema: 'create table t(a integer primary key)' });
  const batch = (value: bigint) => {
    const ok = (of: number) => ({ kind: 'ok', step: of }) as const;
    const stream = streams.openStream('write');
    return stream.batch([
      step('begin immediate'),
      step('insert into t values (?)', [1n], ok(0)),
      step('insert into t values (?)', [value], ok(1)),
      step('commit', [], ok(2)),
      step('rollback', [], { kind: 'not', condition: ok(3) }),
    ]);
  };
  assert.equal((await batch(1n)).map(({ kind }) => kind[0]).join(''), 'rresr');
  assert.equal(file.value('select count(*) from t'), 0);
  assert.equal((await batch(2n)).map(({ kind }) => kind[0]).join(''), 'rrrrs');
  assert.equal(file.value('select count(*) from t'), 2);
});

test('a sequence goes on to its first error', async (t) => {
  const { streams, file } = serve(t);
  const stream = streams.openStream('write');
  const script = `
    create table t(a, b); -- one; two
    create trigger x after insert on t begin update t set b = ';' where a = new.a; select 1; end;
    insert into t(a) values ('1;'), (2);;
    pragma user_version = 7`;
  assert.equal(await stream.sequence(script), null);
  assert.deepEqual([file.value('select count(b) from t'), file.value('pragma user_version')], [2, 7]);
  const error = await stream.sequence('insert into t(a) values (3); nonsense; insert into t(a) values (4)');
  assert.equal(error?.code, 'SQL_PARSE_ERROR');
  assert.equal(file.value('select max(a) from t where a < 9'), 3);
  assert.equal(await stream.sequence(' -- nothing'), null);
});

test('a description says what a statement takes and gives, and carries out nothing', async (t) => {
  const { streams, file } = serve(t, { schema: 'create table t(a integer primary key, b text)' });
  const stream = streams.openStream('write');
  assert.deepEqual(await stream.describe('select a, b || :x as c from t where a in (?, ?4, @y)'), {
    parameters: [':x', null, null, '?4', '@y'],
    columns: [
      { name: 'a', declaredType: 'INTEGER' },
      { name: 'c', declaredType: null },
    ],
    ...{ isExplain: false, isReadonly: true },
  });
  const insert = await stream.describe('insert into t values (?, ?) returning b');
  assert.deepEqual('columns' in insert && [insert.isReadonly, insert.columns.length], [false, 1]);
  const explain = await stream.describe('explain query plan insert into t values (1, 2)');
  assert.deepEqual('columns' in explain && [explain.isExplain, explain.isReadonly], [true, true]);
  for (const sql of ['pragma foreign_keys = off', 'create temp table x(a)', 'pragma user_version = 3', 'vacuum']) {
    assert.ok('columns' in (await stream.describe(sql)), sql);
  }
  assert.deepEqual(await rows(stream, 'pragma foreign_keys'), [[1n]]);
  assert.equal(file.value('pragma user_version'), 0);
  const error = await stream.describe('select 1; select 2');
  assert.equal('code' in error && error.code, 'SQL_MANY_STATEMENTS');
});

test('a schema that changes is seen at once, on every connection', async (t) => {
  const { streams } = serve(t);
  const [a, b] = [streams.openStream('write'), streams.openStream('write')];
  await run(a, 'create table t(a)');
  await run(a, 'insert into t values (1)');
  const names = async (stream: typeof a) => {
    const result = await run(stream, 'select * from t');
    return [result.columns.map(({ name }) => name).join(), result.rows.flat().join()];
  };
  const insert = 'insert into t select * from (select * from t limit 1) returning *';
  assert.deepEqual(await names(a), ['a', '1']);
  assert.deepEqual((await run(b, insert)).columns.length, 1);
  await run(b, 'alter table t add column b default 2');
  assert.deepEqual(
    [await names(a), await names(b)],
    [
      ['a,b', '1,2,1,2'],
      ['a,b', '1,2,1,2'],
    ],
  );
  assert.deepEqual((await run(b, insert)).columns.length, 2);
  await run(b, 'alter table t rename column a to c');
  await run(b, 'alter table t drop column b');
  assert.deepEqual(await names(a), ['c', '1,1,1']);
  await run(b, 'drop table t');
  assert.match(await failure(a, 'select * from t'), /no such table/);
});

test('what undermines the journal is refused with the reason and what to do instead', async (t) => {
  const stream = serve(t, { schema: 'create table t(a)' }).streams.openStream('write');
  const refused: readonly (readonly [string, RegExp])[] = [
    ["attach 'x.db' as x", /ATTACH is refused: .* open a stream/],
    ['attach ? as x', /ATTACH is refused/],
    ["attach '' as x", /ATTACH is refused/],
    ['detach x', /DETACH is refused/],
    ["vacuum into 'copy.db'", /VACUUM INTO is refused: .*speil backup/],
    ["select load_extension('x')", /load_extension\(\) is refused/],
    ['pragma journal_mode = delete', /PRAGMA journal_mode is refused: .*WAL/],
    ['pragma wal_checkpoint(truncate)', /PRAGMA wal_checkpoint is refused: .*hardened/],
    ['pragma wal_autocheckpoint = 10', /wal_autocheckpoint/],
    ['pragma locking_mode = exclusive', /locking_mode/],
    ['pragma writable_schema = 1', /writable_schema/],
    ['pragma synchronous = full', /synchronous/],
    ['pragma main.mmap_size = 100', /mmap_size/],
    ['pragma page_size = 512', /page_size/],
    ['pragma query_only = 0', /query_only/],
    ['pragma cache_size = 1000000', /cache_size is refused: at most/],
    ['pragma made_up', /does not know/],
    ['explain pragma writable_schema = 1', /writable_schema/],
  ];
  for (const [sql, reason] of refused) {
    const values = sql.includes('?') ? ['x'] : [];
    const said = await failure(stream, sql, values);
    assert.match(said, /^SQLITE_AUTH SQLite error: not authorized: /, sql);
    assert.match(said, reason);
  }
  assert.match(await failure(stream, "select * from pragma_journal_mode('delete')"), /^SQL_INPUT_ERROR|^SQLITE_/);
  assert.match(await failure(stream, 'insert into sqlite_schema values (1, 2, 3, 4, 5)'), /may not be modified/);
  assert.deepEqual(await rows(stream, 'pragma journal_mode = wal'), [['wal']]);
});

test('what is harmless works', async (t) => {
  const { streams, file } = serve(t, { schema: 'create table t(a integer primary key, b)' });
  const stream = streams.openStream('write');
  await run(stream, 'insert into t(b) select value from generate_series(1, 10)').catch(() => {});
  await run(stream, "insert into t(b) values ('x'), ('y')");
  await run(stream, 'vacuum');
  assert.deepEqual(await rows(stream, 'pragma journal_mode'), [['wal']]);
  assert.deepEqual(await rows(stream, 'pragma integrity_check'), [['ok']]);
  assert.equal((await rows(stream, 'pragma table_info(t)')).length, 2);
  assert.equal((await rows(stream, "select * from pragma_table_xinfo('t')")).length, 2);
  await run(stream, 'pragma application_id = 9');
  assert.equal(file.value('pragma application_id'), 9);
  await run(stream, 'analyze');
  await run(stream, 'pragma optimize');
  await run(stream, 'reindex');
  await run(stream, 'create virtual table f using fts5(x)');
  await run(stream, "insert into f values ('hello world')");
  assert.deepEqual(await rows(stream, "select x from f where f match 'world'"), [['hello world']]);
  assert.deepEqual(await rows(stream, 'select "double quoted"'), [['double quoted']]);
});

test('pages that are free are given back as asked', async (t) => {
  const { streams, file } = serve(t, { schema: 'pragma auto_vacuum = 2; vacuum; create table t(a)' });
  const stream = streams.openStream('write');
  await run(stream, 'insert into t values (zeroblob(200000))');
  await run(stream, 'delete from t');
  const before = Number(file.value('pragma freelist_count'));
  assert.ok(before > 30);
  await run(stream, 'pragma incremental_vacuum(20)');
  assert.equal(file.value('pragma freelist_count'), before - 20);
});

test('a setting that is kept in the database waits for its turn as writes do', async (t) => {
  const { streams, file, gate } = serve(t, { schema: 'pragma auto_vacuum = 2; vacuum; create table t(a)' });
  const stream = streams.openStream('write');
  gate.refusal = new SpeilError('DISK_FULL', 'no room');
  await assert.rejects(run(stream, 'pragma auto_vacuum = 1'), /no room/);
  gate.refusal = null;
  await run(stream, 'pragma auto_vacuum = 1');
  using fresh = new DatabaseSync(file.path);
  assert.deepEqual({ ...fresh.prepare('pragma auto_vacuum').get() }, { auto_vacuum: 1 });
  await run(stream, 'pragma auto_vacuum = 0');
  await run(stream, 'vacuum');
  using none = new DatabaseSync(file.path);
  assert.deepEqual({ ...none.prepare('pragma auto_vacuum').get() }, { auto_vacuum: 0 });
});

test('a stream that may only read is refused every write, and reads on', async (t) => {
  const { streams, file } = serve(t, { schema: 'create table t(a)' });
  const stream = streams.openStream('read');
  const writes = [
    'insert into t values (1)',
    'create temp table x(a)',
    'begin immediate',
    'pragma user_version = 1',
    'vacuum',
  ];
  for (const sql of writes) assert.match(await failure(stream, sql), /^SQLITE_READONLY .*reading only/, sql);
  assert.equal(stream.isAutocommit, true);
  await run(stream, 'begin');
  assert.match(await failure(stream, 'insert into t values (1)'), /^SQLITE_READONLY /);
  assert.deepEqual(await rows(stream, 'select count(*) from t'), [[0n]]);
  await run(stream, 'commit');
  assert.equal((await stream.sequence('select 1; delete from t'))?.code, 'SQLITE_READONLY');
  assert.equal(file.value('select count(*) from t'), 0);
});

test('BEGIN TRANSACTION READONLY: a snapshot in which nothing is written', async (t) => {
  const { streams } = serve(t, { schema: 'create table t(a)' });
  const [reader, writer] = [streams.openStream('write'), streams.openStream('write')];
  await run(reader, 'begin transaction readonly');
  assert.deepEqual(await rows(reader, 'select count(*) from t'), [[0n]]);
  await run(writer, 'insert into t values (1)');
  assert.deepEqual(await rows(reader, 'select count(*) from t'), [[0n]]);
  assert.match(await failure(reader, 'insert into t values (2)'), /^SQLITE_READONLY /);
  assert.equal(reader.isAutocommit, false);
  await run(reader, 'commit');
  await run(reader, 'insert into t values (2)');
  assert.deepEqual(await rows(reader, 'select count(*) from t'), [[2n]]);
});

test('a text that reads as a read and writes is carried out as a write', async (t) => {
  const { streams, file } = serve(t, { schema: 'create virtual table f using fts3(x)' });
  const stream = streams.openStream('write');
  await run(stream, "insert into f values ('a b')");
  await run(stream, "insert into f values ('c d')");
  const segments = () => file.value('select count(*) from f_segdir');
  assert.equal(segments(), 2);
  const answer = await outcome(stream, 'select optimize(f) from f limit 1');
  assert.equal(answer.kind, 'result', answer.kind === 'error' ? answer.error.message : answer.kind);
  assert.equal(segments(), 1);
});
